"""`smm bag`: what can be done with recordings; each command in its own module."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "info": ("smm_ros.bag.info", "what is in a bag: topics, episodes, gaps, policies"),
    "check": ("smm_ros.bag.check", "whether all of it can be read and fits together"),
    "repair": ("smm_ros.bag.repair", "a whole copy of a damaged bag"),
    "fit": ("smm_ros.bag.offline.fit", "densities and a discriminator learnt from bags"),
    "learn": ("smm_ros.bag.offline.learn", "a policy learnt from bags alone"),
    "play": ("smm_ros.bag.replay.play", "publish what was recorded, as ros2 bag play does"),
    "drive": ("smm_ros.bag.replay.drive", "lead the hand through recorded actions, safely"),
    "export": ("smm_ros.bag.datasets.export", "a dataset for learners: Parquet, Minari, LeRobot"),
    "import": ("smm_ros.bag.datasets.import_", "a bag made of such a dataset"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `smm bag COMMAND ...` and return the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in ("-h", "--help"):
        print(_usage())
        raise SystemExit(0)
    if not words or words[0] not in COMMANDS:
        said = f"no command {words[0]!r}" if words else "a command is missing"
        print(f"error: {said}\n\n{_usage()}", file=sys.stderr)
        return 2
    module = importlib.import_module(COMMANDS[words[0]][0])
    status: int = module.main(words[1:])
    return status


def _usage() -> str:
    lines = [f"  {name:<9}{text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        ["usage: smm bag COMMAND ...", "", *lines, "", "smm bag COMMAND --help says more."]
    )
