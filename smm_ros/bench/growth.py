"""How the time of one learnt step grows with what there is more of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np

from smm_core.environments import Environments, make_envs
from smm_core.options import read_yaml
from smm_ros.bench.comparison import Comparison, Contestant, Line, Setting
from smm_ros.bench.hands import FedThread
from smm_ros.bench.player import seconds
from smm_ros.bench.synthetic import SyntheticLearner
from smm_ros.dclaw import ENV_ID
from smm_ros.share import share_path

Turn = Callable[[], Sequence[float]]
Growth = tuple[str, Sequence[int], Sequence[int], Callable[[int], Turn]]
"""What there is more of, sizes, sizes where all is to be over soon, and what measures one."""


@contextmanager
def _prepare(setting: Setting) -> Iterator[list[Contestant]]:
    settings = read_yaml(share_path("config", "train_dclaw.yaml"))["learner"]
    steps = setting.pick(40, 12)

    def learner(size: int = 0, **sizes: Any) -> Turn:
        given = settings | {"num_skills": sizes.pop("skills", 1)}
        found = SyntheticLearner(given, **sizes)
        return lambda: [found.milliseconds(steps)]

    with ExitStack() as stack:
        growths: list[Growth] = [
            ("rows of replay", (10_000, 100_000, 1_000_000), (10_000, 1_000_000),
             lambda size: learner(rows=size)),
            ("skills", (1, 4, 16, 50), (1, 50), lambda size: learner(skills=size)),
            ("runs at once", (1, 2, 4, 8), (1, 4), lambda size: learner(runs=size)),
            ("observation size", (12, 100, 400), (12, 400), lambda size: learner(obs_size=size)),
            ("hands", (1, 2, 4, 8), (1, 4), partial(_hands, stack, settings, steps)),
            ("twins", (1, 2, 4, 8), (1, 4), partial(_twins, stack, setting.pick(60, 20))),
        ]  # fmt: skip
        contestants = []
        for name, sizes, quick_sizes, make in growths:
            for size in setting.pick(sizes, quick_sizes):
                line = Line(f"{size:,}", "ms", f"{sizes[0]:,}", name, x=size)
                contestants.append(Contestant((line,), make(size)))
        yield contestants


def _hands(stack: ExitStack, settings: Mapping[str, Any], steps: int, count: int) -> Turn:
    """Return what measures the milliseconds of one hand's step in a trainer of that many."""
    fed = FedThread(settings, count)
    stack.callback(fed.close)
    return lambda: [fed.milliseconds(steps)]


def _twins(stack: ExitStack, steps: int, count: int) -> Turn:
    """Return what measures the milliseconds in which that many twins take a step each."""
    envs = make_envs(ENV_ID, count)
    stack.callback(envs.close)
    actions = np.random.default_rng(0).uniform(-1, 1, (steps, count, 9)).astype(np.float32)
    return lambda: [seconds(lambda: _play(envs, actions)) / steps * 1e3]


def _play(envs: Environments, actions: np.ndarray) -> None:
    envs.reset(range(len(envs)), [0] * len(envs))
    for action in actions:
        _, _, terminated, truncated = envs.step(action)
        ended = np.flatnonzero(terminated | truncated).tolist()
        if ended:
            envs.reset(ended, [None] * len(ended))


COMPARISON = Comparison(
    "growth",
    "milliseconds of one learnt step, without physics, as there is more of something "
    "(config/train_dclaw.yaml; runs: of all together; hands: that feed a trainer, of one's step; "
    "twins: one step of all, without learning)",
    _prepare,
    turns=7,
)
