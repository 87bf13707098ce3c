"""What each exploration method costs: milliseconds per environment step learnt from.

A step is one transition observed and one update of everything learnt, at the D'Claw's sizes (12
observations, 9 actions, batch 128, the policy's nets 256x256) and with each method's own defaults.
The methods take turns, so that a slow minute of the machine hits all; each figure is the median of
the turns, and the overhead that of the ratio to SAC in the same turn. Table 2 of the paper,
printed beside, is of whole epochs on Manipulation: it has the simulator's time in it, so its
percentages are the smaller for the same work.

    .venv/bin/python benchmarks/methods_cost.py --turns 15
"""

import argparse
import statistics
import time
from collections.abc import Iterator

import numpy as np
import torch

from smm_core.config import from_mapping
from smm_core.learner import Learner, LearnerConfig
from smm_core.transitions import Layout, Transition

LAYOUT = Layout(obs_size=12, action_size=9)
METHODS: dict[str, tuple[dict[str, object], str]] = {
    "SAC": ({"method": "sac"}, "+0 %"),
    "RND": ({"method": "rnd"}, ""),
    "ICM": ({"method": "icm"}, "+27 %"),
    "ICM, networks of 300-300": ({"method": "icm", "icm": {"hidden": [300, 300]}}, "+27 %"),
    "Count": ({"method": "count"}, "+41 %"),
    "Count, all 12 observations": (
        {"method": "count", "state": {"linear": list(range(12)), "circular": []}},
        "+41 %",
    ),
    "SMM": ({"method": "smm"}, "+44 %"),
    "Pseudo-counts": ({"method": "pseudocount"}, "+89 %"),
}
"""Settings, and the overhead that Table 2 reports."""


def transitions(runs: int) -> Iterator[Transition]:
    """Yield random steps; nothing but their sizes is like the hand's."""
    rng = np.random.default_rng(0)
    while True:
        obs, next_obs = rng.normal(size=(2, runs, LAYOUT.obs_size)).astype(np.float32)
        yield Transition(
            obs=obs,
            action=rng.uniform(-1, 1, (runs, LAYOUT.action_size)).astype(np.float32),
            reward=rng.normal(size=runs).astype(np.float32),
            next_obs=next_obs,
            skill=np.zeros(runs, np.int64),
            terminated=np.zeros(runs, bool),
            truncated=np.zeros(runs, bool),
        )


def make_learner(settings: dict[str, object], runs: int, steps: Iterator[Transition]) -> Learner:
    """Return a learner that has seen some thousand steps and is warm."""
    defaults = {"state": {"circular": [9, 10]}, "replay_capacity": 10_000}
    learner = Learner(LAYOUT, from_mapping(LearnerConfig, defaults | settings), range(runs))
    for _ in range(3000):
        learner.observe(next(steps))
    play(learner, 20, steps)
    return learner


def play(learner: Learner, count: int, steps: Iterator[Transition]) -> float:
    """Learn from some steps; return milliseconds for each."""
    begin = time.perf_counter()
    for _ in range(count):
        learner.observe(next(steps))
        learner.update()
    return (time.perf_counter() - begin) / count * 1e3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--turns", type=int, default=15, help="turns of each method")
    parser.add_argument("--steps", type=int, default=40, help="steps of one turn")
    parser.add_argument("--runs", type=int, default=1, help="runs learnt at once")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    steps = transitions(options.runs)
    learners = {n: make_learner(s, options.runs, steps) for n, (s, _) in METHODS.items()}
    times: dict[str, list[float]] = {name: [] for name in METHODS}
    for _ in range(options.turns):
        for name, learner in learners.items():
            times[name].append(play(learner, options.steps, steps))
    print("| method | ms per step | over SAC | Table 2 |\n|---|---|---|---|")
    for name, found in times.items():
        ratio = statistics.median(t / sac for t, sac in zip(found, times["SAC"], strict=True))
        median = statistics.median(found)
        print(f"| {name} | {median:.2f} | {ratio - 1:+.0%} | {METHODS[name][1]} |")


if __name__ == "__main__":
    main()
