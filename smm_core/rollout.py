"""R environments played in step by one acting policy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smm_core.acting import ActingPolicy
from smm_core.environments import Environments
from smm_core.transitions import Transition, TransitionError


class Rollout:
    """Steps the environments; every call gives one transition of each."""

    def __init__(self, envs: Environments, acting: ActingPolicy, seeds: Sequence[int]) -> None:
        self.envs, self.acting = envs, acting
        self._obs = np.zeros((len(envs), acting.layout.obs_size), np.float32)
        self._begin(range(len(envs)), seeds)

    def step(self) -> Transition:
        """Play one step everywhere; an episode that ends begins anew before the next step.

        Raises TransitionError where an environment returns a number that is not finite.
        """
        obs, action = self._obs.copy(), self.acting.act(self._obs).copy()
        self._obs, reward, terminated, truncated = self.envs.step(action)
        for run, info in enumerate(self.envs.infos):
            if "action_applied" in info:
                action[run] = np.ravel(info["action_applied"])
        skill = self.acting.skill.numpy().copy()
        step = Transition(obs, action, reward, self._obs.copy(), skill, terminated, truncated)
        try:
            step.check(self.acting.layout)
        except TransitionError as error:
            raise TransitionError(
                f"the environment gave what can not be learnt from: {error}; the first index is "
                "the run"
            ) from error
        ended = np.flatnonzero(terminated | truncated).tolist()
        if ended:
            self._begin(ended, [None] * len(ended))
        return step

    def close(self) -> None:
        """Close the environments."""
        self.envs.close()

    def _begin(self, runs: Sequence[int], seeds: Sequence[int | None]) -> None:
        obs = self.envs.reset(runs, seeds)
        if not np.isfinite(obs).all():
            raise TransitionError(f"reset returned {obs}, expected finite numbers")
        self._obs[list(runs)] = obs
        for run in runs:
            self.acting.begin_episode(run)
