"""One episode as it was played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smm_core.transitions import Floats


@dataclass(frozen=True)
class Episode:
    """T steps of one policy with one skill, from reset to end."""

    skill: int
    obs: Floats
    """(T + 1, obs_size), the first from the reset"""
    reward: Floats
    """(T,), nats"""
    terminated: bool
    """Whether the task ended, or only the clock"""
    info: dict[str, NDArray[np.float64]]
    """Numbers told beside the observations by every step, (T + 1,) each; NaN where the reset
    did not tell them"""

    @property
    def reached(self) -> Floats:
        """The observations reached by the steps, (T, obs_size)."""
        return self.obs[1:]


def reached(episodes: Sequence[Episode]) -> Floats:
    """Return all observations reached in episodes, (N, obs_size)."""
    return np.concatenate([episode.reached for episode in episodes])


def skills(episodes: Sequence[Episode]) -> NDArray[np.int64]:
    """Return the skill by which each observation of `reached` was reached, (N,)."""
    return np.repeat([e.skill for e in episodes], [len(e.reward) for e in episodes])
