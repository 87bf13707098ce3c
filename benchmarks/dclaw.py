"""D'Claw (figure 4, in simulation): how evenly and how far each method turns the valve.

    python benchmarks/dclaw.py runs/dclaw

Each method is one run folder with all seeds; a second call goes on where the first was ended.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from experiment import Figures, interval, measured, side_by_side

from smm_core.evaluation.evaluate import EvaluateConfig
from smm_core.evaluation.metrics import ANGLE_BINS
from smm_core.evaluation.player import AVERAGE, LAST, RANDOM
from smm_core.options import read_yaml

CONFIG = Path(__file__).resolve().parent.parent / "config" / "train_dclaw.yaml"
METHODS: dict[str, dict[str, Any]] = {
    "SMM": {},
    "SM4": {"num_skills": 4},
    "SAC": {"method": "sac"},
}
POLICIES = (AVERAGE, LAST)
STOPS = (10_000, 30_000, 100_000)
EPISODES = 400


def main() -> None:
    """Train and measure what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the run folders are, or will be")
    parser.add_argument("--steps", type=int, nargs="*", default=list(STOPS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    options = parser.parse_args()
    work = [(options, name) for name in options.methods]
    found = dict(zip(options.methods, side_by_side(_method, work, options.jobs), strict=True))
    _print_table(found)


def _method(options: argparse.Namespace, name: str) -> dict[str, Figures]:
    """Return the figures by 'steps policy'."""
    folder = options.folder / name
    shared = read_yaml(CONFIG)
    settings = {
        **shared,
        "runs": options.seeds,
        "report_period": 5000,
        "checkpoint_period": 10_000,
        "learner": {**shared["learner"], **METHODS[name]},
    }
    config = EvaluateConfig(episodes=EPISODES, figures=("marginal", "valve"))
    found = {}
    for steps in sorted(options.steps):
        # Random actions are the same whatever was learnt, and for however long.
        is_first = steps == min(options.steps) and name == options.methods[0]
        for policy in (RANDOM, *POLICIES) if is_first else POLICIES:
            found[f"{steps} {policy}"] = measured(folder, settings, steps, policy, config)
    return found


def _print_table(found: dict[str, dict[str, Figures]]) -> None:
    most = math.log(ANGLE_BINS)
    print(f"\n{EPISODES} episodes of 50 steps of each seed; mean over seeds [95 % interval]")
    print(
        "\n| method | steps | policy | H, nats | share of log 36 | KL to uniform | turned, turns |"
        " range, turns | half a turn or more | clockwise, rad | counter-clockwise, rad |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for method, cells in found.items():
        for cell, figures in cells.items():
            entropy = figures["state_entropy"]
            steps, policy = cell.split()
            columns = [
                *(("-", "-", RANDOM) if policy == RANDOM else (method, steps, policy)),
                interval(entropy),
                interval([h / most for h in entropy], ".3f"),
                interval([most - h for h in entropy], ".3f"),
                *(interval(figures[f"valve_{name}"]) for name in (
                    "rotations", "range", "half_turn", "clockwise", "counter_clockwise"
                )),
            ]  # fmt: skip
            print("| " + " | ".join(columns) + " |")


if __name__ == "__main__":
    main()
