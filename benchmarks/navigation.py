"""Navigation (figures 2b, 2c, 5a): how many halls each method explores to their ends.

    python benchmarks/navigation.py runs/navigation            # figure 2c and length 50
    python benchmarks/navigation.py runs/navigation --ablation # figure 5a

Each cell is one run folder with all seeds; a second call goes on where the first was ended. All
methods share the settings in SHARED and the same soft actor-critic; only what is paid differs.
"""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from experiment import Figures, interval, measured, side_by_side

from smm_core.environments import make_env
from smm_core.evaluation.evaluate import EvaluateConfig
from smm_core.evaluation.player import AVERAGE, LAST
from smm_core.evaluation.trained_runs import open_runs

SHARED: dict[str, Any] = {
    "random_steps": 1000,
    "updates_per_step": 0.25,
    "sac": {"hidden": [128, 128]},
    "history": {"period": 1000, "capacity": 100},  # every one: none is thinned out
}
METHODS: dict[str, dict[str, Any]] = {
    "SAC": {"method": "sac"},
    "Count": {"method": "count", "count": {"bin_width": [0.5], "coefficient": 1.0}},
    "ICM": {"method": "icm"},
    "SMM": {},
    "SM4": {"num_skills": 3},
}
ABLATIONS: dict[str, dict[str, Any]] = {
    "SM4": {"num_skills": 3},
    "SM4 without H[s|z]": {"num_skills": 3, "reward": {"state_entropy": 0.0}},
    "SM4 without H[z|s]": {"num_skills": 3, "reward": {"skill_entropy": 0.0}},
    "SAC": {"method": "sac"},
}
MAPS = ((3, 10), (5, 10), (7, 10), (3, 50))
ABLATION_MAPS = ((3, 50),)
POLICIES, TRAINING = (AVERAGE, LAST), "training"
EPISODES = 100


def main() -> None:
    """Train and measure what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the run folders are, or will be")
    parser.add_argument("--ablation", action="store_true", help="figure 5a in place of 2c")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--methods", nargs="*", help="only these")
    options = parser.parse_args()
    methods = ABLATIONS if options.ablation else METHODS
    names = options.methods or list(methods)
    maps = ABLATION_MAPS if options.ablation else MAPS
    cells = [(n, halls, length) for halls, length in maps for n in names]
    work = [(options, *cell) for cell in cells]
    found = dict(zip(cells, side_by_side(_cell, work, options.jobs), strict=True))
    _print_table(found, names, maps)


def _cell(options: argparse.Namespace, name: str, halls: int, length: int) -> dict[str, Figures]:
    """Return the figures by policy, and when training had reached every end."""
    methods = ABLATIONS if options.ablation else METHODS
    label = re.sub(r"\W+", "_", name).strip("_")
    folder = options.folder / f"{halls}x{length}-{label}-{options.steps}"
    settings = {
        "env": "smm_ros/Navigation-v0",
        "env_options": [f"num_halls={halls}", f"hall_length={length}"],
        "runs": options.seeds,
        "report_period": 5000,
        "checkpoint_period": 20_000,
        "learner": {**SHARED, **methods[name]},
    }

    config = EvaluateConfig(episodes=EPISODES, figures=("halls", "marginal"))
    found = {p: measured(folder, settings, options.steps, p, config) for p in POLICIES}
    return {**found, TRAINING: {"steps": _steps_until_all(folder)}}


def _steps_until_all(folder: Path) -> list[float]:
    """Return after how many steps of training each seed had been at every end; NaN for never."""
    runs = open_runs(folder)
    env = make_env(runs.env_id, runs.env_options)
    halls = env.get_wrapper_attr("halls")
    first = []
    for position in runs.learner.replay.reached().double().numpy():
        hall, step = np.unique(halls.reached(position), return_index=True)
        first.append(step[hall >= 0].max() + 1 if (hall >= 0).sum() == halls.num_halls else np.nan)
    env.close()
    return np.array(first, np.float64).tolist()


def _print_table(
    found: dict[tuple[str, int, int], dict[str, Figures]],
    names: list[str],
    maps: tuple[tuple[int, int], ...],
) -> None:
    print(
        f"\nShare of halls whose end was reached, in training and in {EPISODES} episodes of each"
    )
    print("seed after it; mean over seeds [95 % interval]")
    print(
        "\n| halls x length | method | in training | steps until all, by seed "
        "| historical average | last policy |"
    )
    print("|---|---|---|---|---|---|")
    for halls, length in maps:
        for name in names:
            figures = found[name, halls, length]
            during = interval(figures[AVERAGE]["halls_reached_in_training"])
            after = " | ".join(interval(figures[p]["halls_reached"]) for p in POLICIES)
            steps = ", ".join(
                "-" if math.isnan(s) else f"{s:.0f}" for s in figures[TRAINING]["steps"]
            )
            shown = name.replace("|", "\\|")
            print(f"| {halls} x {length} | {shown} | {during} | {steps} | {after} |")


if __name__ == "__main__":
    main()
