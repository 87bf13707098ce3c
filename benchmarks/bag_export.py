"""Export and import of bags: transitions per second, size, and memory as bags grow.

Makes bags of random walks of one hand, in episodes of 50 control periods, exports each to every
format and imports it again, every time in a process of its own; `read` is the reading alone.

    .venv/bin/python benchmarks/bag_export.py --transitions 100000 1000000
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from smm_ros.bag.datasets.export import FORMATS
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.dclaw.spec import CONTROL_PERIOD, EPISODE_STEPS
from smm_ros.records import TransitionRecord
from smm_ros.transition_wire import serialize_transition

PERIOD_NS = round(CONTROL_PERIOD * 1e9)
READ = (
    "import sys; from pathlib import Path\n"
    "from smm_ros.bag.datasets.dataset import SegmentReading\n"
    "for _ in SegmentReading([Path(sys.argv[1])]): pass"
)


def walk(count: int) -> Iterator[TransitionRecord]:
    """Yield so many transitions of whole episodes."""
    rng = np.random.default_rng(0)
    for sequence in range(count):
        episode, step = divmod(sequence, EPISODE_STEPS)
        if step == 0:
            path = rng.normal(size=(EPISODE_STEPS + 1, 12)).astype(np.float32)
            actions = rng.uniform(-1, 1, (EPISODE_STEPS, 9)).astype(np.float32)
        yield TransitionRecord(
            stamp_ns=PERIOD_NS * (sequence + 20 * episode),
            hand="dclaw",
            sequence=sequence,
            episode=episode,
            step=step,
            skill=episode % 4,
            policy_version=episode // 2,
            observation=path[step],
            action=actions[step],
            next_observation=path[step + 1],
            log_p_shaping=-0.1,
            terminated=False,
            truncated=step + 1 == EPISODE_STEPS,
        )


def write_bag(folder: Path, count: int) -> None:
    """Write a bag of so many transitions."""
    topic = installed_topic("/dclaw/transitions", "smm_ros/msg/Transition")
    writer = BagWriter(folder, [topic])
    for record in walk(count):
        writer.write(topic.name, record.stamp_ns, serialize_transition(record))
    writer.close()


def measure(*words: object) -> tuple[float, float, float]:
    """Run Python with these words; return its time and CPU time in s, and peak memory in MB."""
    start = time.monotonic()
    sink = os.open(os.devnull, os.O_WRONLY)
    command = [sys.executable, *map(str, words)]
    process = os.posix_spawn(
        sys.executable, command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, sink, 1)]
    )
    _, status, usage = os.wait4(process, 0)
    os.close(sink)
    assert os.waitstatus_to_exitcode(status) == 0, command
    taken = time.monotonic() - start
    return taken, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def size(folder: Path) -> float:
    """Return the size of all files below a folder, MB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def report(name: str, count: int, taken: tuple[float, float, float], written: float) -> None:
    """Print one line."""
    seconds, cpu, memory = taken
    print(
        f"  {name:<16}{count / seconds:>9.0f}/s{seconds:>8.1f} s{cpu:>8.1f} s CPU"
        f"{memory:>8.0f} MB{written:>9.1f} MB",
        flush=True,
    )


def main() -> None:
    """Measure every size and format."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--transitions", type=int, nargs="+", default=[100_000, 1_000_000])
    options = parser.parse_args()
    cli = ("-m", "smm_ros.cli", "bag")
    for count in options.transitions:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            bag = folder / "bag"
            write_bag(bag, count)
            print(f"{count} transitions, bag of {size(bag):.1f} MB; rate, time, memory, size")
            report("read", count, measure("-c", READ, bag), 0.0)
            for to in FORMATS:
                out, back = folder / f"{to}-v0", folder / f"{to}-bag"
                taken = measure(*cli, "export", bag, "--to", to, "--out", out)
                report(f"export {to}", count, taken, size(out))
                taken = measure(*cli, "import", out, "--out", back)
                report(f"import {to}", count, taken, size(back))


if __name__ == "__main__":
    main()
