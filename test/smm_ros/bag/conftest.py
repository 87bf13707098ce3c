"""What tests of bags share: recordings made to order."""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
import yaml
from rclpy.serialization import serialize_message
from rosbags import rosbag2

from smm_core.acting import ActingPolicy
from smm_core.history import HistoryConfig, PolicyHistory
from smm_core.transitions import Layout
from smm_ros.bag.reading import BagError, BagMessage, read_messages
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.conversions import (
    hand_state_to_msg,
    seconds_to_ns,
    target_to_msg,
    transition_to_msg,
)
from smm_ros.dclaw.mujoco_hand import MujocoHand
from smm_ros.dclaw.spec import CONTROL_PERIOD
from smm_ros.episodes import Episodes
from smm_ros.interfaces import JOINT_COMMAND, JOINT_STATES, TRANSITIONS
from smm_ros.records import TransitionRecord
from smm_ros.sequence_file import SequenceFile
from smm_ros.transition_wire import serialize_transition

PERIOD_NS = 100_000_000
STATES = ("/dclaw/joint_states", "sensor_msgs/msg/JointState")


@pytest.fixture(scope="session")
def explore() -> Callable[..., list[TransitionRecord]]:
    """Return a function that makes whole episodes of one hand."""
    return _explore


@pytest.fixture(scope="session")
def write_bag() -> Callable[..., Path]:
    """Return a function that writes transitions into a bag and returns its folder."""
    return _write_bag


@pytest.fixture(scope="session")
def foreign_bag() -> Callable[..., Path]:
    """Return a function that writes transitions as another tool does, and returns the folder."""
    return _foreign_bag


def _foreign_bag(
    folder: Path,
    records: Iterable[TransitionRecord],
    storage: str = "mcap",
    compression: str = "none",
    version: Literal[8, 9] = 9,
) -> Path:
    """Write with the rosbags library, whose compression is none, storage, message or file."""
    writer = rosbag2.Writer(
        folder, version=version, storage_plugin=rosbag2.StoragePlugin[storage.upper()]
    )
    if compression != "none":
        mode = rosbag2.CompressionMode[compression.upper()]
        writer.set_compression(mode, rosbag2.CompressionFormat.ZSTD)
    with writer:
        described = installed_topic("/dclaw/transitions", "smm_ros/msg/Transition")
        topic = writer.add_connection(
            described.name,
            described.type,
            msgdef=described.definition,
            rihs01=described.type_hash,
        )
        for record in records:
            writer.write(topic, record.stamp_ns, serialize_transition(record))
    return folder


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


@pytest.fixture(scope="session")
def write() -> Callable[..., BagWriter]:
    """Return a function that begins a bag of joint states, one for each number."""
    return _write


@pytest.fixture(scope="session")
def write_more() -> Callable[[BagWriter, Iterable[int]], None]:
    """Return a function that goes on with such a bag."""
    return _write_more


@pytest.fixture(scope="session")
def crash() -> Callable[[BagWriter], None]:
    """Return a function that leaves a bag as a killed process does."""
    return _crash


@pytest.fixture(scope="session")
def numbers_in() -> Callable[[Path], list[int]]:
    """Return a function that reads the numbers (log times in us) of a bag's messages."""
    return lambda path: [message.log_time_ns // 1000 for message in read_messages(path)]


@pytest.fixture(scope="session")
def metadata() -> Callable[[Path], dict[str, Any]]:
    """Return a function that reads the content of a bag's metadata.yaml."""
    return _metadata


def _write(folder: Path, numbers: Iterable[int], **how: Any) -> BagWriter:
    writer = BagWriter(folder, [installed_topic(*STATES)], **how)
    _write_more(writer, numbers)
    return writer


def _write_more(writer: BagWriter, numbers: Iterable[int]) -> None:
    for number in numbers:
        writer.write(STATES[0], 1000 * number, bytes(200))
    writer.flush()


def _crash(writer: BagWriter) -> None:
    assert writer._file is not None
    os.close(writer._file._file)
    writer._folder.release()


def _metadata(folder: Path) -> dict[str, Any]:
    content = yaml.safe_load((folder / "metadata.yaml").read_text())
    described: dict[str, Any] = content["rosbag2_bagfile_information"]
    return described


class RecordedRun(NamedTuple):
    """A bag as the graph records it, of a few episodes on the twin, and what is in it."""

    path: Path
    transitions: list[TransitionRecord]
    episode_steps: int


@pytest.fixture(scope="session")
def recorded_run(tmp_path_factory: pytest.TempPathFactory) -> RecordedRun:
    """Return a run of 25 episodes with two skills, all of it recorded."""
    return _record_run(tmp_path_factory.mktemp("recorded") / "run", episodes=25, steps=8)


@pytest.fixture(scope="session")
def cdr() -> Callable[[Any, str], bytes]:
    """Return a function that serialises a message of a type as it goes over the wire."""
    return _cdr


def _cdr(message: Any, message_type: str) -> bytes:
    data = serialize_message(message)
    topic = installed_topic("/any", message_type)
    # Behind lists of lists it leaves bytes that belong to nothing.
    for end in range(len(data), 0, -4):
        with suppress(BagError):
            BagMessage(topic, 0, 0, data[:end]).decode()
            return data[:end]
    raise AssertionError(f"{data!r} is no {message_type}")


def _record_run(folder: Path, episodes: int, steps: int) -> RecordedRun:
    """Play random actions on the twin as the policy server does, and write what would be said."""
    types = {
        JOINT_STATES: "sensor_msgs/msg/JointState",
        JOINT_COMMAND: "trajectory_msgs/msg/JointTrajectory",
        TRANSITIONS: "smm_ros/msg/Transition",
    }
    names = {name: f"/dclaw/{name}" for name in types}
    writer = BagWriter(folder, [installed_topic(names[n], kind) for n, kind in types.items()])
    acting = ActingPolicy(Layout(12, 9, 2), (8,), PolicyHistory(HistoryConfig()), [0])
    play = Episodes("dclaw", acting, SequenceFile(None), steps)
    hand, transitions = MujocoHand(), list[TransitionRecord]()
    hand.connect()
    hand.enable()

    def say(name: str, stamp: int, message: Any) -> None:
        writer.write(names[name], stamp, _cdr(message, types[name]))

    for _ in range(episodes):
        for _ in hand.reset(0.0):
            pass
        play.reset_done(seconds_to_ns(hand.read().stamp))
        command = True
        while command:
            state = hand.read()
            stamp = seconds_to_ns(state.stamp)
            say(JOINT_STATES, stamp, hand_state_to_msg(state))
            output = play.see(stamp, state)
            if output.transition is not None:
                transitions.append(output.transition)
                say(TRANSITIONS, stamp, transition_to_msg(output.transition))
            command = output.command is not None
            if output.command is not None:
                say(JOINT_COMMAND, stamp, target_to_msg(output.command))
                hand.command(output.command.position)
                hand.advance(CONTROL_PERIOD)
    writer.close()
    return RecordedRun(folder, transitions, steps)
