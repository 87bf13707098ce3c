"""Which target reaches goals soonest: Lemma C.2 beside other targets and the true minimum.

Prints a Markdown table of the bound F (equation 14) and, in brackets, the mean number of episodes
of --steps independent states until a goal is hit, simulated. Goals are on the unit line or square.
A simulated mean misses goals rarer than one in its 2000 trials, which make most of F for p_g^2.
Takes half a minute on one core.

    .venv/bin/python benchmarks/goal_targets.py --figure docs/goal_targets.png
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smm_core.targets.goal import episodes_to_goal, hitting_time_bound, lemma_target, optimum
from smm_core.targets.grid import Grid, Masses

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE = Grid((0.0,), (1.0,), (200,), (False,))
SQUARE = Grid((0.0, 0.0), (1.0, 1.0), (40, 40), (False, False))
GAP = 2e-3
"""By which share the bound may be above the minimum in the last column."""
TRIALS, LONGEST = 2000, 10_000
COLORS = {
    "uniform": "0.6",
    "p_g": "tab:blue",
    "sqrt p_g": "tab:green",
    "Lemma C.2": "tab:orange",
    "minimum": "black",
}


def peaks(grid: Grid, *peaks: tuple[float, float, float]) -> Masses:
    """Return masses of a Gaussian mixture: weight, centre and deviation along every coordinate."""
    points = grid.centres()
    masses = sum(
        weight
        * np.exp(-0.5 * (((points - centre) / width) ** 2).sum(-1))
        / width ** points.shape[-1]
        for weight, centre, width in peaks
    )
    return masses / masses.sum()


def goal_densities() -> dict[str, tuple[Grid, Masses]]:
    """Return the goal densities of the table by name, each with its grid."""
    x = LINE.centres()[..., 0]
    return {
        "uniform": (LINE, np.full(LINE.shape, 1 / 200)),
        "two Gaussians": (LINE, peaks(LINE, (0.7, 0.3, 0.05), (0.3, 0.75, 0.1))),
        "skewed, exp(-6 x)": (LINE, np.exp(-6 * x) / np.exp(-6 * x).sum()),
        "a narrow, a wide cluster": (LINE, peaks(LINE, (0.5, 0.2, 0.005), (0.5, 0.7, 0.03))),
        "2-d, two Gaussians": (SQUARE, peaks(SQUARE, (0.7, 0.3, 0.08), (0.3, 0.7, 0.15))),
    }


def candidates(grid: Grid, goals: Masses, epsilon: float) -> dict[str, Masses]:
    """Return the targets that are compared."""
    return {
        "uniform": np.full(grid.shape, 1 / goals.size),
        "p_g": goals,
        "p_g^2": goals**2,
        "sqrt p_g": np.sqrt(goals),
        "Lemma C.2": lemma_target(grid, goals, epsilon),
        "minimum": optimum(grid, goals, epsilon, GAP)[0],
    }


def result(
    grid: Grid, goals: Masses, target: Masses, epsilon: float, steps: int, seed: int
) -> str:
    """Return one cell: the bound, and the simulated mean with >= where trials were cut short."""
    rng = np.random.default_rng(seed)
    episodes = episodes_to_goal(grid, goals, target, epsilon, steps, TRIALS, rng, LONGEST)
    cut = ">= " * bool((episodes == LONGEST).any())
    limit = hitting_time_bound(grid, goals, target, epsilon)
    return f"{limit:.3g} ({cut}{episodes.mean():.3g})"


def print_table(epsilons: list[float], steps: int, seed: int) -> None:
    """Print a row for each goal density and epsilon."""
    print("| goals | epsilon |", " | ".join(candidates(LINE, np.ones(200), 0.002)), "|")
    print("|---|---" * 4 + "|")
    for name, (grid, goals) in goal_densities().items():
        for epsilon in sorted({e if e >= grid.step[0] else 0.4 * grid.step[0] for e in epsilons}):
            cells = [
                result(grid, goals, target, epsilon, steps, seed)
                for target in candidates(grid, goals, epsilon).values()
            ]
            words = "one cell" if epsilon < grid.step[0] else f"{epsilon:g}"
            print(f"| {name} | {words} | {' | '.join(cells)} |", flush=True)


def draw(path: Path) -> None:
    """Draw targets for one goal density, and how far above the minimum each is over epsilon."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, *right) = pyplot.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    densities = goal_densities()
    _draw_targets(left, *densities["two Gaussians"], 0.05)
    for axes, name in zip(right, ("two Gaussians", "a narrow, a wide cluster"), strict=True):
        _draw_excess(axes, *densities[name])
        axes.set_title(f"goals: {name}")
    right[0].legend(frameon=False)
    figure.savefig(path, dpi=130)


def _draw_targets(axes: "Axes", grid: Grid, goals: Masses, epsilon: float) -> None:
    x = grid.centres()[..., 0]
    axes.fill_between(x, goals / grid.cell_volume, color="tab:blue", alpha=0.2, lw=0)
    for name, target in candidates(grid, goals, epsilon).items():
        if name in COLORS:
            density = target / target.sum() / grid.cell_volume
            width = 0.8 if name == "minimum" else 1.8
            axes.plot(x, density, color=COLORS[name], lw=width, label=name)
    axes.set(title=f"targets, epsilon {epsilon}", xlabel="s", ylabel="density", ylim=(0, 9))
    axes.legend(frameon=False)


def _draw_excess(axes: "Axes", grid: Grid, goals: Masses) -> None:
    epsilons = [0.002, 0.005, 0.01, 0.015, 0.025, 0.04, 0.06, 0.1, 0.15]
    found = [candidates(grid, goals, epsilon) for epsilon in epsilons]
    limits = {
        name: np.array(
            [
                hitting_time_bound(grid, goals, targets[name], epsilon)
                for targets, epsilon in zip(found, epsilons, strict=True)
            ]
        )
        for name in COLORS
    }
    for name in list(COLORS)[:-1]:
        excess = limits[name] / limits["minimum"]
        axes.semilogx(epsilons, excess, "o-", ms=3, color=COLORS[name], label=name)
    axes.axhline(1.0, color="black", lw=0.8)
    axes.set(xlabel="epsilon", ylabel="F / minimum of F", ylim=(0.95, 2.05))


def main() -> None:
    """Print the table, and draw the figure where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epsilons", type=float, nargs="+", default=[0.0, 0.02, 0.05, 0.1])
    parser.add_argument("--steps", type=int, default=10, help="states in each episode")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--figure", type=Path, help="PNG to write")
    options = parser.parse_args()
    print_table(options.epsilons, options.steps, options.seed)
    if options.figure:
        draw(options.figure)


if __name__ == "__main__":
    main()
