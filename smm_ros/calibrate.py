"""`smm calibrate PORT FILE`: learn how a hand's joints are mounted, by having them shown."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
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
from smm_ros.dclaw.dynamixel import units
from smm_ros.dclaw.dynamixel.bus_errors import BusError, MissingReplyError
from smm_ros.dclaw.dynamixel.motors import MotorGroup
from smm_ros.dclaw.dynamixel.patient_bus import LISTENED, PatientBus
from smm_ros.dclaw.dynamixel.port_check import check_port
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
Torque is off: the joints can be moved by hand, and stay off.

1. Bring the hand to its zero pose: all fingers straight, in line with their bases, and the valve
   with its mark to the front. Hold it there, and press Enter. """
_POSITIVE = """\
2. Move every joint a little to its positive side, some 20 degrees: the first joint of each finger
   away from the middle of the palm, the other two so that the tip bends outwards, the valve
   counter-clockwise seen from above. Hold it there, and press Enter. """


def main(argv: Sequence[str] | None = None) -> int:
    """Run `smm calibrate`; return the exit status."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        _check_file(arguments.file)
        start = read_calibration(arguments.ids) if arguments.ids else default_calibration()
    except (OSError, ValueError) as error:
        parser.error(str(error))
    try:
        check_port(arguments.port)
        found = _calibrate(arguments, start)
        found.write(arguments.file)
    except MissingReplyError as error:
        return _failed(f"{error} ('smm doctor {arguments.port}' looks for it)")
    except (BusError, OSError, ValueError) as error:
        return _failed(str(error))
    except EOFError:
        return _failed("the input ended before Enter was pressed")
    except KeyboardInterrupt:
        print("\ninterrupted, nothing was written")
        return 130
    for line in remarks(found):
        print(f"note: {line}")
    print(
        f"wrote {arguments.file}; name it as 'calibration' of the node 'hand' in the config file"
    )
    return 0


def _failed(text: str) -> int:
    print("\n".join(f"error: {line}" for line in text.splitlines()), file=sys.stderr)
    print("nothing was written", file=sys.stderr)
    return 1


def _check_file(path: Path) -> None:
    """Find out before anything is shown whether a file can be written."""
    if path.exists():
        raise CalibrationError(f"{path} exists; name a new file")
    if not os.access(path.absolute().parent, os.W_OK):
        raise CalibrationError(f"{path} can not be written: no such folder, or it may not be")


def _calibrate(arguments: argparse.Namespace, start: Calibration) -> Calibration:
    with PatientBus(arguments.port, arguments.baud_rate) as bus:
        bus.margin = LISTENED  # nothing is in a hurry here
        group = MotorGroup(bus, start.ids)
        group.check()
        _check_counting(bus, start.ids, arguments.port)
        group.torque_off()

        def positions() -> Array:
            register = reg.PRESENT_POSITION
            told = bus.sync_read(start.ids, register.address, register.size)
            return np.array([register.decode(told[i]) for i in start.ids]) * units.POSITION

        _ask(_ZERO)
        zero = look(positions, start.ids)
        # The joint's range says whether it can be so before the second pose is shown.
        found = from_poses(start, zero, None)
        if arguments.keep_directions:
            return found
        _ask(_POSITIVE)
        return from_poses(start, zero, look(positions, start.ids))


def _check_counting(bus: PatientBus, ids: Sequence[int], port: str) -> None:
    """Refuse motors that count otherwise than the driver has them count."""
    for motor in ids:
        for register in (reg.DRIVE_MODE, reg.HOMING_OFFSET):
            if value := bus.read(motor, register):
                raise CalibrationError(
                    f"motor {motor} has {register.name} {value}, expected 0: "
                    f"run 'smm doctor {port} --fix' first"
                )


def look(positions: Callable[[], Array], ids: Sequence[int]) -> Array:
    """Return where motors stand, (N,) rad; raises CalibrationError unless they stand still.

    `positions` measures them once and may raise MissingReplyError, which it raises when it comes
    too often.
    """
    seen: list[Array] = []
    missed = 0
    while len(seen) < LOOKS:
        try:
            seen.append(positions())
        except MissingReplyError:
            missed += 1
            if missed > LOOKS:
                raise
        time.sleep(0.01)
    # In one turn angles begin again at 0.
    angles = np.unwrap(np.array(seen), axis=0)
    moved = np.ptp(angles, axis=0)
    if (moved > STILL).any():
        motor = ids[int(moved.argmax())]
        degrees = math.degrees(float(moved.max()))
        raise CalibrationError(f"motor {motor} moved by {degrees:.1f} degrees: hold it still")
    return np.asarray(angles.mean(axis=0))


def from_poses(start: Calibration, zero: Array, positive: Array | None) -> Calibration:
    """Return the calibration of motors that stand at `zero` (10,) rad where all joints are 0.

    `positive` is where they stand with each joint moved to its positive side; without it
    directions stay as they are. Whole turns do not matter: after a restart motors count from
    within the first one.

    Raises:
        CalibrationError: a joint was not moved, or its motor's angle would jump within its range.
    """
    direction = start.direction
    if positive is not None:
        moved = np.array([math.remainder(way, 2 * math.pi) for way in positive - zero])
        for mounted, way in zip(start.motors, moved, strict=True):
            if abs(way) < SHOWN:
                raise CalibrationError(
                    f"{mounted.name} (motor {mounted.motor}) was moved by "
                    f"{math.degrees(way):.0f} degrees, expected {math.degrees(SHOWN):.0f} or more"
                )
        direction = np.sign(moved)
    reads = zero % (2 * math.pi)
    return Calibration(
        tuple(
            MotorCalibration(m.name, m.motor, int(sign), float(-sign * angle))
            for m, sign, angle in zip(start.motors, direction, reads, strict=True)
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
        epilog="Exit status: 0 the file was written, 1 it was not, 2 wrong use, 130 interrupted.",
    )
    parser.add_argument("port", help="serial port, such as /dev/ttyUSB0")
    parser.add_argument("file", type=Path, help="YAML file to write, which must not exist")
    parser.add_argument(
        "--baud_rate", type=int, default=1_000_000, choices=reg.PORT_RATES,
        help="speed of the motors, bit/s (default 1000000)",
    )  # fmt: skip
    parser.add_argument("--ids", type=Path, help="calibration file with other ids than ROBEL's")
    parser.add_argument("--keep_directions", action="store_true", help="show the zero pose only")
    return parser


if __name__ == "__main__":
    sys.exit(main())
