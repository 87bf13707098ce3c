"""What the commands that read transitions from bags have in common on their command lines."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from smm_ros.bag.bag_files import find_files
from smm_ros.bag.transition_source import AUTO, SOURCES, TransitionSource


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Add the bags, and what is taken of them."""
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="folder of a bag, or one of its files"
    )
    parser.add_argument(
        "--hand",
        action="append",
        default=[],
        type=hand_name,
        metavar="NAME",
        help="take the transitions of this hand only; may be given again (default: all hands)",
    )
    add_origin_options(parser)


def add_origin_options(parser: argparse.ArgumentParser) -> None:
    """Add where in a bag its transitions come from."""
    parser.add_argument(
        "--from",
        dest="source",
        choices=SOURCES,
        default=AUTO,
        help="take recorded transitions, or assemble them from joint states and joint commands; "
        "auto: the first where a bag has any (default %(default)s)",
    )
    for name, what in (("states", "states"), ("command", "commands")):
        parser.add_argument(
            f"--joint_{name}",
            metavar="TOPIC",
            help=f"topic of the joint {what}; a name without a slash is looked for in the "
            f"namespace of every hand (default joint_{name})",
        )


def joint_topics(options: argparse.Namespace) -> dict[str, str]:
    """Return the settings of `joint_messages.JointTopics` that were given.

    Raises ConfigError where they do not go together.
    """
    topics = {name: getattr(options, name) for name in ("joint_states", "joint_command")}
    given = {name: topic for name, topic in topics.items() if topic is not None}
    if given:  # what they are for takes torch along, which takes seconds to load
        importlib.import_module("smm_ros.bag.joint_messages").JointTopics(**given)
    return given


def sources_of(options: argparse.Namespace) -> list[TransitionSource]:
    """Return the bags that were named.

    Raises BagError where there is none or one comes twice, ConfigError as `joint_topics` does.
    """
    find_files(options.paths)
    topics = joint_topics(options)
    return [TransitionSource(path, options.source, topics, options.hand) for path in options.paths]


def hand_name(text: str) -> str:
    """Return a hand's name as transitions have it: without slashes around it."""
    return text.strip("/")
