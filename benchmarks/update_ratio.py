"""Updates per step: how evenly the D'Claw's valve is turned after few steps, and what it costs.

    python benchmarks/update_ratio.py runs/update_ratio
    python benchmarks/update_ratio.py runs/update_ratio --rows base 10 1

Every row has the settings of config/train_dclaw_high_ratio.yaml but for what it names: the updates
per step, "bare" critics without normalised layers, "unlike fingers" without the symmetry, "base"
config/train_dclaw.yaml. Each row is one run folder with all seeds; a second call goes on where the
first was ended. Figures are those of benchmarks/dclaw.py, of the historical average.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from statistics import median
from typing import Any

from dclaw import CONFIG, EPISODES
from experiment import Figures, interval, measured, side_by_side

from smm_core.config import to_mapping
from smm_core.evaluation.evaluate import EvaluateConfig
from smm_core.evaluation.metrics import ANGLE_BINS
from smm_core.evaluation.player import AVERAGE
from smm_core.options import read_options
from smm_core.run_folder import RunFolder
from smm_core.train import TrainConfig

HIGH_RATIO = CONFIG.with_name("train_dclaw_high_ratio.yaml")
BARE, UNLIKE = {"learner.sac.layer_norm": False}, {"learner.symmetry.order": 1}
ROWS: dict[str, tuple[Path, dict[str, Any]]] = {
    "base": (CONFIG, {}),
    "10": (HIGH_RATIO, {}),
    **{f"{n}": (HIGH_RATIO, {"learner.updates_per_step": float(n)}) for n in (1, 5, 20)},
    **{
        f"{n} bare": (HIGH_RATIO, {"learner.updates_per_step": float(n)} | BARE)
        for n in (1, 5, 10, 20)
    },
    **{
        f"{n} unlike fingers": (HIGH_RATIO, {"learner.updates_per_step": float(n)} | UNLIKE)
        for n in (1, 10)
    },
}
STOPS = (3_000, 5_000, 10_000)


def main() -> None:
    """Train and measure what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the run folders are, or will be")
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=ROWS)
    parser.add_argument("--steps", type=int, nargs="*", default=list(STOPS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    options = parser.parse_args()
    work = [(options, name) for name in options.rows]
    found = side_by_side(_row, work, options.jobs)
    most = math.log(ANGLE_BINS)
    print(f"\n{EPISODES} episodes of 50 steps of each of {options.seeds} seeds")
    print("\n| updates per step | steps | H, nats | share of log 36 of each seed | ms per step |")
    print("|---|--:|---|---|--:|")
    for name, cells in zip(options.rows, found, strict=True):
        for steps, figures, cost in cells:
            entropy = figures["state_entropy"]
            shares = ", ".join(format(h / most, ".3f") for h in entropy)
            print(f"| {name} | {steps} | {interval(entropy)} | {shares} | {1e3 * cost:.0f} |")


def _row(options: argparse.Namespace, name: str) -> list[tuple[int, Figures, float]]:
    """Return steps, figures, and the time of a step of all seeds at once, s."""
    folder = options.folder / name.replace(" ", "_")
    settings = _settings(name, options.seeds)
    config = EvaluateConfig(episodes=EPISODES, figures=("marginal", "valve"))
    found = {s: measured(folder, settings, s, AVERAGE, config) for s in sorted(options.steps)}
    cost = _step_time(folder, settings["learner"]["random_steps"])
    return [(steps, figures, cost) for steps, figures in found.items()]


def _settings(name: str, seeds: int) -> dict[str, Any]:
    file, changes = ROWS[name]
    common = {"runs": seeds, "checkpoint_period": 1000}
    return to_mapping(read_options(TrainConfig, file, common | changes))


def _step_time(folder: Path, random_steps: int) -> float:
    """Return the median time of a step after the random ones, s, by what was reported."""
    reports = RunFolder(folder).metrics()
    return median(1 / r["steps_per_second"] for r in reports if r["steps"] > random_steps)


if __name__ == "__main__":
    main()
