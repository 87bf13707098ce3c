"""Calibration files: what is read is what was written, and mistakes are named."""

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
from smm_ros.dclaw.spec import JOINT_NAMES, MOTOR_IDS

NAMES = (*JOINT_NAMES, "valve")


def test_the_default_is_robels_hand():
    hand = default_calibration()
    assert hand.ids == (*MOTOR_IDS, 50)
    assert hand.direction.tolist() == [1.0] * 10
    assert hand.zero[:3].tolist() == [-math.pi / 2, -math.pi, -math.pi]


@given(
    st.lists(st.integers(0, 252), min_size=10, max_size=10, unique=True),
    st.lists(st.sampled_from([1, -1]), min_size=10, max_size=10),
    st.lists(st.floats(-7, 7).map(lambda x: round(x, 6)), min_size=10, max_size=10),
)
def test_what_is_written_is_read(ids, directions, zeros):
    rows = zip(NAMES, ids, directions, zeros, strict=True)
    hand = Calibration(tuple(MotorCalibration(*row) for row in rows))
    assert from_mapping(yaml.safe_load(yaml.safe_dump(hand.to_mapping()))) == hand


def test_a_file_is_never_overwritten(tmp_path):
    path = tmp_path / "hand.yaml"
    default_calibration().write(path)
    with pytest.raises(FileExistsError):
        default_calibration().write(path)
    assert read_calibration(path).ids == default_calibration().ids


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
