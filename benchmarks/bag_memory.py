"""In how much memory bags of any size are read, and how long that takes.

    python benchmarks/bag_memory.py [--messages 10000000] [--folder DIR]

A bag of `--messages` messages, half of them transitions and half joint states, and one of a tenth
of that, are written to a temporary folder: about 370 bytes a message. How fast transitions are
read, against other libraries, is told by `smm bench bags`.
"""

from __future__ import annotations

import argparse
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import closing, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
from rclpy.serialization import serialize_message

from smm_ros.bag import check, info
from smm_ros.bag.reading import read_messages
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.bench.random_walk import step_of, walk
from smm_ros.conversions import hand_state_to_msg
from smm_ros.dclaw.hand import HandState
from smm_ros.dclaw.spec import EPISODE_STEPS, PERIOD_NS
from smm_ros.transition_wire import serialize_transition

BYTES_PER_MESSAGE = 370
TRANSITIONS = installed_topic("/dclaw/transitions", "smm_ros/msg/Transition")
STATES = installed_topic("/dclaw/joint_states", "sensor_msgs/msg/JointState")
_MARK = 0x0123456789ABCDEF
_NUMBERS = struct.Struct("<QQ")


def main() -> None:
    """Write the bags, go through them, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's)")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(*options.child)
        return
    with tempfile.TemporaryDirectory(prefix="bag_memory_", dir=options.folder) as folder:
        needed = BYTES_PER_MESSAGE * 1.1 * options.messages
        free = shutil.disk_usage(folder).free
        if needed > free:
            parser.error(f"{needed / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free in {folder}")
        _print_memory(Path(folder), options.messages)


def _print_memory(folder: Path, num_messages: int) -> None:
    print("| messages | MB | command | s | messages/s | peak memory, MB |")
    print("|--:|--:|---|--:|--:|--:|")
    for count in (num_messages // 10, num_messages):
        bag = _write(folder / str(count), count // 2)
        size = sum(path.stat().st_size for path in bag.glob("*.mcap")) / 1e6
        for command in ("read", "info", "check"):
            start = time.perf_counter()
            child = [sys.executable, __file__, "--child", command, str(bag)]
            peak = int(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
            seconds = time.perf_counter() - start
            print(
                f"| {count:,} | {size:,.0f} | {command} | {seconds:.0f} | {count / seconds:,.0f} "
                f"| {peak / 1e3:.0f} |",
                flush=True,
            )
        shutil.rmtree(bag)


def _child(command: str, path: str) -> None:
    """Run a command on a bag; print the most memory that the process ever had, kB."""
    with redirect_stdout(StringIO()):
        if command == "read":
            for _ in read_messages(path):
                pass
        else:
            status = {"info": info.main, "check": check.main}[command]([path])
            if status:
                raise SystemExit(f"{command} says that {path} is not sound")
    # ru_maxrss would count what the parent had when it forked.
    status_file = Path("/proc/self/status").read_text()
    print(next(line.split()[1] for line in status_file.splitlines() if "VmHWM" in line))


def _write(folder: Path, num_transitions: int) -> Path:
    """Write a bag of episodes of one hand; each has the same states, with its own numbers."""
    steps = [_step(step) for step in range(EPISODE_STEPS)]
    state = _state()
    with closing(BagWriter(folder, [TRANSITIONS, STATES])) as writer:
        for sequence in range(num_transitions):
            episode, step = divmod(sequence, EPISODE_STEPS)
            before, behind = steps[step]
            now = sequence * PERIOD_NS
            data = before + _NUMBERS.pack(sequence, episode) + behind
            writer.write(TRANSITIONS.name, now, data)
            writer.write(STATES.name, now, state)
    return folder


def _step(step: int) -> tuple[bytes, bytes]:
    """Return a serialised transition, before and behind its sequence number and episode."""
    data = serialize_transition(step_of(walk(), step, step * PERIOD_NS, _MARK, _MARK))
    before, behind = data.split(_NUMBERS.pack(_MARK, _MARK))
    return before, behind


def _state() -> bytes:
    nine = np.zeros(9)
    state = HandState(0.0, nine, nine, nine, 0.0, 0.0, 0.0)
    return bytes(serialize_message(hand_state_to_msg(state)))


if __name__ == "__main__":
    main()
