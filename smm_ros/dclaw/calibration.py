"""How a hand's joints are mounted on its motors: a file for each hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.spec import (
    JOINT_NAMES,
    MOTOR_IDS,
    POSITION_HIGH,
    POSITION_LOW,
    VALVE_MOTOR_ID,
    VALVE_NAME,
)

Array = NDArray[np.float64]

_KEYS = {"motor", "direction", "zero"}

SEAM_MARGIN = 0.1
"""Least distance of a finger joint's range from its motor's seam, rad."""

_TURN = 2 * math.pi


class CalibrationError(ValueError):
    """A calibration that can not be used; says which entry, and what was expected."""


@dataclass(frozen=True)
class MotorCalibration:
    """One joint on its motor: angle of the joint = direction * angle of the motor + zero."""

    name: str
    """Of the joint, or of the valve."""
    motor: int
    """Id on the bus."""
    direction: int = 1
    """1, or -1 for a motor that turns the other way."""
    zero: float = 0.0
    """Angle of the joint where the motor reads 0, rad."""

    def __post_init__(self) -> None:
        """Check the values."""
        where = f"calibration of {self.name}"
        low, high = reg.ID.low, reg.ID.high
        if not (type(self.motor) is int and low <= self.motor <= high):
            raise CalibrationError(
                f"{where}: motor is {self.motor!r}, expected an id {low}..{high}"
            )
        if self.direction not in (1, -1):
            raise CalibrationError(f"{where}: direction is {self.direction!r}, expected 1 or -1")
        if not isinstance(self.zero, int | float) or not math.isfinite(self.zero):
            raise CalibrationError(f"{where}: zero is {self.zero!r}, expected an angle in rad")

    def trouble(self) -> str:
        """Return why a finger joint's angles would be wrong after a restart, "" if they are right.

        A motor that starts counts from within [0, 2 pi): its seam must lie outside of the joint's
        range. The valve may turn without end, and where its zero is does not matter.
        """
        if self.name not in JOINT_NAMES:
            return ""
        joint = JOINT_NAMES.index(self.name)
        low, high = float(POSITION_LOW[joint]), float(POSITION_HIGH[joint])
        reads = -self.direction * self.zero
        if _is_within_turn(reads, low, high, self.direction):
            return ""
        where = f"{self.name} (motor {self.motor})"
        start = reads % _TURN
        if _is_within_turn(start, low, high, self.direction):
            return (
                f"{where}: zero is {self.zero:.2f} rad, whole turns from what the motor reads "
                f"after a restart; expected {-self.direction * start:.6f}"
            )
        seam = math.remainder(-self.direction * start, _TURN)
        return (
            f"{where}: the motor's angle jumps by a turn at {seam:.2f} rad of the joint, within "
            f"its range {low:.2f} to {high:.2f} or {SEAM_MARGIN} rad of it. Mount the horn anew, "
            f"so that the motor reads about {math.pi:.2f} rad where the joint is 0: it reads "
            f"{start:.2f}"
        )


def _is_within_turn(reads: float, low: float, high: float, direction: int) -> bool:
    """Return whether a motor that reads so much at 0 has all the joint's range in one turn."""
    ends = reads + direction * low, reads + direction * high
    return min(ends) >= SEAM_MARGIN and max(ends) <= _TURN - SEAM_MARGIN


@dataclass(frozen=True)
class Calibration:
    """All joints in the order of spec.JOINT_NAMES, then the valve."""

    motors: tuple[MotorCalibration, ...]

    def __post_init__(self) -> None:
        """Check that it is of this hand, no motor there twice, and that it outlasts a restart."""
        expected, found = (*JOINT_NAMES, VALVE_NAME), tuple(m.name for m in self.motors)
        if found != expected:
            raise CalibrationError(f"calibration of {found}, expected {expected}")
        ids = [m.motor for m in self.motors]
        if twice := sorted({i for i in ids if ids.count(i) > 1}):
            raise CalibrationError(f"calibration gives motor {twice[0]} to two joints")
        if troubles := [text for m in self.motors if (text := m.trouble())]:
            raise CalibrationError("calibration of " + "\ncalibration of ".join(troubles))

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the motors on the bus."""
        return tuple(m.motor for m in self.motors)

    @property
    def direction(self) -> Array:
        """(10,) of 1 and -1."""
        return np.array([float(m.direction) for m in self.motors])

    @property
    def zero(self) -> Array:
        """(10,) rad."""
        return np.array([m.zero for m in self.motors])

    def to_mapping(self) -> dict[str, dict[str, Any]]:
        """Return it as a file has it."""
        return {
            m.name: {"motor": m.motor, "direction": m.direction, "zero": round(m.zero, 6)}
            for m in self.motors
        }

    def write(self, path: Path) -> None:
        """Write it to a file, which must not exist; raises FileExistsError or OSError.

        Nothing is left where that fails or is interrupted.
        """
        text = yaml.safe_dump(self.to_mapping(), sort_keys=False)
        with path.open("x") as file:
            try:
                file.write(text)
                file.flush()
            except BaseException:
                path.unlink()
                raise


def default_calibration() -> Calibration:
    """Return how ROBEL's D'Claw is mounted (robel 0.1.2, dclaw/config.py)."""
    zeros = (-math.pi / 2, -math.pi, -math.pi)
    joints = zip(JOINT_NAMES, MOTOR_IDS, zeros * 3, strict=True)
    motors = [MotorCalibration(name, motor, zero=zero) for name, motor, zero in joints]
    return Calibration((*motors, MotorCalibration(VALVE_NAME, VALVE_MOTOR_ID, zero=-math.pi)))


def from_mapping(values: Mapping[str, Any]) -> Calibration:
    """Return a calibration from what a file has; raises CalibrationError."""
    names = (*JOINT_NAMES, VALVE_NAME)
    if not isinstance(values, Mapping) or set(values) != set(names):
        wrong = set(names).symmetric_difference(values if isinstance(values, Mapping) else ())
        raise CalibrationError(
            f"a calibration has an entry for each of {', '.join(names)}; missing or unknown: "
            + ", ".join(map(str, sorted(wrong, key=str)))
        )
    motors = []
    for name in names:
        entry = values[name]
        unknown = set(entry) - _KEYS if isinstance(entry, Mapping) else {repr(entry)}
        if unknown or "motor" not in entry:
            raise CalibrationError(
                f"calibration of {name}: expected motor, direction and zero, got {entry!r}"
            )
        motors.append(MotorCalibration(name, **entry))
    return Calibration(tuple(motors))


def read_calibration(path: Path) -> Calibration:
    """Read a calibration file; raises CalibrationError naming the file, or OSError."""
    try:
        return from_mapping(yaml.safe_load(path.read_text()))
    except (yaml.YAMLError, CalibrationError) as error:
        raise CalibrationError(f"{path}: {error}") from error
