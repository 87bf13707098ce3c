"""`smm bag learn`: a policy from bags alone."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from smm_core import envs
from smm_core.checkpoint import CheckpointError
from smm_core.config import ConfigError, from_mapping
from smm_core.evaluation.metrics import ANGLE_BINS
from smm_core.offline.training import OffLineConfig, OffLineTraining
from smm_core.options import OptionParser, add_options, read_options, read_yaml
from smm_core.progress_bar import show
from smm_core.run_folder import free_folder
from smm_core.train import DivergedError, Metrics
from smm_ros import dclaw
from smm_ros.bag.figures import count_text
from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.offline.experience import Experience
from smm_ros.bag.source_options import add_source_options, sources_of
from smm_ros.bag.transition_source import TransitionSource, check_hands
from smm_ros.share import share_path

REGISTERED = (envs, dclaw)
"""Importing them makes their environments known to gymnasium."""
CONSERVATIVE = {"conservative": 1.0, "conservative_actions": 4}
"""What of the weights measured went best with the bag of a training run."""


def main(argv: Sequence[str] | None = None) -> int:
    """Learn from the bags and return the exit status."""
    defaults = _defaults()
    arguments = _parser(defaults).parse_args(argv)
    console = Console(stderr=True)
    try:
        config = read_options(OffLineConfig, arguments.config, vars(arguments), defaults)
        config = replace(config, data=tuple(str(path.resolve()) for path in arguments.paths))
        default = Path("runs", time.strftime("offline-%Y%m%d-%H%M%S"))
        sources = sources_of(arguments)
        training = OffLineTraining(config, arguments.out or free_folder(default))
        metrics = _learn(training, sources, arguments.hand, console)
    except (BagError, ConfigError, CheckpointError, DivergedError, OSError) as error:
        console.print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted while reading")
        return 130
    if training.learner.updates < config.updates:
        console.print(f"interrupted; what was learnt up to here is in {training.folder.path}")
        return 130
    print(json.dumps(metrics) if arguments.json else _lines(metrics))
    return 0


def _defaults() -> OffLineConfig:
    """Return what explores the D'Claw best on line, made conservative (docs/offline.md)."""
    settings = read_yaml(share_path("config", "train_dclaw.yaml"))
    settings["learner"]["sac"] |= CONSERVATIVE
    return from_mapping(OffLineConfig, {name: settings[name] for name in ("env", "learner")})


def _learn(
    training: OffLineTraining,
    sources: Sequence[TransitionSource],
    hands: Sequence[str],
    console: Console,
) -> Metrics:
    console.print(f"reading {count_text(len(sources), 'bag')}", highlight=False)
    bags = [Experience(source, training.layout) for source in sources]
    count = training.fill(transition for bag in bags for transition in bag)
    check_hands(sources, hands)
    console.print(f"{count} transitions", highlight=False)
    for note in (note for source in sources for note in source.notes):
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    updates = training.config.updates
    return show(training.run, training.stop, console, "updates", updates, _summary)


def _summary(metrics: Metrics) -> str:
    """Return speed and values in one line; of several runs the mean."""

    def mean(name: str) -> float:
        return sum(metrics[name]) / len(metrics[name])

    parts = [f"{metrics['updates_per_second']:.0f} updates/s"]
    parts.append(f"Q of the data {mean('q_data'):.2f}, of the policy {mean('q_policy'):.2f}")
    if "angle_entropy_data" in metrics:
        parts.append(f"angle of the data {mean('angle_entropy_data') / math.log(ANGLE_BINS):.0%}")
    return "  ".join(parts)


def _lines(metrics: Metrics) -> str:
    return "\n".join(f"{name}: {value}" for name, value in metrics.items())


def _parser(defaults: OffLineConfig) -> argparse.ArgumentParser:
    parser = OptionParser(
        prog="smm bag learn",
        description="Learn a policy from the transitions of bags, without an environment.",
    )
    add_source_options(parser)
    parser.add_argument("--config", type=Path, help="YAML file of the settings below")
    parser.add_argument(
        "--out",
        type=Path,
        help="new folder for checkpoints, settings, metrics and TensorBoard (default "
        "runs/offline-<time>); smm evaluate plays what is in it",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the final metrics as one JSON object"
    )
    add_options(parser, OffLineConfig, leave_out=("data",), defaults=defaults)
    return parser


if __name__ == "__main__":
    sys.exit(main())
