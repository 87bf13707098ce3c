"""Figures of how much of the state space was visited."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smm_core.learner import Learner

Values = NDArray[np.floating]

ANGLE_BINS = 36
"""Bins of 10 degrees: the resolution at which the D'Claw's valve angle is reported."""


def angle_histogram(angles: Values, bins: int = ANGLE_BINS) -> NDArray[np.int64]:
    """Count angles (rad, any turn) in equal bins of the circle that begin at -pi."""
    wrapped = np.mod(np.asarray(angles) + np.pi, 2 * np.pi)
    index = np.minimum((wrapped * (bins / (2 * np.pi))).astype(np.int64), bins - 1)
    return np.bincount(index.ravel(), minlength=bins)


def entropy(counts: NDArray[np.integer]) -> float:
    """Return the plug-in entropy of a histogram in nats; NaN where it is empty."""
    total = counts.sum()
    if not total:
        return float("nan")
    share = counts[counts > 0] / total
    return float(-(share * np.log(share)).sum())


def angle_entropy(angles: Values, bins: int = ANGLE_BINS) -> float:
    """Return the entropy in nats of angles (rad) over equal bins of the circle; at most log bins.

    Also the KL divergence to the uniform distribution, which is log(bins) minus it.
    """
    return entropy(angle_histogram(angles, bins))


def coverage(learner: Learner, recent: int = 5000) -> dict[str, NDArray[np.float64]]:
    """Return the angle entropies of the states in replay, whole and newest `recent`, (R,) nats.

    One figure for each angle of the matched state; none where it has no angles.
    """
    entropies = {}
    for name, count in (("replay", len(learner.replay)), ("recent", recent)):
        state = learner.space.select(learner.replay.newest(count).next_obs)
        angles = learner.space.split(state)[1].numpy()
        for index in range(angles.shape[-1]):
            label = f"angle_entropy_{name}" + (f"_{index}" if index else "")
            entropies[label] = np.array([angle_entropy(run) for run in angles[:, :, index]])
    return entropies
