"""Several gymnasium environments stepped together, each run's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from smm_core.config import ConfigError
from smm_core.options import read_value
from smm_core.transitions import Floats, Layout

Env = gymnasium.Env[Any, Any]
Info = dict[str, Any]
Bools = NDArray[np.bool_]

EPISODE_LIMIT = 1000
"""Steps of an episode where nothing else says when it ends."""


class Environments(Protocol):
    """R environments of one kind with flat observations and actions in [-1, 1]."""

    @property
    def metadata(self) -> dict[str, Any]:
        """What the environment tells of itself; the same for all."""

    @property
    def infos(self) -> list[Info]:
        """What each told last beside its observation."""

    def __len__(self) -> int:
        """Return R."""

    def reset(self, runs: Sequence[int], seeds: Sequence[int | None]) -> Floats:
        """Begin an episode in the runs named, each with its seed; return their observations."""

    def step(self, action: Floats) -> tuple[Floats, Floats, Bools, Bools]:
        """Take (R, action_size); return obs (R, obs_size), reward, terminated, truncated (R,).

        An episode that has ended has to be begun anew before the next step.
        """

    def close(self) -> None:
        """Close all of them."""


class SeparateEnvs:
    """Environments stepped one after the other; works with any."""

    def __init__(self, envs: Sequence[Env]) -> None:
        self.envs = list(envs)
        self.metadata = self.envs[0].unwrapped.metadata
        self.infos: list[Info] = [{} for _ in self.envs]

    def __len__(self) -> int:
        return len(self.envs)

    def reset(self, runs: Sequence[int], seeds: Sequence[int | None]) -> Floats:
        """Begin an episode in the runs named; return their observations, flat."""
        rows = []
        for run, seed in zip(runs, seeds, strict=True):
            obs, self.infos[run] = self.envs[run].reset(seed=seed)
            rows.append(np.ravel(obs))
        return np.array(rows, np.float32)

    def step(self, action: Floats) -> tuple[Floats, Floats, Bools, Bools]:
        """Step each environment; see `Environments`."""
        rows = []
        reward = np.zeros(len(self), np.float32)
        terminated, truncated = np.zeros(len(self), bool), np.zeros(len(self), bool)
        for run, env in enumerate(self.envs):
            shaped = action[run].reshape(env.action_space.shape)
            obs, reward[run], terminated[run], truncated[run], self.infos[run] = env.step(shaped)
            rows.append(np.ravel(obs))
        return np.array(rows, np.float32), reward, terminated, truncated

    def close(self) -> None:
        """Close all of them."""
        for env in self.envs:
            env.close()


class VectorEnvs:
    """An environment that steps many at once by itself, with autoreset disabled."""

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        self.env = env
        self.metadata = env.unwrapped.metadata
        self.infos: list[Info] = [{} for _ in range(env.num_envs)]
        self._was_reset = False

    def __len__(self) -> int:
        return self.env.num_envs

    def reset(self, runs: Sequence[int], seeds: Sequence[int | None]) -> Floats:
        """Begin an episode in the runs named; return their observations."""
        mask, by_run = np.zeros(len(self), bool), dict(zip(runs, seeds, strict=True))
        mask[list(runs)] = True
        seed: Any = [by_run.get(run) for run in range(len(self))]
        if not self._was_reset and not mask.all():
            raise ValueError(f"the first reset is of {list(runs)}, expected all {len(self)}")
        options = {"reset_mask": mask} if self._was_reset else None
        obs, info = self.env.reset(seed=seed, options=options)
        self._was_reset = True
        for run in runs:
            self.infos[run] = _row(info, run)
        return np.asarray(obs, np.float32)[list(runs)]

    def step(self, action: Floats) -> tuple[Floats, Floats, Bools, Bools]:
        """Step all at once; see `Environments`."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        self.infos = [_row(info, run) for run in range(len(self))]
        return (
            np.array(obs, np.float32),
            np.array(reward, np.float32),
            np.array(terminated, bool),
            np.array(truncated, bool),
        )

    def close(self) -> None:
        """Close it."""
        self.env.close()


def _row(info: Info, run: int) -> Info:
    """Return one run's part of a vector environment's info; names with _ are its masks."""
    return {
        name: _row(values, run) if isinstance(values, dict) else values[run]
        for name, values in info.items()
        if not name.startswith("_")
    }


def read_env_options(words: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of an environment's constructor from words like 'num_halls=5'.

    Values are read as YAML does; raises ConfigError for a word without '='.
    """
    options = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ConfigError(f"env_options has {word!r}, expected NAME=VALUE")
        options[name] = read_value(value)
    return options


def make_env(env_id: str, options: Mapping[str, Any] | None = None) -> Env:
    """Make an environment with flat float observations and actions in [-1, 1].

    Where neither it nor its registration says when an episode ends, one ends after EPISODE_LIMIT
    steps: a policy is drawn at the start of an episode and would otherwise be played for ever.
    Raises ConfigError where the id or an option is not known, or the action space is not a
    bounded Box of floats.
    """
    return _fitted(env_id, _made(env_id, options))


def make_envs(env_id: str, count: int, options: Mapping[str, Any] | None = None) -> Environments:
    """Make several equal environments, at once where the environment can be stepped so.

    That is where it has a vectorised form that fits as it is and leaves resets to its user.
    Raises ConfigError as `make_env` does.
    """
    plain = _made(env_id, options)
    first = _fitted(env_id, plain)
    if count > 1 and first is plain and plain.spec is not None and plain.spec.vector_entry_point:
        many = gymnasium.make_vec(
            env_id, count, vectorization_mode="vector_entry_point", **(options or {})
        )
        if many.metadata.get("autoreset_mode") is AutoresetMode.DISABLED:
            first.close()
            return VectorEnvs(many)
        many.close()
    return SeparateEnvs([first, *(make_env(env_id, options) for _ in range(count - 1))])


def _made(env_id: str, options: Mapping[str, Any] | None) -> Env:
    try:
        return gymnasium.make(env_id, **(options or {}))
    except (gymnasium.error.Error, ImportError, TypeError, ValueError, KeyError) as error:
        raise ConfigError(f"can not make the environment {env_id!r}: {error}") from error


def _fitted(env_id: str, env: Env) -> Env:
    """Return the environment itself where it fits as it is, else wrapped."""
    space = env.action_space
    is_float = isinstance(space, Box) and np.issubdtype(space.dtype, np.floating)
    if not isinstance(space, Box) or not is_float or not space.is_bounded():
        raise ConfigError(f"{env_id} has actions {space}, expected a bounded Box of floats")
    if env.spec is None or env.spec.max_episode_steps is None:
        env = gymnasium.wrappers.TimeLimit(env, EPISODE_LIMIT)
    if not isinstance(env.observation_space, Box) or len(env.observation_space.shape) != 1:
        env = gymnasium.wrappers.FlattenObservation(env)
    if (space.low != -1).any() or (space.high != 1).any():
        env = _Scaled(env)
    return env


class _Scaled(gymnasium.wrappers.RescaleAction[Any, Any, Any]):
    """Takes actions in [-1, 1], and tells what was applied in the same scale."""

    def __init__(self, env: Env) -> None:
        super().__init__(env, np.float32(-1), np.float32(1))

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, Info]:
        """Step the environment with the action in its own scale."""
        obs, reward, terminated, truncated, info = super().step(action)
        if "action_applied" in info:
            space = self.env.action_space
            assert isinstance(space, Box)
            share = (info["action_applied"] - space.low) / (space.high - space.low)
            info = {**info, "action_applied": 2.0 * share - 1.0}
        return obs, reward, terminated, truncated, info


def layout_of(env: Env, num_skills: int) -> Layout:
    """Return the sizes of an environment from `make_env`."""
    obs, action = env.observation_space.shape, env.action_space.shape
    assert obs is not None
    assert action is not None
    return Layout(int(np.prod(obs)), int(np.prod(action)), num_skills)
