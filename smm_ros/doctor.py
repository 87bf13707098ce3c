"""`smm doctor PORT`: what keeps a hand's motors from being driven well, and the cure of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from smm_ros.dclaw.calibration import default_calibration, read_calibration
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.bus_errors import BusError
from smm_ros.dclaw.dynamixel.census import Census, take_census
from smm_ros.dclaw.dynamixel.cures import cure, set_id
from smm_ros.dclaw.dynamixel.examination import examine
from smm_ros.dclaw.dynamixel.findings import Cure, Finding, Level, by_text
from smm_ros.dclaw.dynamixel.port_check import check_port

_STYLES = {Level.FINE: "green", Level.WARNING: "yellow", Level.ERROR: "red"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `smm doctor`; the exit status is 0 where nothing is wrong (any more)."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        path = arguments.calibration
        ids = (read_calibration(path) if path else default_calibration()).ids
    except (OSError, ValueError) as error:
        parser.error(str(error))
    doctor = _Doctor(arguments, ids)
    try:
        check_port(arguments.port)
        if arguments.set_id:
            return doctor.set_id(*arguments.set_id)
        return doctor.look_after()
    except (BusError, OSError) as error:
        doctor.say(Level.ERROR.value, str(error), _STYLES[Level.ERROR])
        return 1
    except KeyboardInterrupt:
        is_writing = arguments.fix or arguments.set_id
        kept = "motors keep what was set so far" if is_writing else "nothing was written"
        doctor.say("", f"interrupted: {kept}")
        return 130


class _Doctor:
    """What is done at one port, and said on the screen."""

    def __init__(self, arguments: argparse.Namespace, ids: Collection[int]) -> None:
        self._arguments, self._ids = arguments, ids
        self._console = Console(highlight=False, soft_wrap=True)

    def look_after(self) -> int:
        """Examine, cure where that is asked for, and examine again; return the exit status."""
        census = self._count()
        findings = self._examine(census)
        cures = [one for finding in findings for one in finding.cures]
        if cures and self._arguments.fix:
            self._console.print()
            self._cure(census, cures)
            self._console.print("\nonce more:")
            findings = self._examine(self._count())
        self._sum_up(findings)
        return 0 if all(finding.level is Level.FINE for finding in findings) else 1

    def set_id(self, old: int, new: int) -> int:
        """Give a motor another id; return the exit status."""
        set_id(self._arguments.port, self._count(), old, new)
        self.say("set", f"motor {old} is motor {new} now")
        return 0

    def say(self, mark: str, text: str, style: str = "") -> None:
        """Print a line with its mark in a column of its own."""
        self._console.print(Text(f"{mark:<9}", style) + Text(text))

    def _count(self) -> Census:
        count, slowest = len(reg.PORT_RATES), min(reg.PORT_RATES)
        self.say("", f"looking for motors at {count} speeds, from {slowest} bit/s on ...")
        return take_census(self._arguments.port, self._ids, lambda text: self.say("", text))

    def _examine(self, census: Census) -> list[Finding]:
        given = self._arguments
        findings: list[Finding] = []
        try:
            for one in examine(given.port, census, self._ids, given.baud_rate, given.rate):
                findings.append(one)
        finally:  # what was found is told, whatever came between
            for finding, motors in by_text(findings):
                self._show(finding, motors)
        return findings

    def _show(self, finding: Finding, motors: Collection[int]) -> None:
        level = finding.level
        self.say(level.value, self._whom(motors) + finding.text, _STYLES[level])
        if finding.remedy:
            self.say("", f"{'with --fix' if finding.cures else 'by hand'}: {finding.remedy}")

    def _whom(self, motors: Collection[int]) -> str:
        if not motors:
            return ""
        if set(motors) == set(self._ids):
            return "every motor: "
        return f"motor {', '.join(map(str, motors))}: "

    def _cure(self, census: Census, cures: Collection[Cure]) -> None:
        done: dict[str, list[int]] = {}
        try:
            for one, trouble in cure(self._arguments.port, census, cures):
                if trouble:
                    self.say(Level.ERROR.value, trouble, _STYLES[Level.ERROR])
                    continue
                value = one.value
                if one.register is reg.BAUD_RATE:
                    value = reg.BAUD_RATES[value]
                done.setdefault(f"{one.register.name} = {value}", []).append(one.motor)
        finally:
            for what, motors in done.items():
                self.say("set", f"{self._whom(motors)}{what}")

    def _sum_up(self, findings: Collection[Finding]) -> None:
        levels = [finding.level for finding, _ in by_text(findings)]
        errors, warnings = levels.count(Level.ERROR), levels.count(Level.WARNING)
        self._console.print()
        if not errors + warnings:
            self._console.print("nothing is wrong with the hand")
            return
        text = f"{_counted(errors, 'error')}, {_counted(warnings, 'warning')}"
        if any(finding.cures for finding in findings) and not self._arguments.fix:
            text += "; --fix switches torque off and sets what it can"
        self._console.print(text)


def _counted(count: int, name: str) -> str:
    return f"{count} {name}{'' if count == 1 else 's'}"


def _rate(text: str) -> float:
    value = float(text)
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text} Hz, expected 1 to 1000")
    return value


def _id(text: str) -> int:
    value = int(text)
    if not reg.ID.low <= value <= reg.ID.high:
        raise argparse.ArgumentTypeError(f"{text} is no id, expected {reg.ID.low}..{reg.ID.high}")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smm doctor",
        description="Look over the motors of a hand: who is there, set up how, and how fast they "
        "can be read. Nothing moves; without --fix or --set_id nothing is written.",
        epilog="Exit status: 0 nothing is wrong, 1 something is, 2 wrong use, 130 interrupted.",
    )
    parser.add_argument("port", help="serial port, such as /dev/ttyUSB0")
    parser.add_argument(
        "--baud_rate", type=int, default=1_000_000, choices=reg.PORT_RATES,
        help="speed that the motors should have, bit/s (default 1000000)",
    )  # fmt: skip
    parser.add_argument(
        "--rate", type=_rate, default=100.0, help="cycles wanted, Hz (default 100)"
    )
    parser.add_argument("--calibration", type=Path, help="the hand's file, for the motors' ids")
    action = parser.add_mutually_exclusive_group()
    action.add_argument(
        "--fix", action="store_true", help="switch torque off, and set what is set wrongly"
    )
    action.add_argument(
        "--set_id", type=_id, nargs=2, metavar=("OLD", "NEW"),
        help="do nothing but give the motor OLD another id",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
