"""One environment step as numpy arrays, and the sizes that describe it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


LARGEST = 1e9
"""Largest magnitude that is taken for a measurement."""


class TransitionError(ValueError):
    """A transition does not fit the layout or holds a number that is not finite."""


@dataclass(frozen=True)
class Layout:
    """The sizes that a policy, a replay buffer and a snapshot must agree on."""

    obs_size: int
    action_size: int
    num_skills: int = 1

    @property
    def skill_size(self) -> int:
        """Width of the one-hot skill input: none is needed where there is one skill only."""
        return self.num_skills if self.num_skills > 1 else 0


@dataclass(frozen=True)
class Transition:
    """One step of R runs that advance together; R is 1 on a robot.

    Where each run plays in several environments side by side, R counts the environments, those of
    a run next to each other.
    `terminated` (the task ended: no value beyond) and `truncated` (the clock ran out: the value
    goes on) are kept apart because only the first cuts the bootstrap.
    """

    obs: Floats
    """(R, obs_size)"""
    action: Floats
    """(R, action_size), as applied after any clamp, in [-1, 1]"""
    reward: Floats
    """(R,), nats: the environment's part of log p*(s) at `next_obs`"""
    next_obs: Floats
    """(R, obs_size)"""
    skill: NDArray[np.int64]
    """(R,), 0 .. num_skills - 1"""
    terminated: NDArray[np.bool_]
    """(R,)"""
    truncated: NDArray[np.bool_]
    """(R,)"""

    def of_first(self, count: int, copies: int) -> Transition:
        """Return the part of the first `count` of each run's `copies` environments."""
        kept = np.arange(len(self.obs)) % copies < count
        return Transition(**{name: values[kept] for name, values in vars(self).items()})

    def check(self, layout: Layout) -> None:
        """Raise TransitionError naming the first field that does not fit or is not finite."""
        runs = len(self.obs)
        widths = {
            "obs": layout.obs_size,
            "action": layout.action_size,
            "next_obs": layout.obs_size,
        }
        for name, values in vars(self).items():
            shape = (runs, widths[name]) if name in widths else (runs,)
            if values.shape != shape:
                raise TransitionError(f"{name} has shape {values.shape}, expected {shape}")
            # Not NaN, not infinite, and not so large that its square overflows a float32.
            if values.dtype != np.bool_ and not np.abs(values).max(initial=0) <= LARGEST:
                where = tuple(int(i) for i in np.argwhere(~(np.abs(values) <= LARGEST))[0])
                raise TransitionError(
                    f"{name}{list(where)} is {values[where]}, "
                    f"expected a number within +-{LARGEST:g}"
                )
        if self.skill.min() < 0 or self.skill.max() >= layout.num_skills:
            raise TransitionError(
                f"skill is {self.skill.tolist()}, expected 0 .. {layout.num_skills - 1}"
            )
