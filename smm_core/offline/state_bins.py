"""Bins over a matched state of any kind: their ranges come from the states and the target."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smm_core.evaluation.marginals import Array, Bins, BinsConfig
from smm_core.offline.fit_config import FitConfig
from smm_core.state_space import StateConfig, StateSpace
from smm_core.targets.target import Target

NARROWEST = 1e-3
"""Least range of a linear coordinate, in its unit."""
TURN = 2 * np.pi


def features(space: StateSpace, state: Tensor) -> NDArray[np.float32]:
    """Return what the bins take for an observation, (N, feature_size), of states (N, size)."""
    found: NDArray[np.float32] = space.features(state).numpy()
    return found


def make_bins(space: StateSpace, state: Tensor, config: FitConfig) -> Bins:
    """Return `config.bins` bins of each coordinate over `features` of the states (N, size).

    Those of a linear coordinate cover all the states, and the target's box where it has one.
    """
    ends = space.split(state)[0].double().numpy()
    box = config.target.box
    if len(box.low) == space.num_linear:
        ends = np.concatenate((ends, [box.low, box.high]))
    low, high = ends.min(0), ends.max(0)
    margin = 0.5 * np.maximum(NARROWEST - (high - low), 0.0)
    low, high = low - margin, high + margin
    linear, angles = space.num_linear, space.num_circular
    widths = [*(high - low) / config.bins, *[TURN / config.bins] * angles]
    return Bins(
        BinsConfig(
            names=tuple(f"s_{i}" for i in range(space.size)),
            entries=tuple(range(linear)),
            low=tuple(low.tolist()),
            high=tuple(high.tolist()),
            circular=_pairs(space),
            bin_width=tuple(map(float, widths)),
        ),
        space.feature_size,
    )


def log_target_of(bins: Bins, space: StateSpace, target: Target) -> Array | None:
    """Return log p*, without what the shaping adds, of each bin, normalised over them: (bins,).

    None where there are too many bins.
    """
    pairs = _pairs(space)
    plain = StateSpace(StateConfig(bins.entries, pairs), space.feature_size)

    def log_density(seen: NDArray[np.float32]) -> Array:
        state = plain.select(torch.from_numpy(seen))
        found: Array = target.log_prob(state, torch.zeros(len(state))).double().numpy()
        return found

    return bins.log_target(log_density)


def _pairs(space: StateSpace) -> tuple[int, ...]:
    """Return where `features` has (cos, sin, cos, sin, ...) of the angles."""
    first, count = space.num_linear, space.num_circular
    return tuple(place for i in range(count) for place in (first + i, first + count + i))
