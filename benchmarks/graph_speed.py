"""Environment steps per second: the ROS graph against the in-process loop, same settings.

Both learn the D'Claw with one update per step; only steps that are learnt from are counted, and
the two take turns so that a slow minute of the machine hits both.

    .venv/bin/python benchmarks/graph_speed.py --steps 4000 --repeats 3
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import smm_ros.dclaw  # noqa: F401 - registers the environment
from smm_core.learner import LearnerConfig
from smm_core.train import TrainConfig, Training
from smm_ros.dclaw import ENV_ID
from smm_ros.ros_environment import missing_variables
from smm_ros.watch import StatusListener

FIRST = LearnerConfig().random_steps + 250
"""Random steps are not learnt from, and the first updates are slow."""


def rate(seen: list[tuple[float, int]]) -> float:
    """Return steps per second between the first and the last (time in s, steps) past FIRST."""
    counted = [point for point in seen if point[1] >= FIRST]
    (begin, first), (end, last) = counted[0], counted[-1]
    return (last - first) / (end - begin)


def in_process(steps: int, folder: Path) -> float:
    """Return the rate of `smm train`."""
    seen: list[tuple[float, int]] = []
    training = Training(TrainConfig(env=ENV_ID, steps=steps, report_period=50), folder)
    training.run(lambda metrics: seen.append((time.monotonic(), metrics["steps"])))
    return rate(seen)


def graph(steps: int, folder: Path) -> float:
    """Return the rate of `smm up`, bag and all."""
    command = [sys.executable, "-m", "smm_ros.cli", "up", "dclaw_hardware", "sim:=true"]
    command += ["real_time_factor:=0", f"total_steps:={steps}", f"run_dir:={folder}"]
    seen: list[tuple[float, int]] = []
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    listener = StatusListener("/dclaw")
    while process.poll() is None:
        status = listener.poll()
        if status is not None and (not seen or status.steps > seen[-1][1]):
            seen.append((time.monotonic(), status.steps))
        time.sleep(0.02)
    listener.close()
    assert process.returncode == 0
    return rate(seen)


def main() -> None:
    """Measure in turns and print medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    os.environ.update(missing_variables(os.environ))
    rates: dict[str, list[float]] = {"in process": [], "graph": []}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(options.repeats):
            rates["in process"].append(in_process(options.steps, Path(folder, f"train{repeat}")))
            rates["graph"].append(graph(options.steps, Path(folder, f"graph{repeat}")))
            newest = {name: f"{values[-1]:.1f} steps/s" for name, values in rates.items()}
            print(newest, flush=True)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print(f"median {medians}; graph / in process {medians['graph'] / medians['in process']:.2f}")


if __name__ == "__main__":
    main()
