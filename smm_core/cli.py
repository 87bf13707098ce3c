"""`smm train`: the command line of the in-process loop."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from rich.console import Console

from smm_core.checkpoint import CheckpointError
from smm_core.config import ConfigError
from smm_core.evaluation.metrics import ANGLE_BINS
from smm_core.options import OptionParser, add_options, read_options
from smm_core.progress_bar import show
from smm_core.run_folder import free_folder
from smm_core.train import CHANGEABLE, DivergedError, Metrics, TrainConfig, Training
from smm_core.transitions import TransitionError

SHOWN = {
    "entropy_s_given_z": "H[s|z] {:.2f}",
    "entropy_z_given_s": "H[z|s] {:.2f}",
    "angle_entropy_replay": "angle {:.0%}",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `smm train` and return the exit status."""
    arguments = _parser().parse_args(argv)
    console = Console(stderr=True)
    training = None
    try:
        training = _open(arguments)
        metrics = _run(training, console)
    except (ConfigError, TransitionError, CheckpointError, DivergedError, OSError) as error:
        _say(console, f"error: {error}")
        _say_where(console, training)
        return 1
    except Exception as error:
        # Most likely the user's environment: where in it is what he needs to know.
        traceback.print_exc()
        _say(console, f"error: {error!r} ended the run")
        _say_where(console, training)
        return 1
    if training.learner.steps < training.config.steps:
        folder = training.folder.path
        console.print(f"interrupted; the run up to here is in {folder}, --resume goes on")
        return 130
    _print_result(metrics, arguments.json)
    if not training.learner.updates:
        steps = training.config.learner.random_steps
        _say(console, f"note: nothing was learnt; the first {steps} steps are random actions")
    return 0


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _say_where(console: Console, training: Training | None) -> None:
    """Say what is left of a run that an error has ended."""
    if training is not None and training.saved is not None:
        folder = training.folder.path
        _say(console, f"the run up to {training.saved[0]} steps is in {folder}, --resume goes on")


def _open(arguments: argparse.Namespace) -> Training:
    """Begin the run that the command line describes, or go on with it."""
    given = vars(arguments)
    if arguments.resume is not None:
        others = (arguments.env, arguments.config, arguments.folder)
        if any(other is not None for other in others):
            raise ConfigError("--resume takes no ENV, --config or --folder: the run has its own")
        names = {field.name for field in fields(TrainConfig)}
        changes = {n: value for n, value in given.items() if n.split(".")[0] in names - {"env"}}
        return Training.resumed(arguments.resume, changes)
    if arguments.env is None:
        del given["env"]
    config = read_options(TrainConfig, arguments.config, given)
    if not config.env:
        raise ConfigError("no environment is named; give its gymnasium id, or 'env' in --config")
    default = Path("runs", time.strftime("train-%Y%m%d-%H%M%S"))
    return Training(config, arguments.folder or free_folder(default))


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(
        prog="smm train",
        description="Learn to explore any gymnasium environment by State Marginal Matching.",
    )
    parser.add_argument(
        "env",
        nargs="?",
        help="gymnasium id, e.g. smm_ros/DClawExplore-v0 or Pendulum-v1; or 'env' in --config",
    )
    parser.add_argument("--config", type=Path, help="YAML file of the settings below")
    parser.add_argument(
        "--folder",
        type=Path,
        help="new folder for checkpoints, settings, metrics and TensorBoard (default "
        "runs/train-<time>)",
    )
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="FOLDER",
        help="go on with the run in a folder; " + ", ".join(CHANGEABLE) + " may be given anew",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the final metrics as one JSON object"
    )
    add_options(parser, TrainConfig, leave_out=("env",))
    return parser


def _run(training: Training, console: Console) -> Metrics:
    total, done = training.config.steps, training.learner.steps
    return show(training.run, training.stop, console, "steps", total, _summary, done)


def _summary(metrics: Metrics) -> str:
    """Return speed and entropies in one line; of several runs the mean."""
    parts = [f"{metrics['steps_per_second']:.0f} steps/s"]
    for name, form in SHOWN.items():
        if name in metrics:
            mean = sum(metrics[name]) / len(metrics[name])
            is_share = name.startswith("angle")
            parts.append(form.format(mean / math.log(ANGLE_BINS) if is_share else mean))
    return "  ".join(parts)


def _print_result(metrics: Metrics, as_json: bool) -> None:
    if as_json:
        print(json.dumps(metrics))
        return
    for name, value in metrics.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    sys.exit(main())
