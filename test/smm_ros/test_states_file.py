"""`smm states`: what a bag went through, as an array that a target is learnt from."""

import numpy as np
import pytest
import torch
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState

from smm_core.config import from_mapping
from smm_core.state_space import StateConfig, StateSpace
from smm_core.targets.target import Target, TargetConfig
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.cli import main
from smm_ros.conversions import transition_to_msg

TRANSITIONS = installed_topic("/dclaw/transitions", "smm_ros/msg/Transition")
JOINTS = installed_topic("/dclaw/joint_states", "sensor_msgs/msg/JointState")


def joint_state(number, name="joint_10"):
    values = [0.1 * number, 2.0]
    return JointState(name=[name, "valve"], position=values, velocity=values, effort=values)


def write(folder, transitions=(), joint_states=()):
    writer = BagWriter(folder, [TRANSITIONS, JOINTS])
    for number, record in enumerate(transitions):
        writer.write(TRANSITIONS.name, number, serialize_message(transition_to_msg(record)))
    for number, message in enumerate(joint_states):
        writer.write(JOINTS.name, number, serialize_message(message))
    writer.close()
    return str(folder)


def test_every_next_observation_is_a_row(tmp_path, capsys, make_record):
    records = [make_record(n) for n in range(7)]
    bag, out = write(tmp_path / "run", records, [joint_state(0)]), tmp_path / "states.npy"
    assert main(["states", bag, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert f"wrote 7 states of 12 numbers to {out}" in said
    assert "columns 0 .. 11: the entries of the observation" in said
    assert f"--learner.target.demonstrations.file {out}" in said
    rows = np.load(out)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, [record.next_observation for record in records])


def test_joint_states_are_rows_of_positions(tmp_path, capsys):
    bag, out = write(tmp_path / "run", [], map(joint_state, range(5))), tmp_path / "states.npy"
    assert main(["states", bag, "--out", str(out), "--joint_states"]) == 0
    np.testing.assert_allclose(np.load(out), [[0.1 * n, 2.0] for n in range(5)], rtol=1e-6)
    assert "columns 0 .. 1: positions in rad of joint_10, valve" in capsys.readouterr().out


def test_a_target_is_learnt_from_the_file(tmp_path, make_record):
    bag, out = write(tmp_path / "run", map(make_record, range(60))), tmp_path / "states.npy"
    assert main(["states", bag, "--out", str(out)]) == 0
    shown = {"file": str(out), "updates": 5, "density": {"model": "gaussian_mixture"}}
    config = from_mapping(TargetConfig, {"name": "demonstrations", "demonstrations": shown})
    target = Target(config, StateSpace(StateConfig(circular=(9, 10)), obs_size=12))
    assert target.log_reference(torch.zeros(1, 3, 1)).isfinite().all()


@pytest.mark.parametrize(
    ("sizes", "joint_states", "options", "words"),
    [
        ([], [], [], "holds no transitions; --joint_states takes"),
        ([], [], ["--joint_states"], "holds no joint states; without --joint_states"),
        ([12, 5], [], [], "of 5 and 12 numbers"),
        ([], [joint_state(0), joint_state(1, "other")], ["--joint_states"], "of other valve"),
        (
            [],
            [JointState(name=["a"], velocity=[0.0], effort=[0.0])],
            ["--joint_states"],
            "of 0 numbers",
        ),
    ],
)
def test_a_bag_that_makes_no_array_is_named(
    tmp_path, capsys, make_record, sizes, joint_states, options, words
):
    records = [make_record(number, size) for number, size in enumerate(sizes)]
    bag, out = write(tmp_path / "run", records, joint_states), tmp_path / "states.npy"
    assert main(["states", bag, "--out", str(out), *options]) == 1
    assert words in capsys.readouterr().err
    assert not out.exists()


def test_nothing_is_overwritten_and_the_kind_of_file_is_checked(tmp_path, capsys, make_record):
    bag = write(tmp_path / "run", [make_record(0)])
    (tmp_path / "kept.npy").write_text("kept")
    assert main(["states", bag, "--out", str(tmp_path / "kept.npy")]) == 1
    assert (tmp_path / "kept.npy").read_text() == "kept"
    assert main(["states", bag, "--out", str(tmp_path / "states.csv")]) == 1
    assert main(["states", str(tmp_path / "none"), "--out", str(tmp_path / "a.npy")]) == 1
    assert main(["states", bag, "--out", str(tmp_path / "none" / "a.npy")]) == 1
    (tmp_path / "empty").mkdir()
    assert main(["states", str(tmp_path / "empty"), "--out", str(tmp_path / "a.npy")]) == 1
    wanted = ("kept.npy exists", "ends in .npy", "no bag at", "no folder", "is an empty folder")
    error = capsys.readouterr().err
    assert all(words in error for words in wanted), error
