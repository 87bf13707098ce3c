"""The twin: its environments against the bare physics of the same model, and learning in many."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from smm_core.options import read_yaml
from smm_ros.bench.comparison import Aim, Comparison, Contestant, Line, Setting
from smm_ros.bench.twin_speed import BARE, Speed, many_twins, one_twin, train_speed
from smm_ros.share import share_path

MANY, THREADS = 16, (1, 2)
ONE_GROUP, MANY_GROUP = "one twin", f"{MANY} twins together"
LEARNING_GROUP = "learning, smm train --envs N, one update a step"
ENVS, QUICK_ENVS = (1, 4, 16), (1, 16)
ONE_AIMS = {"environment": Aim(0.85)}
MANY_AIMS = {f"{MANY} twins, 2 threads": Aim(1.7)}
"""Twice the 85 % of one core."""


@contextmanager
def _prepare(setting: Setting) -> Iterator[list[Contestant]]:
    # Each turn has other episodes.
    seeds, rounds = itertools.count(), setting.pick(5, 2)
    envs, steps = setting.pick((ENVS, 600), (QUICK_ENVS, 200))
    learner = read_yaml(share_path("config", "train_dclaw.yaml"))["learner"]
    physics = _lines(ONE_GROUP, ["environment"], ONE_AIMS)
    together = [_name_of_many(number) for number in THREADS]

    def one() -> Sequence[float]:
        return _rates(one_twin(4 * rounds, next(seeds)), physics)

    many_lines = _lines(MANY_GROUP, together, MANY_AIMS)

    def many() -> Sequence[float]:
        return _rates(many_twins(MANY, THREADS, rounds, next(seeds)), many_lines)

    def learning() -> Sequence[float]:
        found = train_speed(envs, steps, rounds=1, learner=learner)
        return [found[number] for number in envs]

    names = [f"--envs {number}" for number in envs]
    trained = tuple(Line(name, "steps/s", names[0], LEARNING_GROUP) for name in names)
    yield [Contestant(physics, one), Contestant(many_lines, many), Contestant(trained, learning)]


def _name_of_many(threads: int) -> str:
    return f"{MANY} twins, {threads} thread{'s' if threads > 1 else ''}"


def _lines(group: str, names: Sequence[str], aims: dict[str, Aim]) -> tuple[Line, ...]:
    return tuple(Line(n, "steps/s", BARE, group, aims.get(n)) for n in (BARE, *names))


def _rates(speeds: dict[str, Speed], lines: Sequence[Line]) -> list[float]:
    """Return the figures so that their ratio to the base is that of short turns, too."""
    bare = speeds[BARE].steps_per_second
    return [bare * speeds[line.name].ratio for line in lines]


COMPARISON = Comparison(
    "twin",
    "steps per second of the twin's gymnasium environments against bare mj_step on one core, and "
    "of smm train in several at once",
    _prepare,
    turns=5,
    quick_turns=2,
)
