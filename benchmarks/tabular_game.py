"""The exact game: KL(rho || p*) above the optimum against iterations of fictitious play.

    python benchmarks/tabular_game.py --picture docs/tabular_game.png

Random MDPs with a random target, and a gridworld that slips with a uniform one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from smm_core.tabular import (
    EndlessTime,
    Episodes,
    Process,
    fictitious_play,
    gridworld,
    kl,
    optimum,
    random_mdp,
)

MAP = ["S..#...", ".#.#.#.", ".#...#.", "...#...", ".#.#.#."]
STOPS = (1, 10, 100, 1000, 3000)
Game = Callable[[np.random.Generator], tuple[Process, np.ndarray]]


def random_game(rng: np.random.Generator) -> tuple[Process, np.ndarray]:
    """Return 20 states, 4 actions and a target, all at random; an endless life."""
    return EndlessTime(random_mdp(20, 4, rng, spread=0.05)), rng.dirichlet(np.full(20, 2.0))


def random_episodes(rng: np.random.Generator) -> tuple[Process, np.ndarray]:
    """Return the same in episodes of 10 steps."""
    return Episodes(random_mdp(20, 4, rng, spread=0.05), 10), rng.dirichlet(np.full(20, 2.0))


def grid(rng: np.random.Generator) -> tuple[Process, np.ndarray]:
    """Return a gridworld that slips at random, more or less, and a uniform target."""
    mdp = gridworld(MAP, slip=rng.uniform(0.05, 0.2))
    return EndlessTime(mdp), np.full(mdp.num_states, 1 / mdp.num_states)


GAMES: dict[str, Game] = {
    "random MDPs, endless": random_game,
    "random MDPs, episodes of 10": random_episodes,
    "gridworld with slips": grid,
}
WAYS = {"newest density": False, "average of densities (equation 5)": True}


def gaps(game: Game, seeds: int) -> dict[str, dict[str, np.ndarray]]:
    """Return, for each way, the gaps in nats of average and last policy, (seeds, iterations)."""
    found: dict[str, dict[str, list[list[float]]]] = {
        way: {"average": [], "last": []} for way in WAYS
    }
    for seed in range(seeds):
        process, target = game(np.random.default_rng(seed))
        least = optimum(process, target).bound
        for way, averages_densities in WAYS.items():
            play = fictitious_play(process, target, STOPS[-1], averages_densities)
            for name, marginals in (("average", play.averages), ("last", play.iterates)):
                found[way][name].append([kl(rho, target) - least for rho in marginals])
    return {way: {name: np.array(v) for name, v in by.items()} for way, by in found.items()}


def main() -> None:
    """Print the table and draw the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--picture", type=Path, help="PNG to write")
    options = parser.parse_args()
    print(f"KL(rho || p*) above the optimum, nats; median of {options.seeds} seeds\n")
    print("| game | best response to | policy | " + " | ".join(map(str, STOPS)) + " |")
    print("|---|---|---|" + "---|" * len(STOPS))
    curves = {}
    for name, game in GAMES.items():
        for way, found in gaps(game, options.seeds).items():
            curves[name, way] = found
            for policy, values in found.items():
                cells = " | ".join(f"{np.median(values[:, n - 1]):.2g}" for n in STOPS)
                print(f"| {name} | {way} | {policy} | {cells} |")
    if options.picture:
        draw(curves, options.picture)


def draw(curves: dict[tuple[str, str], dict[str, np.ndarray]], path: Path) -> None:
    """Draw median and range over seeds, one panel for each game."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, len(GAMES), figsize=(13, 4), sharey=True, layout="tight")
    colors = {"average": "tab:blue", "last": "tab:red"}
    labels = {"average": "historical average", "last": "last policy"}
    for axes, game in zip(panels, GAMES, strict=True):
        for (name, way), found in curves.items():
            if name != game or WAYS[way]:
                continue
            for policy, values in found.items():
                at = np.unique(np.geomspace(1, values.shape[1], 200).astype(int))
                shown = np.maximum(values[:, at - 1], 1e-8)
                axes.plot(at, np.median(shown, 0), color=colors[policy], label=labels[policy])
                axes.fill_between(at, shown.min(0), shown.max(0), color=colors[policy], alpha=0.2)
        axes.plot((10, 3000), (1.0, 1 / 300), "k:", label="1 / iterations")
        axes.set(xscale="log", yscale="log", title=game, xlabel="iterations of fictitious play")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("KL(ρ ‖ p*) above the optimum, nats")
    panels[0].legend(loc="lower left")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
