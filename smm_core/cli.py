"""`smm train`: the command line of the in-process loop."""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from smm_core.checkpoint import CheckpointError
from smm_core.config import ConfigError
from smm_core.metrics import ANGLE_BINS
from smm_core.options import add_options, read_options
from smm_core.train import Metrics, TrainConfig, Training
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
    try:
        config = read_options(TrainConfig, arguments.config, vars(arguments))
        training = Training(arguments.env, config, arguments.folder)
        metrics = _run(training, config, console)
    except (ConfigError, TransitionError, CheckpointError, OSError) as error:
        console.print(f"error: {error}", markup=False, highlight=False)
        return 1
    if training.learner.steps < config.steps:
        console.print(f"interrupted; the run up to here is in {arguments.folder}")
        return 130
    _print_result(metrics, arguments.json)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="smm train",
        description="Learn to explore any gymnasium environment by State Marginal Matching.",
    )
    parser.add_argument("env", help="gymnasium id, e.g. smm_ros/DClawExplore-v0 or Pendulum-v1")
    parser.add_argument("--config", type=Path, help="YAML file of the settings below")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("runs", time.strftime("train-%Y%m%d-%H%M%S")),
        help="new folder for checkpoints, settings and TensorBoard (default %(default)s)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the final metrics as one JSON object"
    )
    add_options(parser, TrainConfig)
    return parser


def _run(training: Training, config: TrainConfig, console: Console) -> Metrics:
    columns = (
        TextColumn("{task.completed:>7} steps"),
        BarColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("train", total=config.steps, text="")

        def report(metrics: Metrics) -> None:
            bar.update(task, completed=metrics["steps"], text=_summary(metrics))
            if not console.is_terminal:
                line = f"{metrics['steps']:>7} steps  {_summary(metrics)}"
                console.print(line, markup=False, highlight=False)

        before = signal.signal(signal.SIGINT, lambda number, frame: training.stop())
        try:
            return training.run(report)
        finally:
            signal.signal(signal.SIGINT, before)


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
