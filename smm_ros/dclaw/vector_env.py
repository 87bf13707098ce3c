"""The D'Claw many times over, as one vectorised gymnasium environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from smm_ros.dclaw import task
from smm_ros.dclaw.env import (
    KEEP,
    METADATA,
    ZERO,
    Action,
    Info,
    Observation,
    check_valve_reset,
    spaces,
)
from smm_ros.dclaw.hand import wrapped_angle
from smm_ros.dclaw.mujoco_hands import ALL_CORES, MujocoHands
from smm_ros.dclaw.spec import CONTROL_PERIOD, EPISODE_STEPS

Seeds = int | Sequence[int | None] | None
Bools = NDArray[np.bool_]


class DClawExploreVectorEnv(VectorEnv[Observation, Action, NDArray[Any]]):
    """Many simulated hands, each moving exactly as it does in `DClawExploreEnv`.

    An episode that has ended waits for its reset, `reset(options={"reset_mask": ended})`.
    """

    metadata = {**METADATA, "autoreset_mode": AutoresetMode.DISABLED}

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int = EPISODE_STEPS,
        valve_reset: str = ZERO,
        physics_threads: int = ALL_CORES,
    ) -> None:
        """Make the hands; raises ValueError for a number or a `valve_reset` that is none.

        `physics_threads` step them, 0 for one on each core that this process may use.
        """
        if max_episode_steps < 1:
            raise ValueError(f"max_episode_steps is {max_episode_steps!r}, expected at least 1")
        self._keeps_valve = check_valve_reset(valve_reset) == KEEP
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = spaces()
        self.hands = MujocoHands(num_envs, physics_threads)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._state = self.hands.read()
        self._max_episode_steps = max_episode_steps
        # No episode has begun before the first reset.
        self._num_steps = np.full(num_envs, max_episode_steps)

    def reset(
        self, *, seed: Seeds = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, Info]:
        """Begin the episodes of `options["reset_mask"]`, bool (num_envs,), by default of all.

        A seed, or one or None for each hand, and `options["valve_angle"]` (rad, one or
        (num_envs,)) say of those the same as they do in `DClawExploreEnv`.
        """
        super().reset(seed=seed if isinstance(seed, int) else None)
        options = options or {}
        mask = self._mask(options)
        angle = np.zeros(self.num_envs)
        if "valve_angle" in options:
            angle[:] = options["valve_angle"]
        elif self._keeps_valve:
            is_fresh = np.array([one is not None for one in self._each(seed)])
            kept = np.flatnonzero(mask & ~is_fresh)
            angle[kept] = [wrapped_angle(turned) for turned in self._state.valve_angle[kept]]
        self.hands.place(np.flatnonzero(mask).tolist(), angle)
        self._num_steps[mask] = 0
        self._state = self.hands.read()
        return task.observation(self._state), self._info()

    def step(self, actions: Action) -> tuple[Observation, NDArray[np.float64], Bools, Bools, Info]:
        """Apply actions (num_envs, 9) in [-1, 1] for one control period.

        Raises:
            ResetNeeded: an episode has ended, or none has begun.
            HandError: a simulation has diverged.
            ValueError: actions of another shape.
        """
        waiting = np.flatnonzero(self._num_steps >= self._max_episode_steps)
        if len(waiting):
            raise ResetNeeded(
                f"{len(waiting)} of {self.num_envs} hands, the first is {waiting[0]}, have no "
                "episode under way; reset them with options={'reset_mask': ...}"
            )
        if np.shape(actions) != self.action_space.shape:
            shape = self.action_space.shape
            raise ValueError(f"actions have shape {np.shape(actions)}, expected {shape}")
        target = task.target_from_action(actions, self._state)
        sent = self.hands.command(target)
        self.hands.advance(CONTROL_PERIOD)
        self._state = self.hands.read()
        self._num_steps += 1
        truncated = self._num_steps >= self._max_episode_steps
        info = self._info(action_applied=task.action_applied(actions, target, sent))
        reward = task.log_p_shaping(self._state)
        return task.observation(self._state), reward, np.zeros_like(truncated), truncated, info

    def close_extras(self, **kwargs: Any) -> None:
        """End the threads of the physics."""
        self.hands.close()

    def _each(self, seed: Seeds) -> Sequence[int | None]:
        return [seed] * self.num_envs if seed is None or isinstance(seed, int) else seed

    def _mask(self, options: dict[str, Any]) -> Bools:
        mask = options.get("reset_mask", np.ones(self.num_envs, np.bool_))
        is_mask = isinstance(mask, np.ndarray) and mask.dtype == np.bool_
        if not is_mask or mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(
                f"reset_mask is {mask!r}, expected a bool array ({self.num_envs},), not all False"
            )
        return mask

    def _info(self, **more: NDArray[Any]) -> Info:
        counts = {reason: count.copy() for reason, count in self.hands.clamp_counts.items()}
        told = {"valve_angle": self._state.valve_angle.copy(), "clamped": self._marked(counts)}
        return self._marked(told | more)

    def _marked(self, told: Info) -> Info:
        """Return what is told with gymnasium's marks beside each entry: all hands have it."""
        return told | {f"_{name}": np.ones(self.num_envs, np.bool_) for name in told}
