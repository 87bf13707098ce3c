"""Bags read and fitted to, against the rosbags library, on a bag made on the spot."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader

from smm_core.config import from_mapping
from smm_core.offline.fit_config import FitConfig
from smm_core.offline.model_fit import fit_models
from smm_ros.bag.offline.fit_stream import FitStream
from smm_ros.bag.reading import read_messages, read_transitions
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.bench.comparison import Comparison, Contestant, Line, Setting
from smm_ros.bench.player import seconds
from smm_ros.bench.random_walk import step_of, walk
from smm_ros.dclaw.spec import EPISODE_STEPS, PERIOD_NS
from smm_ros.transition_wire import serialize_transition

TRANSITIONS = installed_topic("/dclaw/transitions", "smm_ros/msg/Transition")
MODELS = ("histogram", "gaussian_mixture", "flow", "vae")
READ, SERIALISED = "read", "read, left serialised"
BASE = "rosbags AnyReader"


@contextmanager
def _prepare(setting: Setting) -> Iterator[list[Contestant]]:
    count, steps = setting.pick((50_000, 500), (10_000, 100))
    with tempfile.TemporaryDirectory(prefix="smm_bench_") as folder:
        bag = _written(Path(folder, "bag"), count)
        ways: list[tuple[str, str, Callable[[], Iterator[Any]]]] = [
            (READ, BASE, lambda: _rosbags(bag)),
            (READ, "read_transitions", lambda: iter(read_transitions(bag))),
            (SERIALISED, BASE, lambda: _rosbags_serialised(bag)),
            (SERIALISED, "read_messages", lambda: iter(read_messages(bag))),
        ]
        contestants = [_reading(count, *way) for way in ways]
        yield contestants + [_fitting(bag, count, model, steps) for model in MODELS]


def _reading(count: int, group: str, name: str, read: Callable[[], Iterator[Any]]) -> Contestant:
    line = Line(name, "transitions/s", BASE, group)

    def work() -> None:
        found = sum(1 for _ in read())
        assert found == count, f"{name} read {found} of {count} transitions"

    return Contestant((line,), lambda: [count / seconds(work)])


def _fitting(bag: Path, count: int, model: str, steps: int) -> Contestant:
    group = f"whole fit of a density to {count:,}, {steps} gradient steps"
    line = Line(model, "transitions/s", MODELS[0], group)
    config = from_mapping(FitConfig, {"density": {"model": model}, "steps": steps})

    def work() -> None:
        stream = FitStream(config)
        for record in read_transitions(bag):
            stream.add(record)
        fit_models(stream.samples())

    return Contestant((line,), lambda: [count / seconds(work)])


def _rosbags(bag: Path) -> Iterator[object]:
    with AnyReader([bag]) as reader:
        for connection, _, data in reader.messages():
            yield reader.deserialize(data, connection.msgtype)


def _rosbags_serialised(bag: Path) -> Iterator[object]:
    with AnyReader([bag]) as reader:
        yield from reader.messages()


def _written(folder: Path, count: int) -> Path:
    """Write a bag of episodes of one hand, of random numbers."""
    path = walk()
    with closing(BagWriter(folder, [TRANSITIONS])) as writer:
        for sequence in range(count):
            episode, step = divmod(sequence, EPISODE_STEPS)
            record = step_of(path, step, sequence * PERIOD_NS, sequence, episode)
            writer.write(TRANSITIONS.name, record.stamp_ns, serialize_transition(record))
    return folder


COMPARISON = Comparison(
    "bags",
    "transitions per second out of a bag, against the rosbags library, and whole fits of "
    "densities to it, reading included",
    _prepare,
    turns=3,
    quick_turns=2,
)
