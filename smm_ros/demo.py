"""`smm demo`: the simulated graph learns to turn the valve; then figures and a picture of it."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from smm_core import checkpoint
from smm_core.evaluation.metrics import ANGLE_BINS, angle_entropy
from smm_core.evaluation.player import visit
from smm_core.history import PolicyHistory
from smm_ros.bag.reading import read_transitions
from smm_ros.dclaw import ENV_ID
from smm_ros.dclaw.spec import EPISODE_STEPS
from smm_ros.dclaw.task import VALVE_COS, VALVE_SIN
from smm_ros.exploration import (
    LEARNT_COLOR,
    MAX_ENTROPY,
    RANDOM_COLOR,
    Exploration,
    draw,
)
from smm_ros.graph import Graph, render
from smm_ros.runner import run_graph

TWINS = 8
"""Twins that are played side by side in the comparison."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the graph, compare what it learnt with random actions, and show it."""
    options = _parser().parse_args(argv)
    graph = render("dclaw_hardware", _arguments(options))
    minutes = options.steps / 100 / 60
    print(
        f"The simulated D'Claw explores its valve for {options.steps} steps: four ROS 2 nodes,\n"
        f"as fast as this machine can (about {max(1, round(minutes))} min at 100 steps/s). "
        "Ctrl-C ends it early.\n",
        flush=True,
    )
    started = time.monotonic()
    outcome = run_graph(graph, live=sys.stdout.isatty())
    if not outcome.ok:
        print(f"{outcome.message}\nrun folder: {graph.run_dir}", file=sys.stderr)
        return 1
    seconds = time.monotonic() - started
    return _show(graph, options.episodes, options.seed, seconds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="smm demo", description=__doc__)
    parser.add_argument(
        "--steps", type=_positive, default=20_000, help="steps to learn from (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")
    parser.add_argument(
        "--episodes", type=_positive, default=400, help="to compare with (default %(default)s)"
    )
    parser.add_argument("--folder", default="", help="run folder (default: a new one in runs/)")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number of at least 1")
    return int(text)


def _arguments(options: argparse.Namespace) -> dict[str, str]:
    return {
        "sim": "true",
        "real_time_factor": "0",
        "total_steps": str(options.steps),
        "seed": str(options.seed),
        "run_dir": options.folder,
        "log_level": "warn",
    }


def _show(graph: Graph, episodes: int, seed: int, seconds: float) -> int:
    bag, picture = graph.run_dir / "bag", graph.run_dir / "exploration.png"
    path = checkpoint.newest(graph.run_dir / "checkpoints")
    if path is None:
        print(f"ended before the first step, so there is nothing to show: {graph.run_dir}")
        return 1
    angles, gaps = _recorded_angles(bag)
    missing = checkpoint.read(path)[1]["steps"] - len(angles)
    print(f"\nplaying {episodes} episodes with the learnt policies and {episodes} at random ...")
    explorations = compare(path, episodes, seed)
    draw(explorations, _growth(angles), picture)
    print(f"\n{len(angles)} transitions in {seconds:.0f} s; in the bag, without a gap: ", end="")
    print("yes" if not gaps and not missing else f"no, {missing} are missing")
    print(_table(explorations, angles))
    print(f"picture     {picture}\nbag         {bag}\ncheckpoint  {path}")
    return 0


def _recorded_angles(bag: Path) -> tuple[NDArray[np.floating], int]:
    """Return the valve's angle (rad) after every recorded transition, and how many are missing."""
    reading = read_transitions(bag)
    ends = [record.next_observation[[VALVE_COS, VALVE_SIN]] for record in reading]
    cosine, sine = np.array(ends).T
    return np.arctan2(sine, cosine), sum(reading.gaps.values())


def _growth(angles: NDArray[np.floating]) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
    steps = np.unique(np.linspace(50, len(angles), 100, dtype=int))
    return steps, np.array([angle_entropy(angles[:count]) for count in steps])


def compare(path: Path, episodes: int, seed: int) -> list[Exploration]:
    """Play the historical average of a checkpoint and random actions, each in its own process."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        learnt = pool.submit(_play, path, episodes, seed, True)
        blind = pool.submit(_play, path, episodes, seed, False)
        return [
            Exploration("learnt, historical average", LEARNT_COLOR, learnt.result()),
            Exploration("uniform random actions", RANDOM_COLOR, blind.result()),
        ]


def _play(path: Path, episodes: int, seed: int, learnt: bool) -> NDArray[np.floating]:
    torch.set_num_threads(1)
    learner = checkpoint.open_learner(path)
    history = learner.history.averaged()
    if not learnt:
        history = PolicyHistory(history.config)
    rounds = -(-episodes // TWINS)
    seeds = [seed * TWINS + twin + 7_000_000 for twin in range(TWINS)]
    states = visit(learner, ENV_ID, history, seeds, rounds * EPISODE_STEPS)
    return states[:, :, 0].reshape(TWINS * rounds, EPISODE_STEPS)


def _table(explorations: list[Exploration], recorded: NDArray[np.floating]) -> str:
    lines = [
        f"\nvalve angle over {ANGLE_BINS} bins (at most log {ANGLE_BINS} = {MAX_ENTROPY:.2f})"
    ]
    training = angle_entropy(recorded)
    share = training / MAX_ENTROPY
    lines.append(f"  {'all of training':<28}{training:.2f} nats, {share:.1%} of the maximum")
    for exploration in explorations:
        figures = exploration.figures()
        lines.append(
            f"  {exploration.name:<28}{figures['entropy']:.2f} nats, "
            f"{figures['share_of_maximum']:.1%} of the maximum; "
            f"an episode turns the valve {figures['mean_range_in_turns']:.2f} turns, "
            f"half a turn or more in {figures['episodes_of_half_a_turn']:.0%}"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
