"""`smm bag play`: publish what was recorded, on machines without `ros2 bag play` too."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from smm_core.config import ConfigError
from smm_core.options import OptionParser, add_options, read_options
from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.replay.play_keys import Key, Keys
from smm_ros.bag.replay.play_session import PlaySession
from smm_ros.bag.replay.play_settings import PlaySettings
from smm_ros.node_main import NodeError
from smm_ros.ros_environment import missing_variables

SWITCH_INTERVAL = 0.0005
"""Longest that reading ahead may hold up what is due, s."""


def main(argv: Sequence[str] | None = None) -> int:
    """Play bags and return the exit status."""
    options = _parser().parse_args(argv)
    os.environ.update(missing_variables(os.environ))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        settings = read_options(PlaySettings, None, vars(options))
        sys.setswitchinterval(SWITCH_INTERVAL)
        gc.freeze()  # a search of all that was loaded would hold messages up
        with Keys() as keys, PlaySession(options.bags, settings, keys) as session:
            return session.run()
    except (BagError, ConfigError, NodeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _end(number: int, frame: FrameType | None) -> None:
    """Leave by way of every `with`, so that the terminal is as it was."""
    sys.exit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(
        prog="smm bag play",
        description="Publish the recorded messages, byte for byte, on their topics, with the "
        "quality of service and at the pace at which they were recorded.",
        epilog=f"Keys: {Key.PAUSE.value} holds and goes on; {Key.STEP.value} plays the next "
        "message while it is held. Exit status: 0 played to the end, 1 error, 130 interrupted.",
    )
    parser.add_argument(
        "bags", nargs="+", type=Path, metavar="PATH", help="folder of a bag, or one of its files"
    )
    add_options(parser, PlaySettings, leave_out=("anyway", "loop", "start_paused"))
    for flags, text in (
        (["--anyway"], "play topics that other nodes publish, too"),
        (["--loop"], "begin again at the end, until Ctrl-C"),
        (["--start_paused", "--start-paused"], "wait for a key before the first message"),
    ):
        parser.add_argument(*flags, action="store_true", default=argparse.SUPPRESS, help=text)
    return parser


if __name__ == "__main__":
    sys.exit(main())
