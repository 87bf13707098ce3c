"""Fits a density to given states, off line, and says how well it foretells states kept back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from smm_core.densities.density import Density
from smm_core.generators import Generators

CHUNK = 4096
"""States that are evaluated at once."""


@dataclass(frozen=True)
class DensityFit:
    """Negative log-likelihoods in nats per state, (R,); above the true ones for a bound."""

    train: Tensor
    held_out: Tensor


def fit_to(
    density: Density,
    state: Tensor,
    skill_onehot: Tensor,
    generators: Generators,
    steps: int = 1000,
    batch_size: int = 128,
    held_out: float = 0.2,
) -> DensityFit:
    """Fit to states (R, N, size) with skills (R, N, skill_size); a share is kept back.

    Every training state is observed once; `steps` batches drawn of them are then fitted where
    the model learns by gradient. Which states are kept back is drawn for each run.

    Raises ValueError for states that are not finite, or too few for either part.
    """
    count = state.shape[1]
    kept = round(held_out * count)
    if not 0 < kept < count:
        raise ValueError(
            f"{kept} of {count} states would be held out, expected at least one on either side; "
            "give more states or another share"
        )
    if not state.isfinite().all():
        raise ValueError(f"state holds {(~state.isfinite()).sum()} numbers that are not finite")
    order = generators.uniform(count).argsort(1)
    parts = order.split((kept, count - kept), 1)
    test, train = (_rows(state, skill_onehot, part) for part in parts)
    density.observe(*train)
    for batch in batches(*train, generators, steps if density.optimizers else 0, batch_size):
        density.fit(*batch, generators)
    return DensityFit(
        train=negative_log_likelihood(density, *train, generators),
        held_out=negative_log_likelihood(density, *test, generators),
    )


def batches(
    state: Tensor, skill_onehot: Tensor, generators: Generators, steps: int, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield `steps` batches of states (R, B, size) and skills drawn with replacement."""
    for _ in range(steps):
        yield _rows(state, skill_onehot, generators.integers(state.shape[1], batch_size))


def negative_log_likelihood(
    density: Density, state: Tensor, skill_onehot: Tensor, generators: Generators
) -> Tensor:
    """Return the mean of -log q_z(s), (R,) nats, or of the bound that the density has for it."""
    parts = zip(state.split(CHUNK, 1), skill_onehot.split(CHUNK, 1), strict=True)
    return -torch.cat([density.log_prob(*part, generators) for part in parts], 1).mean(1)


def _rows(state: Tensor, skill_onehot: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows at `index`, (R, B), of both."""
    run = torch.arange(len(state)).unsqueeze(1)
    return state[run, index], skill_onehot[run, index]
