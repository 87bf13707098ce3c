"""R gymnasium environments played in step by one acting policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from smm_core.acting import ActingPolicy
from smm_core.config import ConfigError
from smm_core.transitions import Layout, Transition, TransitionError

Env = gymnasium.Env[Any, Any]


def make_env(env_id: str) -> Env:
    """Make an environment with flat float observations and actions in [-1, 1].

    Raises ConfigError where the id is not known or the action space is not a bounded Box.
    """
    try:
        env = gymnasium.make(env_id)
    except (gymnasium.error.Error, ModuleNotFoundError) as error:
        raise ConfigError(f"can not make the environment {env_id!r}: {error}") from error
    space = env.action_space
    if not isinstance(space, Box) or not space.is_bounded():
        raise ConfigError(f"{env_id} has actions {space}, expected a bounded Box")
    if not isinstance(env.observation_space, Box) or len(env.observation_space.shape) != 1:
        env = gymnasium.wrappers.FlattenObservation(env)
    if (space.low != -1).any() or (space.high != 1).any():
        env = gymnasium.wrappers.RescaleAction(env, np.float32(-1), np.float32(1))
    return env


def layout_of(env: Env, num_skills: int) -> Layout:
    """Return the sizes of an environment from `make_env`."""
    obs, action = env.observation_space.shape, env.action_space.shape
    assert obs is not None
    assert action is not None
    return Layout(int(np.prod(obs)), int(np.prod(action)), num_skills)


class Rollout:
    """Steps the environments; every call gives one transition of each."""

    def __init__(self, envs: Sequence[Env], acting: ActingPolicy, seeds: Sequence[int]) -> None:
        self.envs, self.acting = envs, acting
        self.infos: list[dict[str, Any]] = [{} for _ in envs]
        self._obs = np.zeros((len(envs), acting.layout.obs_size), np.float32)
        for run, seed in enumerate(seeds):
            self._begin(run, seed)

    def step(self) -> Transition:
        """Play one step everywhere; an episode that ends begins anew before the next step.

        Raises TransitionError where an environment returns a number that is not finite.
        """
        runs, layout = len(self.envs), self.acting.layout
        obs = self._obs.copy()
        action = self.acting.act(obs).copy()
        reward = np.zeros(runs, np.float32)
        terminated, truncated = np.zeros(runs, bool), np.zeros(runs, bool)
        for run, env in enumerate(self.envs):
            shaped = action[run].reshape(env.action_space.shape)
            next_obs, reward[run], terminated[run], truncated[run], info = env.step(shaped)
            self._obs[run] = np.ravel(next_obs)
            self.infos[run] = info
            action[run] = np.ravel(info.get("action_applied", action[run]))
        skill = self.acting.skill.numpy().copy()
        step = Transition(obs, action, reward, self._obs.copy(), skill, terminated, truncated)
        step.check(layout)
        for run in np.flatnonzero(terminated | truncated).tolist():
            self._begin(run, None)
        return step

    def close(self) -> None:
        """Close the environments."""
        for env in self.envs:
            env.close()

    def _begin(self, run: int, seed: int | None) -> None:
        obs, self.infos[run] = self.envs[run].reset(seed=seed)
        self._obs[run] = np.ravel(obs)
        if not np.isfinite(self._obs[run]).all():
            raise TransitionError(f"reset returned {obs}, expected finite numbers")
        self.acting.begin_episode(run)
