"""Plays an environment and learns from it, as `smm train` does, for as many steps as asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from smm_core.acting import ActingPolicy, acting_seed
from smm_core.config import from_mapping
from smm_core.environments import layout_of, make_env, make_envs
from smm_core.learner import Learner, LearnerConfig
from smm_core.rollout import Rollout
from smm_core.train import with_env_defaults

RANDOM_STEPS, WARM_UP = 150, 30
"""Random steps fill a batch; then come some updates that are not counted."""


class Player:
    """R runs of one environment each with their learner; a step is one step and update of each."""

    def __init__(self, env_id: str, settings: Mapping[str, Any], seeds: Sequence[int]) -> None:
        env = make_env(env_id)
        fixed = {"random_steps": RANDOM_STEPS, "replay_capacity": 100_000}
        config = from_mapping(LearnerConfig, {**fixed, **settings})
        config = with_env_defaults(config, env.unwrapped.metadata)
        layout = layout_of(env, config.num_skills)
        env.close()
        self.learner = Learner(layout, config, seeds)
        self.acting = ActingPolicy(
            layout, config.sac.hidden, self.learner.history, [acting_seed(s) for s in seeds]
        )
        self.envs = make_envs(env_id, len(seeds))
        self.rollout = Rollout(self.envs, self.acting, seeds)

    def play(self, steps: int) -> None:
        """Play and learn so many steps."""
        for _ in range(steps):
            transition = self.rollout.step()
            self.learner.observe(transition)
            self.learn()

    def learn(self) -> None:
        """Make the updates that the steps so far owe."""
        learner = self.learner
        while learner.updates_owed > 0:
            learner.update()
        if learner.snapshot_due:
            learner.snapshot()

    def warm_up(self) -> None:
        """Get the random steps and the first updates over."""
        self.play(RANDOM_STEPS + WARM_UP)

    def close(self) -> None:
        """Close the environments."""
        self.rollout.close()


def seconds(work: Callable[[], Any]) -> float:
    """Return how long a piece of work takes, s."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
