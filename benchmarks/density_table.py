"""How close each density model comes to distributions that are known: true and modelled NLL.

Prints Markdown: the negative log-likelihood of fresh states, mean of all runs, in nats, beside
the true one of the same states. The VAE's is from above: its bound with K codes, fitted with
K = 4, its default. The rest is exact. `--picture` draws the true and the modelled densities of
those distributions that have one coordinate.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/density_table.py --picture docs/densities.png
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor
from torch.distributions import (
    Categorical,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    Uniform,
    VonMises,
)

from smm_core.config import from_mapping
from smm_core.densities.density import Density, DensityConfig, make_density
from smm_core.densities.fitting import fit_to, negative_log_likelihood
from smm_core.generators import Generators
from smm_core.state_space import StateConfig, StateSpace

LINE = StateSpace(StateConfig(linear=(0,)), obs_size=1)
PLANE = StateSpace(StateConfig(linear=(0, 1)), obs_size=2)
CIRCLE = StateSpace(StateConfig(circular=(0, 1)), obs_size=2)
MIXED = StateSpace(StateConfig(linear=(0,), circular=(1, 2)), obs_size=3)
FRESH = 10_000
"""States of each run that the table's figures are taken on."""
CODES = (1, 4, 64)
VARIANTS = {
    "flow": {"model": "flow"},
    "histogram": {"model": "histogram"},
    "mixture": {"model": "gaussian_mixture"},
    "VAE": {"model": "vae"},
    "VAE, learnt width": {"model": "vae", "vae": {"scale": 0.0}},
}


@dataclass(frozen=True)
class Known:
    """A distribution that can be drawn from and whose log-density is known."""

    name: str
    space: StateSpace
    sample: Callable[[int], Tensor]
    """Draws (N, size) from torch's global stream."""
    log_prob: Callable[[Tensor], Tensor]
    """Maps (..., size) to nats, (...)."""
    low: float = -math.pi
    high: float = math.pi
    """What the picture shows, of one coordinate."""


def one_coordinate(
    name: str, space: StateSpace, truth: torch.distributions.Distribution, *shown: float
) -> Known:
    """Describe a distribution over numbers."""

    def sample(count: int) -> Tensor:
        return truth.sample((count,)).unsqueeze(-1)

    return Known(name, space, sample, lambda state: truth.log_prob(state.squeeze(-1)), *shown)


def two_of(weights: list[float], parts: torch.distributions.Distribution) -> MixtureSameFamily:
    """Mix two distributions."""
    return MixtureSameFamily(Categorical(torch.tensor(weights)), parts)


def angle_and_length() -> Known:
    """Describe an angle and a length that follows its sine."""
    angles = VonMises(0.0, 3.0)

    def sample(count: int) -> Tensor:
        angle = angles.sample((count,))
        return torch.stack((Normal(10 * angle.sin(), 1.0).sample(), angle), -1)

    def log_prob(state: Tensor) -> Tensor:
        length, angle = state.unbind(-1)
        return angles.log_prob(angle) + Normal(10 * angle.sin(), 1.0).log_prob(length)

    return Known("length and angle", MIXED, sample, log_prob)


def known() -> list[Known]:
    """Return the distributions of the table."""
    plane = MultivariateNormal(torch.tensor([1.0, 2.0]), torch.tensor([[1.0, 1.8], [1.8, 4.0]]))
    peaks = two_of([0.5, 0.5], Normal(torch.tensor([-3.0, 3.0]), torch.tensor([0.5, 1.0])))
    ring = two_of([0.5, 0.5], VonMises(torch.tensor([0.0, 2.9]), torch.tensor([8.0, 20.0])))
    return [
        one_coordinate("Gaussian", LINE, Normal(30.0, 4.0), 14.0, 46.0),
        Known(
            "Gaussian, 2-d, correlation 0.9",
            PLANE,
            lambda count: plane.sample((count,)),
            plane.log_prob,
        ),
        one_coordinate("two peaks", LINE, peaks, -6.0, 7.0),
        one_coordinate("two peaks on the circle", CIRCLE, ring),
        one_coordinate("uniform circle", CIRCLE, Uniform(-math.pi, math.pi)),
        angle_and_length(),
    ]


def draws(truth: Known, runs: int, count: int, seed: int) -> Tensor:
    """Return (R, N, size) states, the same for a seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return truth.sample(runs * count).view(runs, count, -1)


def no_skill(state: Tensor) -> Tensor:
    """Return the one-hot skills of one skill."""
    return torch.zeros(*state.shape[:2], 0)


def make(space: StateSpace, runs: int, settings: dict) -> Density:
    """Build a model by its settings, one for each run."""
    config = from_mapping(DensityConfig, settings)
    return make_density(Generators(range(runs)), space, 0, config)


def with_codes(density: Density, space: StateSpace, runs: int, settings: dict) -> list[Density]:
    """Return the VAE with each number of codes of CODES, or another model itself."""
    if density.is_exact:
        return [density]
    found = []
    for codes in CODES:
        vae = {**settings.get("vae", {}), "samples": codes}
        found.append(make(space, runs, settings | {"vae": vae}))
        found[-1].load_state_dict(density.state_dict())
    return found


@dataclass(frozen=True)
class Row:
    """What fitting all models to one distribution came to; NLLs in nats."""

    true: float
    found: list[list[float]]
    """NLL of each model, of a VAE with each number of codes."""
    seconds: list[float]
    models: list[Density]

    @property
    def of_models(self) -> list[float]:
        """The NLL of each model, of a VAE with the most codes."""
        return [found[-1] for found in self.found]


def fit_all(truth: Known, args: argparse.Namespace) -> Row:
    """Fit all models to states of one distribution."""
    # Seeds that no run has: the same numbers must not make the states and choose among them.
    states = draws(truth, args.runs, args.states, 10_000)
    fresh = draws(truth, args.runs, FRESH, 10_001)
    row = Row(-float(truth.log_prob(fresh).mean()), [], [], [])
    for settings in VARIANTS.values():
        density, streams = make(truth.space, args.runs, settings), Generators(range(args.runs))
        begin = time.perf_counter()
        fit_to(density, states, no_skill(states), streams, args.steps)
        row.seconds.append((time.perf_counter() - begin) / args.runs)
        evaluated = with_codes(density, truth.space, args.runs, settings)
        nll = [negative_log_likelihood(one, fresh, no_skill(fresh), streams) for one in evaluated]
        row.found.append([float(values.mean()) for values in nll])
        row.models.append(evaluated[-1])
    return row


def print_table(title: str, rows: list[str], columns: dict[str, list[float]]) -> None:
    """Print columns of numbers as Markdown."""
    print(f"| {title} | " + " | ".join(columns) + " |")
    print("|---|" + "---:|" * len(columns))
    for name, *values in zip(rows, *columns.values(), strict=True):
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |")
    print(flush=True)


def mean_log_prob(density: Density, state: Tensor, runs: int) -> Tensor:
    """Return the first run's log-density, (B,), of states (1, B, size): the mean of a bound."""
    repeats = 1 if density.is_exact else 50
    states, streams = state.expand(runs, -1, -1), Generators(range(runs))
    found = [density.log_prob(states, no_skill(states), streams)[0] for _ in range(repeats)]
    return torch.stack(found).mean(0)


def draw_picture(path: Path, rows: dict[Known, Row], runs: int) -> None:
    """Draw one panel for each model and distribution of one coordinate, first run.

    Each says by how many nats the NLL is above the true one, which is KL(true || model), or for
    a bound at least that.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    shown = [truth for truth in rows if truth.space.size == 1]
    size = (len(VARIANTS), len(shown))
    figure, axes = plt.subplots(*size, figsize=(11, 9), sharex="col", layout="constrained")
    for column, truth in zip(axes.T, shown, strict=True):
        x = torch.linspace(truth.low + 1e-4, truth.high - 1e-4, 300).view(1, -1, 1)
        true = truth.log_prob(x)[0].exp()
        row = rows[truth]
        for index, axis in enumerate(column):
            modelled = mean_log_prob(row.models[index], x, runs).exp()
            axis.fill_between(x.flatten(), true, color="0.85")
            axis.plot(x.flatten(), modelled, color=f"C{index}", linewidth=1.5)
            text = f"+{row.of_models[index] - row.true:.3f}"
            axis.text(0.97, 0.92, text, ha="right", va="top", transform=axis.transAxes)
            axis.set(ylim=(0, 1.5 * float(true.max())), yticks=[])
        unit = " [rad]" if truth.space.num_circular else ""
        column[0].set_title(truth.name)
        column[-1].set_xlabel(f"s{unit}")
    for axis, name in zip(axes[:, 0], VARIANTS, strict=True):
        axis.set_ylabel(name)
    figure.suptitle(
        "Fitted densities (lines) and the true ones (grey); nats above the true NLL."
        f" The VAE's is its bound with K = {CODES[-1]}."
    )
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print the table, and draw the picture where asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=2, help="fits from other seeds, side by side")
    parser.add_argument("--states", type=int, default=20_000, help="states given to each fit")
    parser.add_argument("--steps", type=int, default=1000, help="gradient steps of 128 states")
    parser.add_argument("--picture", type=Path, help="where to write a PNG")
    args = parser.parse_args()
    begin = time.perf_counter()
    rows = {truth: fit_all(truth, args) for truth in known()}
    names = ["true"]
    for name, settings in VARIANTS.items():
        bounds = [f"{name}, K = {codes} (bound)" for codes in CODES]
        names += bounds if settings["model"] == "vae" else [f"{name} (exact)"]
    figures = {t.name: [row.true, *chain.from_iterable(row.found)] for t, row in rows.items()}
    print_table("NLL of fresh states, nats", names, figures)
    seconds = {truth.name: row.seconds for truth, row in rows.items()}
    print_table("fit, seconds a run", list(VARIANTS), seconds)
    print(
        f"{args.runs} runs, {args.states} states, {args.steps} steps of 128; whole run "
        f"{time.perf_counter() - begin:.0f} s"
    )
    if args.picture:
        draw_picture(args.picture, rows, args.runs)


if __name__ == "__main__":
    main()
