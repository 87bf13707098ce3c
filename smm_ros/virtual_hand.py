"""`smm virtual-hand`: virtual servos on a pseudo-terminal, for any Dynamixel client to open."""

from __future__ import annotations

import argparse
import gc
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from smm_ros.dclaw.calibration import read_calibration
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.virtual.hand import FACTORY, VirtualHand, VirtualHandConfig
from smm_ros.dclaw.virtual.port import VirtualPort


def main(argv: Sequence[str] | None = None) -> int:
    """Run `smm virtual-hand` until a signal; return the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        calibration = read_calibration(arguments.calibration) if arguments.calibration else None
        hand = VirtualHand(_config(arguments), calibration)
        port = VirtualPort(hand)
        if arguments.link:
            _link(arguments.link, port.path)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    gc.freeze()  # a search of all that was loaded would hold answers up
    with port:
        print(arguments.link or port.path, flush=True)
        threading.Thread(target=_obey, args=(port,), daemon=True).start()
        ended.wait()
    if arguments.link:
        arguments.link.unlink(missing_ok=True)
    return 0


def _obey(port: VirtualPort) -> None:
    """Carry out commands from the standard input, and say what came of them."""
    for line in sys.stdin:
        if line.strip():
            print(port.command(line.strip()), flush=True)


def _config(arguments: argparse.Namespace) -> VirtualHandConfig:
    config = FACTORY if arguments.factory else VirtualHandConfig()
    given = {
        "model_number": arguments.model,
        "firmware": arguments.firmware,
        "baud_rate": arguments.baud_rate,
        "fast_sync_read": arguments.fast_sync_read,
        "seed": arguments.seed,
    }
    return replace(config, **{name: value for name, value in given.items() if value is not None})


def _link(link: Path, target: str) -> None:
    """Make a link to the port, in the place of one that an earlier run left."""
    if link.is_symlink():
        link.unlink()
    link.symlink_to(target)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smm virtual-hand",
        description="Ten virtual servos that move the twin, on a serial port of their own. Prints "
        "the port; then each line of the standard input is a command, such as 'overload 11' "
        "(help: all of them).",
    )
    parser.add_argument("--link", type=Path, help="make a link of this name to the port")
    parser.add_argument(
        "--factory", action="store_true", help="as out of the box: slow, and slow to answer"
    )
    models = ", ".join(f"{m.number} {m.name}" for m in reg.MODELS.values())
    parser.add_argument("--model", type=int, choices=list(reg.MODELS), help=models)
    parser.add_argument("--firmware", type=int, help="firmware version (default 45)")
    parser.add_argument(
        "--baud_rate", type=int, choices=reg.PORT_RATES, help="bit/s (default 1000000)"
    )
    parser.add_argument(
        "--fast_sync_read",
        action=argparse.BooleanOptionalAction,
        help="answer to fast sync reads (default: yes)",
    )
    parser.add_argument("--calibration", type=Path, help="how the motors are mounted")
    parser.add_argument("--seed", type=int, help="of damaged bytes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
