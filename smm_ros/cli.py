"""The `smm` command: each subcommand in its own module, imported when it is asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "up": ("smm_ros.runner", "start the graph: smm up dclaw_hardware sim:=true"),
    "demo": ("smm_ros.demo", "explore the simulated valve and show what was reached"),
    "train": ("smm_core.cli", "learn in process over any gymnasium environment"),
    "evaluate": ("smm_core.evaluation.cli", "play what was learnt and measure what it reaches"),
    "bag": ("smm_ros.bag.cli", "look into recordings, mend them, and put them to use"),
    "states": ("smm_ros.states_file", "take the states out of a bag, to learn a target from"),
    "watch": ("smm_ros.watch", "live figures of a running graph"),
    "doctor": ("smm_ros.doctor", "look over the motors of a hand, and set what is set wrongly"),
    "calibrate": ("smm_ros.calibrate", "learn how the joints of a hand are mounted"),
    "virtual-hand": ("smm_ros.virtual_hand", "virtual servos on a port, to try the driver on"),
    "bench": ("smm_ros.bench.cli", "measure speed side by side with what others would pick"),
    "view": ("smm_ros.dclaw.view", "render the simulated hand to a PNG"),
}

ENVIRONMENTS = ("smm_ros.dclaw", "smm_core.envs")
"""Packages that register environments with gymnasium when they are imported."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `smm COMMAND ...` and return the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(_usage())
        return 0
    if words[0] not in COMMANDS:
        print(f"error: no command {words[0]!r}\n\n{_usage()}", file=sys.stderr)
        return 2
    if words[0] in ("train", "evaluate"):
        for name in ENVIRONMENTS:
            importlib.import_module(name)
    module = importlib.import_module(COMMANDS[words[0]][0])
    status: int = module.main(words[1:])
    return status


def _usage() -> str:
    lines = [f"  {name:<14}{text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(["usage: smm COMMAND ...", "", *lines, "", "smm COMMAND --help says more."])


if __name__ == "__main__":
    sys.exit(main())
