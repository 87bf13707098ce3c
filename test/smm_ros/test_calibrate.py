"""`smm calibrate`: what is shown is what is written."""

import io
import itertools
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
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.spec import JOINT_NAMES
from smm_ros.dclaw.virtual.hand import VirtualHand
from smm_ros.dclaw.virtual.port import VirtualPort

NAMES = (*JOINT_NAMES, "valve")


def mounted(seed=0):
    """Return a hand that is mounted anyhow, but for the seams of its motors."""
    rng = np.random.default_rng(seed)
    directions, reads = rng.choice([-1, 1], 10), rng.uniform(1.7, 4.5, 10)
    rows = zip(NAMES, default_calibration().ids, directions, reads, strict=True)
    return Calibration(
        tuple(MotorCalibration(n, motor, int(d), float(-d * read)) for n, motor, d, read in rows)
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
    motors[0] = MotorCalibration("joint_10", 10, -1, 1.6)
    motors[1] = MotorCalibration("joint_11", 11, 1, motors[1].zero + 0.5)
    assert remarks(Calibration(tuple(motors))) == [
        "joint_10 turns the other way than on ROBEL's hand",
        "joint_11 is mounted 29 degrees away from ROBEL's",
    ]


@pytest.mark.parametrize("turns", [-3, -1, 1, 2])
def test_turns_since_the_power_was_switched_on_do_not_matter(turns):
    hand = mounted()
    zero = motors_at(hand, np.zeros(10)) + turns * 2 * math.pi
    found = from_poses(default_calibration(), zero, motors_at(hand, np.full(10, 0.3)))
    np.testing.assert_allclose(found.zero, hand.zero)
    np.testing.assert_array_equal(found.direction, hand.direction)


def test_all_joints_whose_motors_start_anew_within_their_range_are_named():
    zero = motors_at(default_calibration(), np.zeros(10))
    zero[1], zero[5] = -0.3, 0.9
    with pytest.raises(CalibrationError, match="joint_11.* at 0.30 rad") as caught:
        from_poses(default_calibration(), zero, None)
    assert "joint_22 (motor 22): the motor's angle jumps by a turn at -0.90" in str(caught.value)


def walk(step, start=0.0):
    """Return what measures motors that move by so much from one look to the next, rad."""
    turns = itertools.count()
    return lambda: (start + np.asarray(step) * next(turns)) % (2 * math.pi)


def test_motors_that_move_while_they_are_looked_at_are_refused(monkeypatch):
    monkeypatch.setattr(calibrate, "LOOKS", 5)
    step = np.zeros(10)
    step[3] = 0.02
    ids = tuple(range(10, 20))
    with pytest.raises(CalibrationError, match="motor 13 moved by 4.6 degrees: hold it still"):
        look(walk(step, 1.0), ids)
    np.testing.assert_allclose(look(walk(np.zeros(10), 1.0), ids), 1.0)


def test_a_motor_that_stands_where_its_turn_begins_stands_still(monkeypatch):
    monkeypatch.setattr(calibrate, "LOOKS", 5)
    found = look(walk(np.full(10, 0.002), -0.004), range(10))
    np.testing.assert_allclose(np.sin(found), 0.0, atol=1e-9)


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


def eeprom(port):
    registers = [register for register in reg.REGISTERS if register.is_eeprom]
    return [[servo.get(register) for register in registers] for servo in port.hand.servos]


def test_only_torque_is_written(port, tmp_path, monkeypatch):
    before = eeprom(port)
    port.hand.servo(11).set(reg.TORQUE_ENABLE, 1)
    monkeypatch.setattr("sys.stdin", Stdin(port, []))
    assert main([port.path, str(tmp_path / "hand.yaml")]) == 1
    assert eeprom(port) == before
    assert port.hand.servo(11).get(reg.TORQUE_ENABLE) == 0


def test_an_input_that_ends_and_an_interrupt_leave_no_file(port, tmp_path, monkeypatch, capsys):
    path = tmp_path / "hand.yaml"
    monkeypatch.setattr("sys.stdin", Stdin(port, []))
    assert main([port.path, str(path)]) == 1
    assert "the input ended before Enter was pressed" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", Interrupted())
    assert main([port.path, str(path)]) == 130
    assert "interrupted, nothing was written" in capsys.readouterr().out
    assert not path.exists()


class Interrupted:
    """Somebody presses Ctrl-C."""

    def readline(self):
        raise KeyboardInterrupt


def test_motors_that_count_otherwise_are_refused(port, tmp_path, capsys):
    port.hand.servo(12).set(reg.HOMING_OFFSET, 100)
    assert main([port.path, str(tmp_path / "hand.yaml")]) == 1
    error = capsys.readouterr().err
    assert "motor 12 has homing_offset 100, expected 0" in error
    assert f"run 'smm doctor {port.path} --fix' first" in error


def test_a_motor_that_is_not_there_and_a_port_that_is_none_are_told(port, tmp_path, capsys):
    path = str(tmp_path / "hand.yaml")
    port.command("silent 21")
    assert main([port.path, path]) == 1
    error = capsys.readouterr().err
    assert "no answer of motor 21" in error
    assert f"'smm doctor {port.path}'" in error
    assert main(["/dev/none", path]) == 1
    assert "error: there is no port /dev/none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [("mine.yaml", "exists; name a new file"), ("none/hand.yaml", "can not be written")],
)
def test_a_file_that_can_not_be_written_is_wrong_use(name, message, tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text("mine")
    with pytest.raises(SystemExit) as end:
        main(["/dev/none", str(tmp_path / name)])
    assert end.value.code == 2
    assert message in capsys.readouterr().err
    assert (tmp_path / "mine.yaml").read_text() == "mine"
