"""The trainer's learning thread, fed by several hands in turn, without a graph around it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch

from smm_core.config import from_mapping
from smm_core.learner import LearnerConfig
from smm_core.transitions import Layout
from smm_ros.bench.player import RANDOM_STEPS, WARM_UP, seconds
from smm_ros.bench.random_walk import step_of, walk
from smm_ros.bench.synthetic import STATE
from smm_ros.dclaw.spec import EPISODE_STEPS
from smm_ros.learning_thread import LearningThread
from smm_ros.records import TransitionRecord
from smm_ros.trainer_config import TrainerConfig

POLL = 5e-4
"""Time between two looks at how far the thread is, s."""


class FedThread:
    """A thread that learns from so many hands, warm; ended by `close`."""

    def __init__(self, settings: Mapping[str, Any], hands: int) -> None:
        fixed = {"state": STATE, "random_steps": RANDOM_STEPS, "replay_capacity": 10_000}
        learner = from_mapping(LearnerConfig, {**fixed, **settings})
        config = TrainerConfig(
            hands=tuple(f"/hand_{index}" for index in range(hands)),
            threads=torch.get_num_threads(),
            learner=learner,
        )
        layout = Layout(12, 9, learner.num_skills)
        self._hands, self._put = config.hand_names, 0
        self._path = walk()
        self._thread = LearningThread(config, layout, lambda _: None, lambda: None)
        self._thread.start()
        self.milliseconds(RANDOM_STEPS + WARM_UP)

    def milliseconds(self, steps: int) -> float:
        """Return how long a transition takes from the queue to its update, ms."""
        return seconds(lambda: self._feed(steps)) / steps * 1e3

    def close(self) -> None:
        """End the thread."""
        self._thread.stop()

    def _feed(self, steps: int) -> None:
        for _ in range(steps):
            self._thread.put(self._record())
        while self._thread.learner.updates < self._put - RANDOM_STEPS:
            if self._thread.error is not None:
                raise self._thread.error
            time.sleep(POLL)

    def _record(self) -> TransitionRecord:
        """Return the next step of the hand whose turn it is."""
        sequence, hand = divmod(self._put, len(self._hands))
        self._put += 1
        episode, step = divmod(sequence, EPISODE_STEPS)
        return step_of(self._path, step, sequence, sequence, episode, self._hands[hand])
