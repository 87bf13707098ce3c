"""What tests of bags share: recordings made to order."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.records import TransitionRecord
from smm_ros.transition_wire import serialize_transition

PERIOD_NS = 100_000_000


@pytest.fixture(scope="session")
def explore() -> Callable[..., list[TransitionRecord]]:
    """Return a function that makes whole episodes of one hand."""
    return _explore


@pytest.fixture(scope="session")
def write_bag() -> Callable[..., Path]:
    """Return a function that writes transitions into a bag and returns its folder."""
    return _write_bag


def _explore(
    hand: str = "dclaw",
    episodes: int = 3,
    steps: int = 5,
    obs_size: int = 12,
    action_size: int = 9,
    first_sequence: int = 0,
) -> list[TransitionRecord]:
    rng = np.random.default_rng(first_sequence)
    records = []
    for episode in range(episodes):
        path = rng.normal(size=(steps + 1, obs_size)).astype(np.float32)
        for step in range(steps):
            sequence = first_sequence + len(records)
            record = TransitionRecord(
                stamp_ns=PERIOD_NS * (sequence + 5 * episode),
                hand=hand,
                sequence=sequence,
                episode=episode,
                step=step,
                skill=episode % 2,
                policy_version=episode,
                observation=path[step],
                action=rng.uniform(-1, 1, action_size).astype(np.float32),
                next_observation=path[step + 1],
                log_p_shaping=float(np.float32(-rng.random())),
                terminated=False,
                truncated=step == steps - 1,
            )
            records.append(record)
    return records


def _write_bag(
    folder: Path, records: Iterable[TransitionRecord], hands: Sequence[str] = ("dclaw",)
) -> Path:
    topics = {hand: f"/{hand}/transitions" for hand in hands}
    described = [installed_topic(name, "smm_ros/msg/Transition") for name in topics.values()]
    writer = BagWriter(folder, described)
    for record in records:
        writer.write(topics[record.hand], record.stamp_ns, serialize_transition(record))
    writer.close()
    return folder
