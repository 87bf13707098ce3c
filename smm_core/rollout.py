"""R environments played in step by one acting policy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smm_core.acting import ActingPolicy
from smm_core.environments import Environments
from smm_core.transitions import Transition, TransitionError


class Rollout:
    """Steps the environments; every call gives one transition of each."""

    def __init__(
        self,
        envs: Environments,
        acting: ActingPolicy,
        seeds: Sequence[int],
        first_lengths: Sequence[int] | None = None,
    ) -> None:
        """Begin an episode everywhere.

        The first ones are cut after `first_lengths` (R,) steps where they last that long; by
        default none is.
        """
        self.envs, self.acting = envs, acting
        self._num_steps = 0
        self._cuts = np.array(first_lengths or [0] * len(envs))
        """Step at which the episode under way is cut, 0 where it is not."""
        self._obs = np.zeros((len(envs), acting.layout.obs_size), np.float32)
        self._begin(range(len(envs)), seeds)

    def step(self) -> Transition:
        """Play one step everywhere; an episode that ends begins anew before the next step.

        Raises TransitionError where an environment returns a number that is not finite.
        """
        obs, action = self._obs.copy(), self.acting.act(self._obs).copy()
        self._obs, reward, terminated, truncated = self.envs.step(action)
        self._num_steps += 1
        truncated |= self._cuts == self._num_steps
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
                "the environment, counted run by run"
            ) from error
        ended = np.flatnonzero(terminated | truncated).tolist()
        if ended:
            self._cuts[ended] = 0
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
