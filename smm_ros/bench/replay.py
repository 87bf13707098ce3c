"""The replay buffer against Stable-Baselines3's: transitions put in, and drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box

from smm_core.generators import Generators
from smm_core.replay import ReplayBuffer
from smm_core.transitions import Layout
from smm_ros.bench.comparison import Comparison, Contestant, Line, Setting, optional_module
from smm_ros.bench.player import seconds
from smm_ros.bench.synthetic import transitions

LAYOUT = Layout(obs_size=12, action_size=9)
BATCH = 256
SIZES = (100_000, 1_000_000)
OURS, BASE = "this project", "Stable-Baselines3"


@contextmanager
def _prepare(setting: Setting) -> Iterator[list[Contestant]]:
    buffers = optional_module(
        "stable_baselines3.common.buffers", "stable-baselines3 is not installed"
    )
    inserts, samples = setting.pick((5000, 1000), (1000, 200))
    yield [
        contestant
        for rows in SIZES
        for contestant in (
            _theirs(buffers.ReplayBuffer, rows, inserts, samples),
            _ours(rows, inserts, samples),
        )
    ]


def _lines(name: str, rows: int) -> tuple[Line, ...]:
    groups = (f"insert, {rows:,} rows", f"draw {BATCH}, {rows:,} rows")
    return tuple(Line(name, "transitions/s", BASE, group) for group in groups)


def _ours(rows: int, inserts: int, samples: int) -> Contestant:
    buffer, steps = ReplayBuffer(LAYOUT, rows, 1), transitions(LAYOUT, 1)
    generators = Generators([0])
    buffer.add(next(steps))
    width = buffer.state()["rows"].shape[-1]
    buffer.load_state({"rows": torch.rand(1, rows, width), "added": torch.tensor(rows)})

    def insert() -> None:
        for _ in range(inserts):
            buffer.add(next(steps))

    def draw() -> None:
        for _ in range(samples):
            buffer.sample(BATCH, generators)

    return Contestant(
        _lines(OURS, rows), lambda: [inserts / seconds(insert), samples * BATCH / seconds(draw)]
    )


def _theirs(make: Any, rows: int, inserts: int, samples: int) -> Contestant:
    space = Box(-np.inf, np.inf, (LAYOUT.obs_size,), np.float32)
    buffer = make(rows, space, Box(-1.0, 1.0, (LAYOUT.action_size,), np.float32), device="cpu")
    steps, infos = transitions(LAYOUT, 1), [dict[str, Any]()]
    buffer.observations[:] = np.random.default_rng(0).random(buffer.observations.shape)
    buffer.full = True

    def insert() -> None:
        for _ in range(inserts):
            step = next(steps)
            buffer.add(step.obs, step.next_obs, step.action, step.reward, step.terminated, infos)

    def draw() -> None:
        for _ in range(samples):
            buffer.sample(BATCH)

    return Contestant(
        _lines(BASE, rows), lambda: [inserts / seconds(insert), samples * BATCH / seconds(draw)]
    )


COMPARISON = Comparison(
    "replay",
    "the replay buffer against Stable-Baselines3's: transitions put in one by one, and drawn in "
    "batches of 256 (12 observations, 9 actions)",
    _prepare,
)
