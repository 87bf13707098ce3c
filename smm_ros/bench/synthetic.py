"""A learner fed with random numbers of the sizes asked for: what it costs, without physics."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from smm_core.config import from_mapping
from smm_core.device import CPU
from smm_core.learner import Learner, LearnerConfig
from smm_core.transitions import Layout, Transition
from smm_ros.bench.player import seconds

DISTINCT, WARM_UP = 100, 15
STATE = {"circular": [9, 10]}
"""The D'Claw's matched state, its valve's angle."""


def transitions(layout: Layout, runs: int) -> Iterator[Transition]:
    """Yield random steps without end; nothing but their sizes is like the hand's."""
    rng = np.random.default_rng(0)
    shape = (runs, layout.obs_size)
    return itertools.cycle(
        [
            Transition(
                obs=rng.normal(size=shape).astype(np.float32),
                action=rng.uniform(-1, 1, (runs, layout.action_size)).astype(np.float32),
                reward=rng.normal(size=runs).astype(np.float32),
                next_obs=rng.normal(size=shape).astype(np.float32),
                skill=rng.integers(layout.num_skills, size=runs),
                terminated=np.zeros(runs, bool),
                truncated=np.zeros(runs, bool),
            )
            for _ in range(DISTINCT)
        ]
    )


class SyntheticLearner:
    """R runs that learn from random numbers, with so many rows in the replay, warm."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        obs_size: int = 12,
        runs: int = 1,
        rows: int = 10_000,
        device: torch.device = CPU,
    ) -> None:
        config = from_mapping(LearnerConfig, {"state": STATE, **settings, "replay_capacity": rows})
        layout = Layout(obs_size, 9, config.num_skills)
        self.learner = Learner(layout, config, range(runs), device)
        self._steps = transitions(layout, runs)
        self._fill(rows)
        self.milliseconds(WARM_UP)

    def _fill(self, rows: int) -> None:
        """Fill the replay at once; what a density counts is what comes by `observe`."""
        replay = self.learner.replay
        for _ in range(DISTINCT):
            self.learner.observe(next(self._steps))
        known = replay.state()["rows"]
        drawn = torch.randint(known.shape[1], (rows,), device=known.device)
        replay.load_state({"rows": known[:, drawn], "added": torch.tensor(rows)})

    def milliseconds(self, steps: int) -> float:
        """Observe and learn from some steps; return the milliseconds of one, all runs together."""

        def work() -> None:
            for _ in range(steps):
                self.learner.observe(next(self._steps))
                losses = self.learner.update()
            for loss in losses.values():
                loss.tolist()  # a GPU is only done when it has told what it found

        return seconds(work) / steps * 1e3
