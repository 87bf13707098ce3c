"""`smm calibrate PORT FILE`: learn how a hand's joints are mounted, by having them shown."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smm_ros.dclaw.calibration import (
    Calibration,
    CalibrationError,
    MotorCalibration,
    default_calibration,
    read_calibration,
)
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.bus import DynamixelBus
from smm_ros.dclaw.dynamixel.bus_errors import BusError, MissingReplyError
from smm_ros.dclaw.dynamixel.motors import MotorGroup
from smm_ros.dclaw.spec import JOINT_NAMES

Array = NDArray[np.float64]

STILL = 0.02
"""Most that a joint may move while it is measured, rad."""
SHOWN = 0.15
"""Least that a joint has to be moved to show its direction, rad."""
FAR = math.radians(20)
"""Distance from how ROBEL mounts a joint that is worth a word, rad."""
LOOKS = 50

_ZERO = """\
Torque is off. Bring the hand to its zero pose and hold it there: all fingers straight, in line
with their bases, and the valve with its mark to the front. Then press Enter. """
_POSITIVE = """\
Now move every joint a little to its positive side, some 20 degrees: the first joint of each finger
away from the middle of the palm, the other two so that the tip bends outwards, the valve
counter-clockwise seen from above. Hold it there, and press Enter. """


def main(argv: Sequence[str] | None = None) -> int:
    """Run `smm calibrate`; return the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.file.exists():
            raise CalibrationError(f"{arguments.file} exists; name a new file")
        start = read_calibration(arguments.ids) if arguments.ids else default_calibration()
        found = _calibrate(arguments, start)
        found.write(arguments.file)
    except (BusError, OSError, ValueError, EOFError) as error:
        said = str(error) or "the input ended before Enter was pressed"
        print(f"error: {said}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted, nothing was written")
        return 130
    for line in remarks(found):
        print(f"note: {line}")
    print(f"wrote {arguments.file}; use it as calibration of the hand in the config file")
    return 0


def _calibrate(arguments: argparse.Namespace, start: Calibration) -> Calibration:
    bus = DynamixelBus(arguments.port, arguments.baud_rate)
    try:
        group = MotorGroup(bus, start.ids)
        group.check()
        group.configure()
        _ask(_ZERO)
        zero = look(group)
        if arguments.keep_directions:
            return from_poses(start, zero, None)
        _ask(_POSITIVE)
        return from_poses(start, zero, look(group))
    finally:
        bus.close()


def look(group: MotorGroup) -> Array:
    """Return where the motors stand, (10,) rad; raises CalibrationError unless they stand still.

    A look at a motor that moves is of no use.
    """
    seen, missed = [], 0
    while len(seen) < LOOKS:
        try:
            seen.append(group.sample().position)
        except MissingReplyError:
            missed += 1
            if missed > LOOKS:
                raise
        time.sleep(0.01)
    moved = np.ptp(np.array(seen), axis=0)
    if (moved > STILL).any():
        motor = group.ids[int(moved.argmax())]
        degrees = math.degrees(float(moved.max()))
        raise CalibrationError(f"motor {motor} moved by {degrees:.1f} degrees: hold it still")
    return np.asarray(np.mean(seen, axis=0))


def from_poses(start: Calibration, zero: Array, positive: Array | None) -> Calibration:
    """Return the calibration of motors that stand at `zero` (10,) rad where all joints are 0.

    `positive` is where they stand with each joint moved to its positive side; without it
    directions stay as they are. Raises CalibrationError where a joint was not moved.
    """
    direction = start.direction
    if positive is not None:
        moved = positive - zero
        for mounted, way in zip(start.motors, moved, strict=True):
            if abs(way) < SHOWN:
                raise CalibrationError(
                    f"{mounted.name} (motor {mounted.motor}) was moved by "
                    f"{math.degrees(way):.0f} degrees, expected {math.degrees(SHOWN):.0f} or more"
                )
        direction = np.sign(moved)
    return Calibration(
        tuple(
            MotorCalibration(m.name, m.motor, int(sign), float(-sign * angle))
            for m, sign, angle in zip(start.motors, direction, zero, strict=True)
        )
    )


def remarks(found: Calibration) -> list[str]:
    """Say which joints are mounted otherwise than on ROBEL's hand."""
    said = []
    usual = {mounted.name: mounted for mounted in default_calibration().motors}
    for mounted in found.motors:
        if mounted.name not in JOINT_NAMES:
            continue
        away = abs(mounted.zero - usual[mounted.name].zero)
        if mounted.direction != usual[mounted.name].direction:
            said.append(f"{mounted.name} turns the other way than on ROBEL's hand")
        elif away > FAR:
            degrees = math.degrees(away)
            said.append(f"{mounted.name} is mounted {degrees:.0f} degrees away from ROBEL's")
    return said


def _ask(text: str) -> None:
    print(text, end="", flush=True)
    if not sys.stdin.readline():
        raise EOFError
    print()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smm calibrate",
        description="Learn how the joints of a hand are mounted on its motors. Torque stays off: "
        "the poses are shown by hand.",
    )
    parser.add_argument("port", help="serial port, such as /dev/ttyUSB0")
    parser.add_argument("file", type=Path, help="YAML file to write, which must not exist")
    parser.add_argument(
        "--baud_rate", type=int, default=1_000_000, choices=reg.BAUD_RATES[:-1],
        help="speed of the motors, bit/s (default 1000000)",
    )  # fmt: skip
    parser.add_argument("--ids", type=Path, help="calibration file with other ids than ROBEL's")
    parser.add_argument("--keep_directions", action="store_true", help="show the zero pose only")
    return parser


if __name__ == "__main__":
    sys.exit(main())
