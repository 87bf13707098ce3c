"""Warm start: how soon the valve is turned everywhere, with and without bags of earlier runs.

    python benchmarks/offline_learning.py runs/offline --bag BAG
    python benchmarks/warm_start.py runs/warm --bag BAG --learnt runs/offline/training_run-0

Each case learns on line in the simulated hand, as `smm train --config config/train_dclaw.yaml`
does; three runs at once. What was there before the first step differs: nothing, 20,000 steps of
random actions, or the bag of a training run, such as `smm demo` leaves; with the usual 1000 random
steps or without; and what the first script has learnt from that bag, which is the run folder
`--learnt`.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from experiment import Figures, interval, side_by_side
from offline_learning import CONFIG, ENV, STEPS, random_transitions

from smm_core.acting import ActingPolicy, acting_seed
from smm_core.config import from_mapping
from smm_core.environments import make_envs
from smm_core.evaluation.metrics import ANGLE_BINS, angle_entropies
from smm_core.evaluation.trained_runs import open_runs
from smm_core.learner import Learner
from smm_core.offline.training import OffLineConfig, OffLineTraining
from smm_core.options import read_yaml
from smm_core.rollout import Rollout
from smm_core.transitions import Transition
from smm_ros.bag.offline.experience import Experience
from smm_ros.bag.transition_source import TransitionSource

NOTHING, RANDOM_DATA, BAG_DATA = "nothing", "random actions", "training run"
CASES: dict[str, dict[str, Any]] = {
    "from nothing": {"data": NOTHING},
    "random actions": {"data": RANDOM_DATA},
    "random actions, no random steps": {"data": RANDOM_DATA, "random_steps": 1},
    "training run": {"data": BAG_DATA},
    "training run, no random steps": {"data": BAG_DATA, "random_steps": 1},
    "training run, learnt from off line": {"is_learnt": True},
}
LOOK_PERIOD, LEVELS = 100, (0.85, 0.9, 0.95)
"""Steps between two looks, and shares of log 36 that the entropy of a run's states is to reach."""


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where results are kept")
    parser.add_argument("--bag", type=Path, required=True, help="bag of a training run")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--learnt", type=Path, help="run folder of what was learnt off line")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    work = [(options, name) for name in options.cases]
    found = side_by_side(_case, work, options.jobs)
    _print_table(options, dict(zip(options.cases, found, strict=True)))


def _case(options: argparse.Namespace, name: str) -> Figures:
    """Return the entropies of each run's own states, by the number of its steps."""
    file = options.folder / f"{name.replace(' ', '_').replace(',', '')}.json"
    if not file.exists():
        torch.set_num_threads(1)
        file.write_text(json.dumps(_learn(options, CASES[name])))
    found: Figures = json.loads(file.read_text())
    return found


def _learn(options: argparse.Namespace, case: Mapping[str, Any]) -> Figures:
    learner = _prepared(options, case)
    acting = ActingPolicy(
        learner.layout,
        learner.config.sac.hidden,
        learner.history,
        [acting_seed(seed) for seed in range(options.seeds)],
    )
    rollout = Rollout(make_envs(ENV, options.seeds), acting, range(options.seeds))
    found = {}
    while learner.steps < options.steps:
        learner.observe(rollout.step())
        while learner.updates_owed > 0:
            learner.update()
        if learner.snapshot_due:
            learner.snapshot()
        if learner.steps % LOOK_PERIOD == 0:
            (entropies,) = angle_entropies(learner.space, learner.reached()).values()
            found[str(learner.steps)] = entropies.tolist()
    rollout.close()
    return found


def _prepared(options: argparse.Namespace, case: Mapping[str, Any]) -> Learner:
    """Return a learner that has taken in what there is before the first step."""
    if "is_learnt" in case:
        return open_runs(options.learnt).learner
    settings = read_yaml(CONFIG)["learner"]
    settings["random_steps"] = case.get("random_steps", 1000)
    config = from_mapping(OffLineConfig, {"env": ENV, "runs": options.seeds, "learner": settings})
    training = OffLineTraining(config, options.folder / "none")
    data: dict[str, Iterable[Transition]] = {
        RANDOM_DATA: random_transitions(STEPS),
        BAG_DATA: Experience(TransitionSource(options.bag), training.layout),
    }
    if case["data"] in data:
        training.fill(data[case["data"]])
    return training.learner


def _print_table(options: argparse.Namespace, found: dict[str, Figures]) -> None:
    most, last = math.log(ANGLE_BINS), str(options.steps)
    print("\n| begins with | " + " | ".join(f"steps to {s:.0%}" for s in LEVELS) + " | H then |")
    print("|" + "---|" * (2 + len(LEVELS)))
    for name, figures in found.items():
        share = {int(steps): np.array(values) / most for steps, values in figures.items()}
        cells = [", ".join(_reached(share, level)) for level in LEVELS]
        print(f"| {name} | " + " | ".join(cells) + f" | {interval(figures[last])} |")
    print(f"\nof log {ANGLE_BINS}, of all states of a run so far, by seed; H after {last} steps")


def _reached(share: dict[int, np.ndarray], level: float) -> list[str]:
    """Return for each run the first look from which on its share stays at a level, as text."""
    texts = []
    for run in range(len(next(iter(share.values())))):
        low = [steps for steps, shares in share.items() if shares[run] < level]
        first = max(low, default=0) + LOOK_PERIOD
        texts.append(str(first) if first in share else "-")
    return texts


if __name__ == "__main__":
    main()
