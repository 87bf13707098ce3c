"""Kill the recorder again and again while a graph speaks, and tell what was lost each time.

    python benchmarks/recorder_kills.py [--kills 50] [--seed 0] [--folder runs/recorder_kills]

A publisher stands in for the graph: joint states at 100 Hz, transitions at 10 Hz for one half of
the kills and at 100 Hz for the other, an episode every 50 transitions, a policy of 330 kB every
2 s. It notes what it has sent and when. The recorder is killed by SIGKILL at a random moment: some
time after its start, while it starts, right after it was asked to stop or to begin the next file,
or while metadata.yaml is being replaced; then the bag is read, repaired into a copy that rosbags
has to read, and the recorder is started again on the same folder. What counts as lost is what was
sent on a topic before the kill and after the first message that the killed recorder has of it in
the bag, or, where it has none, after the publisher found it; and is not kept for late readers.
What is, transitions and policies, the next recorder brings; that none of them is missing in the
end is checked. A kill that was to come while metadata.yaml is replaced and did not leave it half
replaced counts as one right behind a split, and is tried again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import struct
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rclpy
from rclpy.node import Node
from recorder_traffic import HAND, Sent, publish, read_log
from rosbags.rosbag2 import Reader, ReaderError
from std_srvs.srv import Trigger

from smm_ros import interfaces as names
from smm_ros.bag.check import check
from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.metadata import METADATA, read_metadata
from smm_ros.bag.reading import read_messages, read_transitions
from smm_ros.bag.repair import repair
from smm_ros.ros_environment import missing_variables

RATES = (10, 100)
"""Transitions per second."""
KEPT = (names.TRANSITIONS, names.POLICY)
"""Topics that are kept for late readers."""
CATCH_UP_TIME = 120.0
"""Time in which the last recorder has to have what was sent before it, s."""
KINDS = {"running": 0.5, "start": 0.2, "split": 0.1, "stop": 0.1, "metadata": 0.1}
"""When to kill, and how often."""
STAMP = struct.Struct("<iI")
"""s and ns of a serialised header, behind the four bytes that name the encoding."""
TRIES = 10
"""Kills of a kind after which to give up hitting the moment."""


@dataclass
class Kill:
    """One kill and what it cost."""

    kind: str
    rate: int
    alive: float
    """How long the recorder had lived, s."""
    lost: dict[str, int] = field(default_factory=dict)
    """Messages by topic."""
    seconds: float = 0.0
    """From the first message lost, of those that nothing follows on their topic, to the kill."""
    left: dict[str, int] = field(default_factory=dict)
    """Messages by topic that the next recorder has to bring."""
    holes: int = 0
    """Messages missing before others of their topic that are in the bag."""
    recorded: int = 0
    """Messages of all topics from this life of the recorder."""
    faults: list[str] = field(default_factory=list)


class Session:
    """One bag, one publisher, and one recorder after the other."""

    def __init__(self, folder: Path, rate: int, node: Node, rng: np.random.Generator) -> None:
        self.bag, self._log, self._rate = folder / f"rate_{rate}", folder / f"{rate}.txt", rate
        self._copy, self._partial = folder / "copy", self.bag / f"{METADATA}.partial"
        self._old: set[Path] = set()
        self._node, self._rng = node, rng
        context = multiprocessing.get_context("spawn")
        self._publisher = context.Process(target=publish, args=(rate, self._log), daemon=True)
        self._publisher.start()
        while not self._log.exists() or not read_log(self._log)[names.JOINT_STATES]:
            time.sleep(0.1)

    def kill(self, kind: str) -> Kill:
        """Start a recorder, kill it in a way, and tell what the bag has."""
        begin = time.time_ns()
        self._old = set(self.bag.glob("*.mcap"))
        recorder = self._start()
        until = getattr(self, f"_wait_{kind}")(recorder)
        killed = time.time_ns()
        recorder.kill()
        recorder.wait()
        if kind == "metadata" and not self._partial.exists():
            kind = "split"
        kill = Kill(kind, self._rate, (killed - begin) / 1e9)
        self._compare(kill, begin, until or killed)
        self._repair(kill)
        return kill

    def close(self) -> list[str]:
        """Record once more until all is there, to a good end; return what is then wrong."""
        self._old = set(self.bag.glob("*.mcap"))
        recorder = self._start()
        sent = len(read_log(self._log)[names.TRANSITIONS])
        self._wait_for_file(recorder)
        end = time.monotonic() + CATCH_UP_TIME
        while max(self._transitions(), default=-1) < sent and time.monotonic() < end:
            time.sleep(1.0)
        recorder.terminate()
        status = recorder.wait()
        self._publisher.kill()
        self._publisher.join()
        faults = [] if status == 0 else [f"the last recorder ended with {status}"]
        findings, count = check(self.bag)
        faults += [f"check: {finding.text}" for finding in findings]
        recorded = self._transitions()
        metadata = read_metadata(self.bag)
        assert metadata is not None
        gaps = int(metadata.custom_data[f"{HAND}/gaps"])
        missing = recorded[-1] + 1 - len(recorded)
        print(
            f"{self._rate} Hz: {len(recorded)} transitions in the bag, {missing} missing before "
            f"the last, {gaps} counted as missing; {count} messages in {len(metadata.files)} files"
        )
        policies = self._numbers()[names.POLICY]
        if policies != set(range(max(policies) + 1)):
            faults.append(f"policies missing: {set(range(max(policies))) - policies}")
        if recorded[-1] < sent:
            faults.append(f"of {sent} transitions only those up to {recorded[-1]} came")
        if missing != gaps or count != metadata.num_messages:
            faults.append("counts do not agree")
        return faults

    def _transitions(self) -> list[int]:
        return [record.sequence for record in read_transitions(self.bag)]

    def _numbers(self) -> dict[str, set[int]]:
        """Return the numbers of the messages in the bag, by topic."""
        recorded = defaultdict(set)
        for topic, number, _ in _messages(self.bag):
            recorded[topic].add(number)
        return recorded

    def _start(self) -> subprocess.Popen[bytes]:
        parameters = {"bag_dir": self.bag, "hands": f"[{HAND}]", "max_file_bytes": 2**21}
        command = [sys.executable, "-m", "smm_ros.recorder_node", "--ros-args"]
        command += ["-r", f"__ns:=/{HAND}", "-r", "__node:=recorder"]
        for name, value in parameters.items():
            command += ["-p", f"{name}:={value}"]
        with self._log.with_suffix(".log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    # Each returns from when on nothing was to be recorded any more, ns; 0: until the kill.

    def _wait_start(self, recorder: subprocess.Popen[bytes]) -> int:
        time.sleep(self._rng.uniform(0.0, 3.0))
        return 0

    def _wait_running(self, recorder: subprocess.Popen[bytes]) -> int:
        self._wait_for_file(recorder)
        time.sleep(self._rng.uniform(0.0, 5.0))
        return 0

    def _wait_split(self, recorder: subprocess.Popen[bytes]) -> int:
        self._ask(recorder, "split")
        time.sleep(self._rng.uniform(0.0, 0.03))
        return 0

    def _wait_stop(self, recorder: subprocess.Popen[bytes]) -> int:
        asked = self._ask(recorder, "stop")
        time.sleep(self._rng.uniform(0.0, 0.03))
        return asked

    def _wait_metadata(self, recorder: subprocess.Popen[bytes]) -> int:
        is_seen = False
        while not is_seen:
            self._ask(recorder, "split")
            end = time.monotonic() + 1.0
            while not is_seen and time.monotonic() < end:
                is_seen = self._partial.exists()
        return 0

    def _wait_for_file(self, recorder: subprocess.Popen[bytes]) -> None:
        """Wait until the recorder has a file of its own with messages in it."""

        def is_there() -> bool:
            new = set(self.bag.glob("*.mcap")) - self._old
            return any(path.stat().st_size > 10_000 for path in new)

        while not is_there():
            if recorder.poll() is not None:
                raise SystemExit(f"the recorder ended: {self._log.with_suffix('.log')}")
            time.sleep(0.01)

    def _ask(self, recorder: subprocess.Popen[bytes], service: str) -> int:
        """Send a request to the recorder, and return when, ns; the answer is not waited for."""
        self._wait_for_file(recorder)
        time.sleep(self._rng.uniform(0.0, 2.0))
        client = self._node.create_client(Trigger, f"/{HAND}/recorder/{service}")
        while not client.service_is_ready():
            time.sleep(0.01)
        client.call_async(Trigger.Request())
        return time.time_ns()

    def _compare(self, kill: Kill, begin: int, until: int) -> None:
        """Note what was sent since this life began to hear a topic, and is not in the bag."""
        recorded, last = self._numbers(), dict[str, int]()
        heard_at = dict[str, int]()
        for topic, number, at in _messages(self.bag):
            if at >= begin:
                kill.recorded += 1
                heard_at.setdefault(topic, at)
                last[topic] = max(last.get(topic, number), number)
        lost_at = [until]
        for topic, messages in read_log(self._log).items():
            since = heard_at.get(topic) or _found_at(messages, begin)
            sent = [m for m in messages if since < m.at < until]
            gone = [m for m in sent if m.number not in recorded[topic]]
            end = [m.at for m in gone if m.number > last.get(topic, -1)]
            if topic in KEPT:
                kill.left[topic] = len(gone)
                continue
            kill.lost[topic] = len(end)
            kill.holes += len(gone) - len(end)
            lost_at += end
        kill.seconds = (until - min(lost_at)) / 1e9

    def _repair(self, kill: Kill) -> None:
        """Save the bag as it is now into a copy, and hold an independent reader to it."""
        if not any(path.stat().st_size > 1000 for path in self.bag.glob("*.mcap")):
            return
        shutil.rmtree(self._copy, ignore_errors=True)
        here = sum(1 for _ in read_messages(self.bag))
        try:
            repair(self.bag, self._copy)
            with Reader(self._copy) as reader:
                there = sum(1 for _ in reader.messages())
                told = reader.message_count
        except (BagError, ReaderError) as error:
            kill.faults.append(str(error))
            return
        if not here == there == told:
            kill.faults.append(f"{here} messages in the bag, {there} in the copy, told {told}")


def _found_at(messages: list[Sent], begin: int) -> float:
    """Return when the publisher found the reader that began after `begin`, ns; never: infinity."""
    return min((m.found for m in messages if m.found > begin), default=float("inf"))


def _messages(bag: Path) -> Iterator[tuple[str, int, int]]:
    """Yield topic, number and log time in ns of each message, as far as it is whole."""
    for message in read_messages(bag) if list(bag.glob("*.mcap")) else ():
        seconds, nanoseconds = STAMP.unpack_from(message.data, 4)
        topic = message.topic.name.removeprefix(f"/{HAND}/")
        yield topic, seconds * 10**9 + nanoseconds, message.log_time_ns


def main() -> int:
    """Kill, print the tables, and return 1 where something is wrong."""
    options = _parser().parse_args()
    os.environ.setdefault("ROS_DOMAIN_ID", "79")
    os.environ.update(missing_variables(os.environ))
    folder = options.folder.absolute()
    folder.mkdir(parents=True)
    rclpy.init()
    node = Node("killer", namespace=HAND)
    rng = np.random.default_rng(options.seed)
    kills: list[Kill] = []
    faults: list[str] = []
    for index, rate in enumerate(RATES):
        session = Session(folder, rate, node, rng)
        for kind in rng.permutation(_kinds(options.kills // len(RATES), index)):
            for _ in range(TRIES):
                kills.append(session.kill(str(kind)))
                print(f"{len(kills):3}  {_row(kills[-1])}", flush=True)
                if kills[-1].kind == kind:
                    break
            else:
                faults.append(f"no kill of {TRIES} hit the moment: {kind}")
        faults += session.close()
    _print_table(kills)
    faults += [fault for kill in kills for fault in kill.faults]
    print(*(f"wrong: {fault}" for fault in faults), sep="\n")
    return 1 if faults else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="how many, half for each rate")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/recorder_kills"), help="new, for the bags"
    )
    return parser


def _kinds(count: int, turn: int) -> list[str]:
    """Return so many kinds in their shares; what does not come out even differs by turn."""
    shares = np.cumsum(list(KINDS.values()))
    places = (np.arange(count) + 0.25 + 0.5 * (turn % 2)) / count
    return [list(KINDS)[int(i)] for i in np.searchsorted(shares, places * shares[-1])]


def _row(kill: Kill) -> str:
    return (
        f"{kill.rate:3} Hz  {kill.kind:<9} after {kill.alive:5.2f} s  {kill.recorded:5} recorded  "
        f"lost {kill.seconds:5.3f} s: {_counts(kill.lost)}  holes {kill.holes}  "
        f"left to the next: {_counts(kill.left)}  {'; '.join(kill.faults)}"
    )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {topic}" for topic, count in counts.items() if count) or "nothing"


def _print_table(kills: list[Kill]) -> None:
    print("\n| killed | times | of these with nothing in the bag ", end="")
    print("| lost, median (s) | most (s) | joint states, most | holes |")
    print("|---|---|---|---|---|---|---|")
    for kind in [*KINDS, "all"]:
        of_kind = [kill for kill in kills if kind in (kill.kind, "all")]
        seconds = [kill.seconds for kill in of_kind] or [0.0]
        lost = max((kill.lost.get(names.JOINT_STATES, 0) for kill in of_kind), default=0)
        holes = sum(kill.holes for kill in of_kind)
        empty = sum(kill.recorded == 0 for kill in of_kind)
        print(
            f"| {kind} | {len(of_kind)} | {empty} | {np.median(seconds):.2f} | {max(seconds):.2f} "
            f"| {lost} | {holes} |"
        )


if __name__ == "__main__":
    sys.exit(main())
