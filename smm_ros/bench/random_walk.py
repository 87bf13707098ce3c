"""Random transitions as hands send them; imports no torch, whose memory would be measured too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smm_ros.dclaw.spec import EPISODE_STEPS
from smm_ros.records import TransitionRecord


def walk() -> NDArray[np.float32]:
    """Return the random observations of an episode, (EPISODE_STEPS + 1, 12)."""
    return np.random.default_rng(0).normal(size=(EPISODE_STEPS + 1, 12)).astype(np.float32)


def step_of(
    path: NDArray[np.float32],
    step: int,
    stamp_ns: int,
    sequence: int,
    episode: int,
    hand: str = "dclaw",
) -> TransitionRecord:
    """Return the transition at a step of a walk, as the hand would have made it."""
    return TransitionRecord(
        stamp_ns=stamp_ns,
        hand=hand,
        sequence=sequence,
        episode=episode,
        step=step,
        skill=0,
        policy_version=0,
        observation=path[step],
        action=np.zeros(9, np.float32),
        next_observation=path[step + 1],
        log_p_shaping=-0.1,
        terminated=False,
        truncated=step == EPISODE_STEPS - 1,
    )
