"""Figures of how much of the state space was visited, in training and in episodes played."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smm_core.evaluation.episode import Episode, reached, skills
from smm_core.evaluation.marginals import LogDensity, entropy
from smm_core.generators import Generators
from smm_core.learner import Learner
from smm_core.networks import skill_onehot
from smm_core.objectives.pseudocount import PseudoCount
from smm_core.state_space import StateSpace
from smm_core.targets.target import REWARD, SUGGESTED

Values = NDArray[np.floating]
Figures = NDArray[np.float64]
"""Exact figures, of R runs (R,)."""

ANGLE_BINS = 36
"""Bins of 10 degrees: the resolution at which the D'Claw's valve angle is reported."""

_CHUNK = 4096


def angle_histogram(angles: Values, bins: int = ANGLE_BINS) -> NDArray[np.int64]:
    """Count angles (rad, any turn) in equal bins of the circle that begin at -pi."""
    wrapped = np.mod(np.asarray(angles) + np.pi, 2 * np.pi)
    index = np.minimum((wrapped * (bins / (2 * np.pi))).astype(np.int64), bins - 1)
    return np.bincount(index.ravel(), minlength=bins)


def angle_entropy(angles: Values, bins: int = ANGLE_BINS) -> float:
    """Return the entropy in nats of angles (rad) over equal bins of the circle; at most log bins.

    Also the KL divergence to the uniform distribution, which is log(bins) minus it.
    """
    return entropy(angle_histogram(angles, bins))


def coverage(learner: Learner, recent: int = 5000) -> dict[str, NDArray[np.float64]]:
    """Return the angle entropies of a run's states in replay, all and newest `recent`, (R,) nats.

    One figure for each angle of the matched state; none where it has no angles, and none before
    the first step: what the replay was prefilled with does not count, another run was there.
    """
    if not learner.space.num_circular or not learner.steps:
        return {}
    obs = learner.reached()
    return {
        f"angle_entropy_{name}{place}": values
        for name, part in (("replay", obs), ("recent", obs[:, -recent:]))
        for place, values in angle_entropies(learner.space, part).items()
    }


def angle_entropies(space: StateSpace, obs: Tensor) -> dict[str, NDArray[np.float64]]:
    """Return the entropy of each angle of the matched state, (R,) nats, of (R, N, obs_size).

    By what to put behind the name of a figure: nothing for the first angle, '_1' for the next.
    """
    entropies = {}
    for index, (cos, sin) in enumerate(zip(space.cos, space.sin, strict=True)):
        angles = torch.atan2(obs[..., sin], obs[..., cos]).cpu().numpy()
        entropies[f"_{index}" if index else ""] = np.array([angle_entropy(run) for run in angles])
    return entropies


def halls_reached(episodes: Sequence[Episode], num_halls: int) -> float:
    """Return the share of Navigation's halls whose goal any of the episodes reached (figure 2c).

    Of what the environment tells as `hall_reached`, -1 for none.
    """
    told = np.concatenate([episode.info["hall_reached"] for episode in episodes])
    return len(np.unique(told[told >= 0])) / num_halls


def halls_reached_in_training(
    learner: Learner, hall_at: Callable[[Figures], NDArray[np.int64]], num_halls: int
) -> Figures:
    """Return the share of halls whose goal is among the states in replay, (R,).

    `hall_at` tells the halls (N,) whose goals positions (N, 2) m are in, -1 for none.
    """
    position = learner.reached().double().cpu().numpy()
    halls = [hall_at(run) for run in position]
    return np.array([len(np.unique(hall[hall >= 0])) for hall in halls]) / num_halls


def valve_figures(episodes: Sequence[Episode]) -> dict[str, float]:
    """Return how far the valve is turned in an episode, the mean over episodes (figure 4).

    Of what the environment tells as `valve_angle` (rad, without jumps), from its value at the
    episode's reset: `valve_rotations`, turns to and fro added up; the extreme angles
    `valve_counter_clockwise` (the positive sense) and `valve_clockwise`, rad and at least 0;
    `valve_range`, turns between the extremes; `valve_half_turn`, share of the episodes in which
    that is at least a half.
    """
    turned = [e.info["valve_angle"] - e.info["valve_angle"][0] for e in episodes]
    ranges = np.array([np.ptp(angle) for angle in turned]) / (2 * np.pi)
    rotations = [np.abs(np.diff(angle)).sum() / (2 * np.pi) for angle in turned]
    return {
        "valve_rotations": float(np.mean(rotations)),
        "valve_clockwise": float(np.mean([-angle.min() for angle in turned])),
        "valve_counter_clockwise": float(np.mean([angle.max() for angle in turned])),
        "valve_range": float(ranges.mean()),
        "valve_half_turn": float((ranges >= 0.5).mean()),
    }


@torch.no_grad()
def held_out_nll(learner: Learner, episodes: Sequence[Sequence[Episode]]) -> Figures | None:
    """Return -E log q_z(s) of each run's density over states it was not fitted to, (R,) nats.

    Of a density that is a lower bound this is an upper bound. None where the method has no
    density. States beyond the fewest that all runs have are left out.
    """
    density = getattr(learner.objective, "density", None)
    if density is None:
        return None
    obs = [torch.from_numpy(reached(run)) for run in episodes]
    count = min(len(run) for run in obs)
    state = learner.space.select(torch.stack([run[:count] for run in obs]))
    skill = torch.from_numpy(np.stack([skills(run)[:count] for run in episodes]))
    onehot, generators = skill_onehot(skill, learner.layout), Generators(range(len(obs)))
    if isinstance(learner.objective, PseudoCount):
        onehot = onehot[..., :0]  # its density is of all skills' states together
    total = np.zeros(len(obs))
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        logs = density.log_prob(state[:, part], onehot[:, part], generators)
        total += logs.double().sum(1).numpy()
    return -total / count


def log_density_of(learner: Learner, told: LogDensity | None) -> tuple[LogDensity | None, str]:
    """Return log p*(s) as a function of observations, and what is to be known about it.

    `told` is the environment's own `log_target(obs)`, its reward as a function of observations,
    (N,) in nats, -inf where no state can be; None where it has none. Observations are NaN in
    entries that are not known; a density that needs them returns NaN.
    """
    target = learner.config.target
    if told is None and target.name in (SUGGESTED, REWARD):
        return None, "p* is the environment's reward, of which it tells no log_target(obs)"

    def log_density(obs: NDArray[np.float32]) -> NDArray[np.float64]:
        reward = np.zeros(len(obs)) if told is None else np.asarray(told(obs), np.float64)
        impossible = np.isneginf(reward)
        finite = torch.from_numpy(np.where(impossible, 0.0, reward))
        state = learner.space.select(torch.from_numpy(obs))
        logs = learner.target.log_prob(state, finite).double().numpy()
        return np.where(impossible, -np.inf, logs)

    is_whole = told is not None or not target.reward_weight
    note = "the target is its reference density, without what the reward adds to log p*"
    return log_density, "" if is_whole else note
