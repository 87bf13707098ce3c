"""Joint states and commands alone are as good as the transitions recorded beside them."""

from functools import partial

import numpy as np
import pytest
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from smm_core.config import ConfigError
from smm_ros.bag.joint_messages import (
    COMMAND_TYPE,
    STATE_TYPE,
    JointMessageError,
    JointReading,
    JointTopics,
)
from smm_ros.bag.reading import BagError, read_messages
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.dclaw import task
from smm_ros.dclaw.hand import HandState
from smm_ros.dclaw.spec import JOINT_NAMES, RESET_POSE

NAMES = [*JOINT_NAMES, "valve"]


STATES, COMMANDS = "/dclaw/joint_states", "/dclaw/joint_command"


@pytest.fixture
def write(cdr):
    """Return a function that writes messages, each with the time in ns it was received at."""
    return partial(_write, cdr)


def _write(cdr, folder, states, commands, state_topic=STATES, command_topic=COMMANDS):
    topics = [
        installed_topic(state_topic, STATE_TYPE),
        installed_topic(command_topic, COMMAND_TYPE),
    ]
    writer = BagWriter(folder, topics)
    told = [(time, state_topic, cdr(m, STATE_TYPE)) for time, m in states]
    told += [(time, command_topic, cdr(m, COMMAND_TYPE)) for time, m in commands]
    for time, topic, data in sorted(told, key=lambda entry: entry[0]):
        writer.write(topic, time, data)
    writer.close()
    return folder


def stamped(message, number):
    """Set the stamp to a control period, from 1 s on."""
    message.header.stamp.sec, tenth = divmod(10 + number, 10)
    message.header.stamp.nanosec = tenth * 100_000_000
    return (10 + number) * 100_000_000, message


def joint_state(number, names=NAMES, **changes):
    values = np.arange(len(names)) * 0.01 + number * 0.001
    lists = {"position": values, "velocity": values, "effort": values} | changes
    fields = {name: [float(v) for v in entries] for name, entries in lists.items()}
    return stamped(JointState(name=list(names), **fields), number)


def command(number, names=JOINT_NAMES, points=1, target=RESET_POSE):
    point = JointTrajectoryPoint(positions=[float(v) for v in target])
    return stamped(JointTrajectory(joint_names=list(names), points=[point] * points), number)


def read(folder, **topics):
    return list(JointReading(folder, JointTopics(**topics)))


def test_what_is_assembled_is_what_the_graph_recorded(recorded_run):
    """Episodes on the twin, of which joint states and commands alone are read."""
    found = read(recorded_run.path)
    assert len(found) == len(recorded_run.transitions) == 25 * recorded_run.episode_steps
    for assembled, recorded in zip(found, recorded_run.transitions, strict=True):
        for name in ("stamp_ns", "hand", "sequence", "episode", "step", "truncated", "terminated"):
            assert getattr(assembled, name) == getattr(recorded, name), name
        np.testing.assert_array_equal(assembled.observation, recorded.observation)
        np.testing.assert_array_equal(assembled.next_observation, recorded.next_observation)
        assert assembled.log_p_shaping == recorded.log_p_shaping
        joints = assembled.observation[:9].astype(np.float64)
        state = HandState(0.0, joints, np.zeros(9), np.zeros(9), 0.0, 0.0, 0.0)
        targets = [task.target_from_action(r.action, state) for r in (assembled, recorded)]
        np.testing.assert_allclose(*targets, atol=1e-6)


def test_joints_are_found_by_name_among_others_and_efforts_may_be_missing(write, tmp_path):
    plain = write(tmp_path / "plain", map(joint_state, range(4)), map(command, range(3)))
    order = [*reversed(NAMES), "gripper"]

    def shuffled(number):
        time, message = joint_state(number)
        by_name = dict(zip(message.name, message.position, strict=True)) | {"gripper": 7.0}
        values = [by_name[name] for name in order]
        return joint_state(number, order, position=values, velocity=values, effort=[])

    def turned(number):
        return command(number, JOINT_NAMES[::-1], target=RESET_POSE[::-1])

    other = write(tmp_path / "other", map(shuffled, range(4)), map(turned, range(3)))
    expected, found = read(plain), read(other)
    assert len(found) == 3
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a.observation, b.observation)
        np.testing.assert_array_equal(a.action, b.action)
        assert a.log_p_shaping == b.log_p_shaping


@pytest.mark.parametrize(
    ("states", "commands", "words"),
    [
        ([joint_state(0, NAMES[:-1])], [], "/dclaw/joint_states: joint state lacks valve; it is"),
        (
            [joint_state(0, ["a", *NAMES[2:]])],
            [],
            "lacks joint_10, joint_11; it is for a, joint_12",
        ),
        ([joint_state(0, [])], [], "it is for no joints"),
        ([joint_state(0, velocity=[])], [], "0 entries in velocity, expected 10"),
        ([], [command(0, JOINT_NAMES[:-1])], "/dclaw/joint_command: joint command lacks joint_32"),
        ([], [command(0, points=2)], "has 2 points, expected one"),
        ([], [command(0, target=RESET_POSE[:4])], "has 4 positions, expected 9"),
    ],
)
def test_a_message_of_another_hand_is_refused_by_what_is_wrong(
    write, tmp_path, states, commands, words
):
    with pytest.raises(JointMessageError, match=words):
        read(write(tmp_path / "bag", states, commands))


def test_other_topics_are_named_and_hands_are_kept_apart(write, tmp_path):
    states, commands = list(map(joint_state, range(4))), list(map(command, range(3)))
    names = {"joint_states": "/left/states", "joint_command": "/left/controller/target"}
    folder = write(tmp_path / "bag", states, commands, *names.values())
    with pytest.raises(BagError, match="name its topics with the settings joint_states and"):
        read(folder)
    assert [record.hand for record in read(folder, **names)] == ["left"] * 3
    alone = write(tmp_path / "alone", states, commands, "/a/joint_states", "/b/joint_command")
    with pytest.raises(
        BagError, match=r"4 joint states and 0 joint commands of a, 0 joint states"
    ):
        read(alone)
    with pytest.raises(ConfigError, match="two names that begin with a slash, or none"):
        JointTopics(joint_states="/left/states")


def test_states_that_are_too_rare_are_an_error_that_says_so(write, tmp_path):
    slow = write(
        tmp_path / "bag", map(joint_state, range(0, 20, 3)), map(command, range(0, 20, 3))
    )
    with pytest.raises(BagError, match=r"7 joint states and 7 joint commands .* 0\.1 s apart"):
        read(slow)


def test_what_is_read_is_reported(recorded_run):
    reading = JointReading(recorded_run.path, JointTopics())
    assert len(list(reading)) == len(recorded_run.transitions)
    assert reading.report.num_messages == len(list(read_messages(recorded_run.path)))
