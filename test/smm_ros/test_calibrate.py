"""`smm calibrate`: what is shown is what is written."""

import io
import math
import threading
import time

import numpy as np
import pytest

from smm_ros import calibrate
from smm_ros.calibrate import from_poses, look, main, remarks
from smm_ros.dclaw.calibration import (
    Calibration,
    CalibrationError,
    MotorCalibration,
    default_calibration,
    read_calibration,
)
from smm_ros.dclaw.spec import JOINT_NAMES
from smm_ros.dclaw.virtual.hand import VirtualHand
from smm_ros.dclaw.virtual.port import VirtualPort

NAMES = (*JOINT_NAMES, "valve")


def mounted(seed=0):
    """Return a hand that is mounted anyhow."""
    rng = np.random.default_rng(seed)
    return Calibration(
        tuple(
            MotorCalibration(name, motor, int(rng.choice([-1, 1])), float(rng.uniform(-3, 3)))
            for name, motor in zip(NAMES, default_calibration().ids, strict=True)
        )
    )


def motors_at(hand, joints):
    """Return where the motors stand with the joints (10,) rad."""
    return (joints - hand.zero) * hand.direction


@pytest.mark.parametrize("seed", range(5))
def test_zero_and_direction_come_out_of_two_poses(seed):
    hand = mounted(seed)
    zero, positive = (motors_at(hand, np.full(10, angle)) for angle in (0.0, 0.3))
    found = from_poses(default_calibration(), zero, positive)
    np.testing.assert_allclose(found.zero, hand.zero)
    np.testing.assert_array_equal(found.direction, hand.direction)


def test_without_a_second_pose_directions_stay():
    hand = mounted()
    found = from_poses(hand, motors_at(hand, np.zeros(10)), None)
    np.testing.assert_allclose(found.zero, hand.zero)
    np.testing.assert_array_equal(found.direction, hand.direction)


def test_a_joint_that_was_not_moved_is_named():
    moved = np.full(10, 0.3)
    moved[4] = 0.05
    with pytest.raises(CalibrationError, match=r"joint_21 \(motor 21\) was moved by 3 degrees"):
        from_poses(default_calibration(), np.zeros(10), moved)


def test_joints_mounted_otherwise_than_robels_are_remarked():
    assert remarks(default_calibration()) == []
    motors = list(default_calibration().motors)
    motors[0] = MotorCalibration("joint_10", 10, -1, 0.0)
    motors[1] = MotorCalibration("joint_11", 11, 1, motors[1].zero + 0.5)
    assert remarks(Calibration(tuple(motors))) == [
        "joint_10 turns the other way than on ROBEL's hand",
        "joint_11 is mounted 29 degrees away from ROBEL's",
    ]


class Group:
    """Motors that move by so much from one look to the next, rad."""

    ids = tuple(range(10, 20))

    def __init__(self, step):
        self._position, self._step = np.zeros(10), step

    def sample(self):
        self._position = self._position + self._step
        return type("Sample", (), {"position": self._position})


def test_motors_that_move_while_they_are_looked_at_are_refused(monkeypatch):
    monkeypatch.setattr(calibrate, "LOOKS", 5)
    step = np.zeros(10)
    step[3] = 0.02
    with pytest.raises(CalibrationError, match="motor 13 moved by 4.6 degrees: hold it still"):
        look(Group(step))
    np.testing.assert_allclose(look(Group(np.zeros(10))), 0.0)


class Stdin(io.TextIOBase):
    """Brings the virtual hand to the next pose before each Enter."""

    def __init__(self, port, poses):
        self._port, self._poses = port, list(poses)

    def readline(self):
        if not self._poses:
            return ""
        pose, done = self._poses.pop(0), threading.Event()

        def hold():
            data = self._port.hand.data
            data.qpos[:], data.qvel[:] = pose, 0.0
            self._port.hand.model.opt.gravity[:] = 0.0
            done.set()

        self._port.between_steps(hold)
        done.wait()
        time.sleep(0.05)
        return "\n"


@pytest.fixture(name="port")
def open_port():
    with VirtualPort(VirtualHand()) as port:
        yield port


def test_a_hand_is_calibrated_by_showing_it(port, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", Stdin(port, [np.zeros(10), np.full(10, 0.3)]))
    path = tmp_path / "hand.yaml"
    assert main([port.path, str(path)]) == 0
    found, robel = read_calibration(path), default_calibration()
    np.testing.assert_allclose(found.zero, robel.zero, atol=math.radians(2))
    np.testing.assert_array_equal(found.direction, robel.direction)
    assert f"wrote {path}" in capsys.readouterr().out


def test_a_file_that_exists_and_an_input_that_ends_are_errors(port, tmp_path, monkeypatch, capsys):
    path = tmp_path / "hand.yaml"
    monkeypatch.setattr("sys.stdin", Stdin(port, []))
    assert main([port.path, str(path)]) == 1
    assert "the input ended before Enter was pressed" in capsys.readouterr().err
    assert not path.exists()
    path.write_text("mine")
    assert main([port.path, str(path)]) == 1
    assert "exists; name a new file" in capsys.readouterr().err
    assert path.read_text() == "mine"
