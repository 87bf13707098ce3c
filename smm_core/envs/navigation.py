"""Navigation (paper, figure 2a): a point in a room from which long halls lead away.

A step moves the point by at most a sixtieth of the way from the centre to a hall's end, along
walls where it meets them, so a straight run takes 60 of an episode's 100 steps at any length.
An episode begins at the centre exactly; nothing is random.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from smm_core.envs.halls import Array, Halls
from smm_core.envs.halls_view import picture

Floats: TypeAlias = NDArray[np.float32]
Bools: TypeAlias = NDArray[np.bool_]
Info: TypeAlias = dict[str, Any]

STRAIGHT_RUN = 60
"""Steps from the centre to a hall's end."""

EPISODE_STEPS = 100

BINS_TO_AN_END = 24
"""Bins of the marginal from the centre to a hall's end: 0.5 m wide at length 10."""

OBS_NAMES = ("x", "y")

METADATA: Info = {
    "render_modes": ["rgb_array"],
    "render_fps": 10,
    "matched_state": {"linear": [0, 1], "circular": []},
    # The paper's log p*: the reward in a goal is the share of it that its hall has.
    "target": {"name": "reward"},
}


class Points:
    """N points in the halls: the one model behind the environment and the vectorised one."""

    def __init__(self, halls: Halls, num_points: int, render_mode: str | None) -> None:
        if render_mode not in (None, *METADATA["render_modes"]):
            raise ValueError(f"render_mode is {render_mode!r}, expected None or 'rgb_array'")
        self.halls = halls
        self.step_length = halls.radius / STRAIGHT_RUN
        """m, the longest displacement of a step."""
        self.position = np.zeros((num_points, 2))
        """(N, 2) m."""
        self.action_space = Box(-1.0, 1.0, (2,), np.float32)
        low, high = (bound.astype(np.float32) for bound in halls.bounds)
        self.observation_space = Box(low, high, dtype=np.float32)

    def begin(self, mask: Bools, options: Info) -> None:
        """Bring the masked points (N,) to the centre, or to `options["position"]` (N, 2) m."""
        start = np.zeros_like(self.position)
        if "position" in options:
            start[:] = np.asarray(options["position"], np.float64)
            outside = ~self.halls.contains(start) & mask
            if outside.any():
                raise ValueError(
                    f"position is {start[outside][0].tolist()}, expected a point in the halls: "
                    f"{self.halls.num_halls} of length {self.halls.hall_length:g} m"
                )
        self.position[mask] = start[mask]

    def advance(self, actions: ArrayLike) -> None:
        """Move every point by its action (N, 2), whose length counts up to 1."""
        wanted = np.asarray(actions, np.float64)
        if wanted.shape != self.position.shape:
            raise ValueError(f"actions have shape {wanted.shape}, expected {self.position.shape}")
        if not np.isfinite(wanted).all():
            where = int(np.flatnonzero(~np.isfinite(wanted).all(-1))[0])
            raise ValueError(f"action {where} is {wanted[where].tolist()}, expected numbers")
        length = np.sqrt(wanted[:, :1] ** 2 + wanted[:, 1:] ** 2)
        displacement = self.step_length * wanted / np.maximum(length, 1.0)
        self.position = self.halls.move(self.position, displacement)

    def obs(self) -> Floats:
        """Return what is seen of the points, float32 (N, 2): x and y in m."""
        return self.position.astype(np.float32)

    def rewards(self, reached: NDArray[np.int64]) -> Array:
        """Return the weights (N,) of the halls whose goals were reached (N,), 0 where none."""
        return np.where(reached >= 0, self.halls.weights[reached], 0.0)

    def info(self) -> dict[str, NDArray[Any]]:
        """Return where the points are in the halls, arrays (N,)."""
        hall, depth = self.halls.depth(self.position)
        return {"hall_reached": self.halls.reached(self.position), "hall": hall, "depth": depth}

    def metadata(self, given: Info) -> Info:
        """Return an environment's metadata with the bins of the marginal of this map."""
        width = self.halls.radius / BINS_TO_AN_END
        low, high = self.halls.bounds
        evaluation = {
            "names": list(OBS_NAMES),
            "entries": [0, 1],
            "low": (np.floor(low / width) * width).tolist(),
            "high": (np.ceil(high / width) * width).tolist(),
            "bin_width": [width, width],
        }
        return {**given, "evaluation": evaluation}


class NavigationEnv(gymnasium.Env[Floats, Floats]):
    """One point: observation (x, y) in m, float32; action in [-1, 1]^2, at most 1 long.

    The reward in a hall's goal is the hall's weight, 1 / num_halls where none are given, and 0
    elsewhere. The info of reset and step holds `hall_reached` (whose goal the point is in),
    `hall` (the hall it is in; both -1 for none) and `depth` (m from that hall's mouth).
    `gymnasium.make` ends an episode after EPISODE_STEPS steps.
    """

    metadata = METADATA

    def __init__(
        self,
        num_halls: int = 3,
        hall_length: float = 10.0,
        hall_weights: Sequence[float] | None = None,
        render_mode: str | None = None,
    ) -> None:
        """Build the map; raises ValueError as `Halls` does and for an unknown render mode."""
        self.halls = Halls(num_halls, hall_length, hall_weights)
        self._points = Points(self.halls, 1, render_mode)
        self.render_mode = render_mode
        self.action_space = self._points.action_space
        self.observation_space = self._points.observation_space
        self.metadata = self._points.metadata(METADATA)

    def reset(
        self, *, seed: int | None = None, options: Info | None = None
    ) -> tuple[Floats, Info]:
        """Bring the point to the centre, or to `options["position"]`, (2,) m."""
        super().reset(seed=seed)
        self._points.begin(np.ones(1, np.bool_), options or {})
        return self._points.obs()[0], self._info()

    def step(self, action: Floats) -> tuple[Floats, float, bool, bool, Info]:
        """Move the point by an action (2,); raises ValueError where it is not two numbers."""
        self._points.advance(np.asarray(action)[None])
        info = self._info()
        reward = float(self._points.rewards(np.array([info["hall_reached"]]))[0])
        return self._points.obs()[0], reward, False, False, info

    def log_target(self, obs: Floats) -> Array:
        """Return log p* at observations (N, 2), (N,) nats up to a constant; -inf in the walls."""
        position = np.asarray(obs, np.float64)
        known = ~np.isnan(position).any(-1)
        found = np.full(len(position), np.nan)
        inside, place = self.halls.contains(position[known]), position[known]
        reward = self._points.rewards(self.halls.reached(place))
        found[known] = np.where(inside, reward, -np.inf)
        return found

    def render(self) -> NDArray[np.uint8] | None:
        """Return the map with the point, uint8 (height, width, 3), where asked for at birth."""
        return picture(self.halls, self._points.position[0]) if self.render_mode else None

    def _info(self) -> Info:
        return {name: values[0].item() for name, values in self._points.info().items()}


class NavigationVectorEnv(VectorEnv[Floats, Floats, NDArray[Any]]):
    """Many points stepped at once, each exactly as it is in `NavigationEnv`.

    An episode that has ended waits for its reset, `reset(options={"reset_mask": ended})`.
    """

    metadata = {**METADATA, "autoreset_mode": AutoresetMode.DISABLED}

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int = EPISODE_STEPS,
        num_halls: int = 3,
        hall_length: float = 10.0,
        hall_weights: Sequence[float] | None = None,
        render_mode: str | None = None,
    ) -> None:
        """Build the map; raises ValueError as `NavigationEnv` does and where there is no point."""
        for name, count in (("num_envs", num_envs), ("max_episode_steps", max_episode_steps)):
            if count < 1:
                raise ValueError(f"{name} is {count!r}, expected at least 1")
        self.halls = Halls(num_halls, hall_length, hall_weights)
        self._points = Points(self.halls, num_envs, render_mode)
        self.num_envs, self.render_mode = num_envs, render_mode
        self.single_action_space = self._points.action_space
        self.single_observation_space = self._points.observation_space
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.metadata = self._points.metadata(type(self).metadata)
        self._max_episode_steps = max_episode_steps
        # No episode has begun before the first reset.
        self._num_steps = np.full(num_envs, max_episode_steps)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Info | None = None,
    ) -> tuple[Floats, Info]:
        """Begin the episodes of `options["reset_mask"]`, bool (num_envs,), by default of all.

        `options["position"]`, (num_envs, 2) m, says where. Seeds change nothing: one, or one for
        each point, is taken so that this environment can stand in for another.
        """
        super().reset(seed=seed if isinstance(seed, int) else None)
        mask = self._mask(options or {})
        self._points.begin(mask, options or {})
        self._num_steps[mask] = 0
        return self._points.obs(), self._info()

    def step(self, actions: Floats) -> tuple[Floats, Array, Bools, Bools, Info]:
        """Move every point by its action (num_envs, 2).

        Raises:
            ResetNeeded: an episode has ended, or none has begun.
            ValueError: actions of another shape or that are not numbers.
        """
        waiting = np.flatnonzero(self._num_steps >= self._max_episode_steps)
        if len(waiting):
            raise ResetNeeded(
                f"{len(waiting)} of {self.num_envs} points, the first is {waiting[0]}, have no "
                "episode under way; reset them with options={'reset_mask': ...}"
            )
        self._points.advance(actions)
        self._num_steps += 1
        info = self._info()
        truncated = self._num_steps >= self._max_episode_steps
        terminated = np.zeros(self.num_envs, np.bool_)
        rewards = self._points.rewards(info["hall_reached"])
        return self._points.obs(), rewards, terminated, truncated, info

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Return a map for each point, uint8 (height, width, 3), where asked for at birth."""
        if not self.render_mode:
            return None
        return tuple(picture(self.halls, position) for position in self._points.position)

    def _mask(self, options: Info) -> Bools:
        mask = options.get("reset_mask", np.ones(self.num_envs, np.bool_))
        is_mask = isinstance(mask, np.ndarray) and mask.dtype == np.bool_
        if not is_mask or mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(
                f"reset_mask is {mask!r}, expected a bool array ({self.num_envs},), not all False"
            )
        return mask

    def _info(self) -> Info:
        values = self._points.info()
        # gymnasium's convention: beside each entry which points have it.
        have = {f"_{name}": np.ones(self.num_envs, np.bool_) for name in values}
        return {**values, **have}
