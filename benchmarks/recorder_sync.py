"""What it costs to have the disk confirm each episode, against writing it without that.

    python benchmarks/recorder_sync.py [--episodes 200] [--folder runs/recorder_sync]

An episode is 50 transitions of 10 Hz, 500 joint states and 50 joint commands, brought to the file
every 0.5 s as the recorder does; nothing is waited for in between. The end of each is timed.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

import numpy as np

from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter

TOPICS = [
    installed_topic("/dclaw/transitions", "smm_ros/msg/Transition"),
    installed_topic("/dclaw/joint_states", "sensor_msgs/msg/JointState"),
    installed_topic("/dclaw/joint_command", "trajectory_msgs/msg/JointTrajectory"),
]
SIZES = (250, 550, 350)
COUNTS = (50, 500, 50)
FLUSHES = 10


def main() -> None:
    """Print how long the end of an episode takes, with and without the disk's word."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=200, help="how many")
    parser.add_argument("--folder", type=Path, default=Path("runs/recorder_sync"), help="new")
    options = parser.parse_args()
    print("| end of an episode | median (ms) | 99 % (ms) | longest (ms) |\n|---|---|---|---|")
    for sync in (False, True):
        times = 1e3 * np.array(_episodes(options.folder, options.episodes, sync))
        figures = (np.median(times), np.quantile(times, 0.99), times.max())
        name = "confirmed by the disk" if sync else "written"
        print(f"| {name} | {' | '.join(f'{figure:.2f}' for figure in figures)} |")
        shutil.rmtree(options.folder)


def _episodes(folder: Path, count: int, sync: bool) -> list[float]:
    """Write episodes; return how long the last flush of each took, s."""
    rng = np.random.default_rng(0)
    messages = [rng.bytes(size) for size in SIZES]
    writer = BagWriter(folder, TOPICS, durable=sync)
    times = []
    for _ in range(count):
        for flush in range(FLUSHES):
            for topic, data, number in zip(TOPICS, messages, COUNTS, strict=True):
                for _ in range(number // FLUSHES):
                    writer.write(topic.name, time.time_ns(), data)
            begin = time.perf_counter()
            writer.flush(sync and flush == FLUSHES - 1)
        times.append(time.perf_counter() - begin)
    writer.close()
    return times


if __name__ == "__main__":
    main()
