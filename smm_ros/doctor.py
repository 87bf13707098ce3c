"""`smm doctor PORT`: what keeps a hand's motors from being driven well, and the cure of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from smm_ros.dclaw.calibration import default_calibration, read_calibration
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.bus_errors import BusError
from smm_ros.dclaw.dynamixel.examination import cure, examine
from smm_ros.dclaw.dynamixel.findings import Finding, Level, by_text

_STYLES = {Level.FINE: "green", Level.WARNING: "yellow", Level.ERROR: "red"}
_INDENT = " " * 9


def main(argv: Sequence[str] | None = None) -> int:
    """Run `smm doctor`; the exit status is 0 where the hand can be driven."""
    arguments = _parser().parse_args(argv)
    console = Console(highlight=False, soft_wrap=True)
    try:
        findings = _examine(arguments, console)
        cures = [cure for finding in findings for cure in finding.cures]
        if cures and arguments.fix:
            for one in cure(arguments.port, cures):
                name = one.register.name
                console.print(f"{'set':<9}motor {one.motor}: {name} {one.value}", markup=False)
            console.print("\nonce more:")
            findings = _examine(arguments, console)
        elif cures:
            console.print("\n--fix sets what can be set, with torque off")
    except (BusError, OSError, ValueError) as error:
        console.print(f"error: {error}", markup=False)
        return 1
    return 1 if any(finding.level is Level.ERROR for finding in findings) else 0


def _examine(arguments: argparse.Namespace, console: Console) -> list[Finding]:
    path = arguments.calibration
    ids = (read_calibration(path) if path else default_calibration()).ids

    def report(text: str) -> None:
        console.print(f"{_INDENT}{text}", markup=False)

    parts = arguments.port, ids, arguments.baud_rate, arguments.rate, report
    findings = list(examine(*parts))
    for finding, motors in by_text(findings):
        who = f"motor {', '.join(map(str, motors))}: " if motors else ""
        mark = Text(f"{finding.level.value:<9}", _STYLES[finding.level])
        console.print(mark + Text(who + finding.text))
        if finding.remedy:
            report(finding.remedy)
    return findings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smm doctor",
        description="Look over the motors of a hand: who is there, set up how, and how fast they "
        "can be read. Nothing moves; without --fix nothing is written.",
    )
    parser.add_argument("port", help="serial port, such as /dev/ttyUSB0")
    parser.add_argument(
        "--baud_rate", type=int, default=1_000_000, choices=reg.BAUD_RATES[:-1],
        help="speed that the motors should have, bit/s (default 1000000)",
    )  # fmt: skip
    parser.add_argument(
        "--rate", type=float, default=100.0, help="cycles wanted, Hz (default 100)"
    )
    parser.add_argument("--calibration", type=Path, help="the hand's file, for the motors' ids")
    parser.add_argument("--fix", action="store_true", help="set what is set wrongly")
    return parser


if __name__ == "__main__":
    sys.exit(main())
