"""`smm bag drive`: lead the hand, or its twin, through a recorded episode."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from smm_core.config import ConfigError
from smm_core.options import OptionParser, add_options, read_options
from smm_ros.arguments import namespace
from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.replay.drive_report import as_data, as_text
from smm_ros.bag.replay.drive_session import DriveSession, Interrupted
from smm_ros.bag.replay.episode_drive import DriveSettings, EpisodeDrive
from smm_ros.bag.replay.recorded_episode import EpisodeError, RecordedEpisode, find_episode
from smm_ros.bag.source_options import add_origin_options, joint_topics
from smm_ros.bag.transition_source import TransitionSource
from smm_ros.conversions import ConversionError
from smm_ros.node_main import NodeError
from smm_ros.ros_environment import missing_variables
from smm_ros.signals import Signals


def main(argv: Sequence[str] | None = None) -> int:
    """Drive an episode and return the exit status."""
    options = _parser().parse_args(argv)
    os.environ.update(missing_variables(os.environ))
    try:
        settings = read_options(DriveSettings, None, vars(options))
        episode = _read(options)
        drive = EpisodeDrive(episode, settings)
        with Signals() as interrupts:
            ended = _lead(options, episode, drive, interrupts)
    except KeyboardInterrupt:
        _tell("interrupted; the hand was not moved")
        return 130
    except (BagError, ConfigError, EpisodeError, NodeError, ConversionError) as error:
        _tell(f"error: {error}")
        return 1
    data = as_data(episode, drive.tracking, ended)
    print(json.dumps(data) if options.json else as_text(data), flush=True)
    if interrupts.count:
        return 130
    return 1 if ended else 0


def _read(options: argparse.Namespace) -> RecordedEpisode:
    """Find the episode in the bag."""
    source = TransitionSource(options.bag, options.source, joint_topics(options))
    recorded = options.recorded.strip("/")
    episode = find_episode(source, recorded, options.episode, options.skip_gaps)
    for note in source.notes:
        _tell(f"note: {note}")
    origin = ", of joint states and joint commands" if source.assembled else ""
    _tell(f"episode {episode.number} of {episode.hand}: {episode.num_steps} steps{origin}")
    return episode


def _lead(
    options: argparse.Namespace,
    episode: RecordedEpisode,
    drive: EpisodeDrive,
    interrupts: Signals,
) -> str:
    """Find, reset and drive the hand; return how it ended, empty for well."""
    with DriveSession(options.hand, lambda: interrupts.count) as session:
        try:
            session.find_hand()
            if not options.no_reset:
                _tell(f"reset, with the valve at {episode.valve[0]:.2f} rad")
                session.reset(float(episode.valve[0]))
            session.follow(drive, lambda phase: _tell(phase.value))
        except Interrupted as interrupted:
            return f"interrupted; {interrupted}"
        except NodeError as error:
            if not len(drive.tracking.errors):  # nothing to report of
                raise
            return str(error)
    return drive.trouble


def _tell(text: str) -> None:
    with suppress(OSError):  # nobody may be there to read: the hand is led to the end all the same
        print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(
        prog="smm bag drive",
        description="Lead the hand, or its twin, through the actions of a recorded episode: a "
        "reset, a slow way to the first pose, the actions through the safety clamp, a slow way "
        "to the reset pose. Then the hand lets go by itself.",
        epilog="Ctrl-C goes to the reset pose and ends; a second one switches torque off at "
        "once. Exit status: 0 played to the end, 1 not, 2 wrong use, 130 interrupted.",
    )
    parser.add_argument(
        "bag", type=Path, metavar="PATH", help="folder of a bag, or one of its files"
    )
    parser.add_argument("--episode", type=int, metavar="N", help="default: the last whole one")
    parser.add_argument(
        "--recorded",
        default="",
        metavar="HAND",
        help="whose episode, of several hands",
    )
    parser.add_argument(
        "--hand", type=_namespace, default="/dclaw", help="the hand to lead (default dclaw)"
    )
    parser.add_argument("--no_reset", action="store_true", help="begin from wherever the hand is")
    parser.add_argument(
        "--skip_gaps", action="store_true", help="go slowly over what is missing of the episode"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    add_origin_options(parser)
    add_options(parser, DriveSettings)
    return parser


def _namespace(text: str) -> str:
    try:
        return namespace(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}, {error}") from error


if __name__ == "__main__":
    sys.exit(main())
