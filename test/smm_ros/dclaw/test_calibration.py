"""Calibration files: what is read is what was written, and mistakes are named."""

import io
import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from smm_ros.dclaw.calibration import (
    Calibration,
    CalibrationError,
    MotorCalibration,
    default_calibration,
    from_mapping,
    read_calibration,
)
from smm_ros.dclaw.spec import JOINT_NAMES, MOTOR_IDS, POSITION_HIGH, POSITION_LOW

NAMES = (*JOINT_NAMES, "valve")


def test_the_default_is_robels_hand():
    hand = default_calibration()
    assert hand.ids == (*MOTOR_IDS, 50)
    assert hand.direction.tolist() == [1.0] * 10
    assert hand.zero[:3].tolist() == [-math.pi / 2, -math.pi, -math.pi]


@given(
    st.lists(st.integers(0, 252), min_size=10, max_size=10, unique=True),
    st.lists(st.sampled_from([1, -1]), min_size=10, max_size=10),
    st.lists(st.floats(1.7, 4.5).map(lambda x: round(x, 6)), min_size=9, max_size=9),
    st.floats(-7, 7).map(lambda x: round(x, 6)),
)
def test_what_is_written_is_read(ids, directions, reads, valve):
    zeros = [-sign * read for sign, read in zip(directions, reads, strict=False)]
    rows = zip(NAMES, ids, directions, [*zeros, valve], strict=True)
    hand = Calibration(tuple(MotorCalibration(*row) for row in rows))
    assert from_mapping(yaml.safe_load(yaml.safe_dump(hand.to_mapping()))) == hand


def test_a_file_is_never_overwritten(tmp_path):
    path = tmp_path / "hand.yaml"
    default_calibration().write(path)
    with pytest.raises(FileExistsError):
        default_calibration().write(path)
    assert read_calibration(path).ids == default_calibration().ids


def test_a_file_that_can_not_be_written_whole_is_not_there(tmp_path, monkeypatch):
    path = tmp_path / "hand.yaml"
    monkeypatch.setattr(type(path), "open", lambda *_: Interrupted(path))
    with pytest.raises(KeyboardInterrupt):
        default_calibration().write(path)
    assert not path.exists()


class Interrupted(io.FileIO):
    """A file whose writer is interrupted."""

    def __init__(self, path):
        super().__init__(path, "x")

    def write(self, text):
        super().write(text.encode()[:20])
        raise KeyboardInterrupt


@given(
    joint=st.integers(0, 8),
    direction=st.sampled_from([1, -1]),
    reads=st.floats(-13, 13),
)
def test_a_calibration_that_is_taken_is_right_after_a_restart(joint, direction, reads):
    name = JOINT_NAMES[joint]
    mounted = MotorCalibration(name, joint, direction, -direction * reads)
    ends = [reads + direction * float(limits[joint]) for limits in (POSITION_LOW, POSITION_HIGH)]
    # All of the range, and a little more, is within what a motor that starts can read.
    is_right = min(ends) >= 0.1 and max(ends) <= 2 * math.pi - 0.1
    assert (mounted.trouble() == "") == is_right


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize(("distance", "is_right"), [(0.101, True), (0.099, False)])
def test_the_seam_keeps_a_distance_from_both_ends_of_the_range(direction, distance, is_right):
    at_the_low_end = math.pi / 3 + distance
    for reads in (at_the_low_end, 2 * math.pi - at_the_low_end):
        mounted = MotorCalibration("joint_11", 11, direction, -direction * reads)
        assert (mounted.trouble() == "") == is_right


@pytest.mark.parametrize("zero", [-100.0, -6.28, 0.0, 0.3, math.pi])
def test_the_valve_may_have_any_zero(zero):
    assert from_mapping(changed("valve", zero=zero)).zero[9] == zero


def changed(name, **values):
    mapping = default_calibration().to_mapping()
    mapping[name] = {**mapping[name], **values}
    return mapping


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (None, "an entry for each of joint_10"),
        ({"joint_10": {"motor": 10}}, "missing or unknown: joint_11"),
        ({**changed("valve"), "thumb": {}}, "missing or unknown: thumb"),
        (changed("joint_12", motor=300), "joint_12: motor is 300, expected an id 0..252"),
        (changed("joint_12", motor="10"), "motor is '10'"),
        (changed("joint_12", motor=11), "gives motor 11 to two joints"),
        (changed("joint_12", direction=0), "direction is 0, expected 1 or -1"),
        (changed("joint_12", zero=math.nan), "zero is nan, expected an angle in rad"),
        (changed("joint_12", offset=1), "expected motor, direction and zero, got"),
        ({**changed("valve"), "joint_11": 5}, "joint_11: expected motor, direction and zero"),
        (
            changed("joint_11", zero=0.3),
            r"joint_11 \(motor 11\): the motor's angle jumps by a turn at 0.30 rad of the joint, "
            r"within its range -1.05 to 1.05 .*reads about 3.14 rad .*: it reads 5.98",
        ),
        (
            changed("joint_11", direction=-1, zero=1.1),
            r"joint_11 \(motor 11\): the motor's angle jumps by a turn at 1.10 rad",
        ),
        (
            changed("joint_12", zero=math.pi),
            r"joint_12 \(motor 12\): zero is 3.14 rad, whole turns .* expected -3.141593",
        ),
    ],
)
def test_mistakes_are_named(mapping, message, tmp_path):
    path = tmp_path / "hand.yaml"
    path.write_text(yaml.safe_dump(mapping))
    with pytest.raises(CalibrationError, match=message) as caught:
        read_calibration(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_no_yaml_is_named(tmp_path):
    path = tmp_path / "hand.yaml"
    path.write_text("joint_10: [")
    with pytest.raises(CalibrationError, match="hand.yaml"):
        read_calibration(path)
