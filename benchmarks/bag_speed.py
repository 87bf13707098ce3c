"""How fast bags are read, against the libraries that read them too, and in how much memory.

    python benchmarks/bag_speed.py [--messages 10000000] [--transitions 200000] [--folder DIR]

Speed is taken on a bag of transitions alone, memory on one of `--messages` messages, half of them
joint states, and on a tenth of it. Both are written to a temporary folder: about 370 bytes a
message. Prints two tables.
"""

from __future__ import annotations

import argparse
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rclpy.serialization import serialize_message
from rosbags.highlevel import AnyReader

from smm_ros.bag import check, info
from smm_ros.bag.reading import read_messages, read_transitions
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.conversions import hand_state_to_msg
from smm_ros.dclaw.hand import HandState
from smm_ros.records import TransitionRecord
from smm_ros.transition_wire import serialize_transition

STEPS = 50
PERIOD_NS = 100_000_000
ROUNDS = 3
BYTES_PER_MESSAGE = 370
TRANSITIONS = installed_topic("/dclaw/transitions", "smm_ros/msg/Transition")
STATES = installed_topic("/dclaw/joint_states", "sensor_msgs/msg/JointState")
_MARK = 0x0123456789ABCDEF
_NUMBERS = struct.Struct("<QQ")


def main() -> None:
    """Write the bags, read them in every way, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--transitions", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's)")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(*options.child)
        return
    with tempfile.TemporaryDirectory(prefix="bag_speed_", dir=options.folder) as folder:
        needed = BYTES_PER_MESSAGE * (1.1 * options.messages + options.transitions)
        free = shutil.disk_usage(folder).free
        if needed > free:
            parser.error(f"{needed / 1e9:.1f} GB needed, {free / 1e9:.1f} GB free in {folder}")
        _print_speeds(_write(Path(folder, "speed"), options.transitions, with_states=False))
        _print_memory(Path(folder), options.messages)


def _print_speeds(bag: Path) -> None:
    size = sum(path.stat().st_size for path in bag.glob("*.mcap")) / 1e6
    ways: dict[str, Callable[[Path], Iterator[object]]] = {
        "`read_transitions`": lambda path: iter(read_transitions(path)),
        "rosbags `AnyReader`, deserialised": _rosbags_decoded,
        "mcap with mcap-ros2-support, decoded": _mcap_decoded,
        "`read_messages`, serialised": lambda path: iter(read_messages(path)),
        "rosbags `AnyReader`, serialised": _rosbags_raw,
        "mcap, serialised": _mcap_raw,
    }
    print("| reading | transitions/s | MB/s |\n|---|--:|--:|")
    best = {name: (0, float("inf")) for name in ways}
    for _ in range(ROUNDS):  # in turn, so that a busy machine slows all of them
        for name, read in ways.items():
            start = time.perf_counter()
            count = sum(1 for _ in read(bag))
            seconds = time.perf_counter() - start
            best[name] = min(best[name], (count, seconds), key=lambda pair: pair[1])
    for name, (count, seconds) in best.items():
        print(f"| {name} | {count / seconds:,.0f} | {size / seconds:.0f} |", flush=True)


def _print_memory(folder: Path, num_messages: int) -> None:
    print("\n| messages | MB | command | s | messages/s | peak memory, MB |")
    print("|--:|--:|---|--:|--:|--:|")
    for count in (num_messages // 10, num_messages):
        bag = _write(folder / f"memory_{count}", count // 2, with_states=True)
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


def _rosbags_raw(path: Path) -> Iterator[object]:
    with AnyReader([path]) as reader:
        yield from reader.messages()


def _rosbags_decoded(path: Path) -> Iterator[object]:
    with AnyReader([path]) as reader:
        for connection, _, data in reader.messages():
            yield reader.deserialize(data, connection.msgtype)


def _mcap_raw(path: Path) -> Iterator[object]:
    for each in sorted(path.glob("*.mcap")):
        with each.open("rb") as file:
            yield from make_reader(file).iter_messages(log_time_order=False)


def _mcap_decoded(path: Path) -> Iterator[object]:
    for each in sorted(path.glob("*.mcap")):
        with each.open("rb") as file:
            reader = make_reader(file, decoder_factories=[DecoderFactory()])
            yield from reader.iter_decoded_messages(log_time_order=False)


def _write(folder: Path, num_transitions: int, with_states: bool) -> Path:
    """Write a bag of episodes of one hand; each has the same states, with its own numbers."""
    steps = [_step(step) for step in range(STEPS)]
    state = _state()
    with closing(BagWriter(folder, [TRANSITIONS, STATES])) as writer:
        for sequence in range(num_transitions):
            episode, step = divmod(sequence, STEPS)
            before, behind = steps[step]
            now = sequence * PERIOD_NS
            data = before + _NUMBERS.pack(sequence, episode) + behind
            writer.write(TRANSITIONS.name, now, data)
            if with_states:
                writer.write(STATES.name, now, state)
    return folder


def _step(step: int) -> tuple[bytes, bytes]:
    """Return a serialised transition, before and behind its sequence number and episode."""
    path = np.random.default_rng(0).normal(size=(STEPS + 1, 12)).astype(np.float32)
    data = serialize_transition(
        TransitionRecord(
            stamp_ns=step * PERIOD_NS,
            hand="dclaw",
            sequence=_MARK,
            episode=_MARK,
            step=step,
            skill=0,
            policy_version=0,
            observation=path[step],
            action=np.zeros(9, np.float32),
            next_observation=path[step + 1],
            log_p_shaping=-0.1,
            terminated=False,
            truncated=step == STEPS - 1,
        )
    )
    before, behind = data.split(_NUMBERS.pack(_MARK, _MARK))
    return before, behind


def _state() -> bytes:
    nine = np.zeros(9)
    state = HandState(0.0, nine, nine, nine, 0.0, 0.0, 0.0)
    return bytes(serialize_message(hand_state_to_msg(state)))


if __name__ == "__main__":
    main()
