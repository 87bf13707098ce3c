"""Kill each node of the simulated graph in turn, start it again, and tell what became of it.

    python benchmarks/kill_nodes.py [--steps 6000] [--down 5] [--run-dir runs/kills]

The nodes are started one by one with the parameter files that `smm up` gives them; `smm up` itself
ends the graph when one of them dies. Each is killed by SIGKILL, stays away for `--down` seconds,
and is started again with the same parameters; the others keep running. The table says what was
lost, what the others said, and how long it took until the graph did again what that node is for.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from smm_ros import interfaces as names
from smm_ros.bag.reading import read_messages
from smm_ros.conversions import status_from_msg
from smm_ros.graph import Graph, render
from smm_ros.msg import TrainingStatus, Transition
from smm_ros.node_process import command
from smm_ros.records import StatusRecord
from smm_ros.ros_environment import missing_variables
from smm_ros.transition_wire import peek_transition

HAND = "dclaw"
NODES = ("hand", "policy_server", "trainer", "recorder")


@dataclass
class Death:
    """What is known of one kill; times in s."""

    node: str
    killed_at: float
    killed_at_step: int
    next_at_kill: int = 0
    """Sequence number of the transition after the last one heard."""
    restarted_at: float = 0.0
    back_after: float = 0.0
    """From the restart until the graph did again what the node is for."""
    lost: str = ""
    said: list[str] = field(default_factory=list)


class Observer:
    """Hears the graph."""

    def __init__(self) -> None:
        rclpy.init()
        self.node = Node("observer", namespace=HAND)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.status: StatusRecord | None = None
        self.heard: list[tuple[float, int]] = []
        self.said: list[tuple[float, str]] = []
        self.recorded = 0
        subscribe = self.node.create_subscription
        subscribe(
            TrainingStatus, names.TRAINING_STATUS, self._on_status, names.TRAINING_STATUS_QOS
        )
        subscribe(Transition, names.TRANSITIONS, self._on_transition, names.TRANSITIONS_QOS)
        subscribe(DiagnosticArray, names.DIAGNOSTICS, self._on_report, names.DIAGNOSTICS_QOS)

    def _on_status(self, message: TrainingStatus) -> None:
        status = status_from_msg(message)
        if status.hands:
            self.status = status

    def _on_transition(self, message: Transition) -> None:
        self.heard.append((time.monotonic(), message.sequence))

    def _on_report(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.level[0]:
                self.said.append((time.monotonic(), f"{status.name}: {status.message}"))
            if status.name.endswith(names.RECORDER_NODE):
                counts = {pair.key: pair.value for pair in status.values}
                self.recorded = int(counts.get("written", 0))

    @property
    def steps(self) -> int:
        """Transitions learnt from."""
        return self.status.steps if self.status else 0

    @property
    def next_sequence(self) -> int:
        """Number after the last transition heard."""
        return self.heard[-1][1] + 1 if self.heard else 0

    def wait_for(self, condition: Callable[[], bool], what: str, timeout: float = 300.0) -> None:
        """Listen until the condition holds; end the program after the timeout, s."""
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                raise SystemExit(f"waited {timeout:.0f} s in vain for {what}")
            self._executor.spin_once(timeout_sec=0.05)

    def spin(self, seconds: float) -> None:
        """Listen for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.05)


class Nodes:
    """The processes of a graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        graph.write_parameter_files()
        (graph.run_dir / "log").mkdir(exist_ok=True)
        for node in graph.nodes:
            self.start(node.name)

    def log(self, name: str) -> Path:
        """Return where a node's output goes."""
        return self._graph.run_dir / "log" / f"{name}.log"

    def start(self, name: str) -> None:
        """Start a node, with the same parameters each time."""
        node = next(node for node in self._graph.nodes if node.name == name)
        with self.log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command(self._graph, node), stdout=log, stderr=subprocess.STDOUT
            )

    def kill(self, name: str) -> None:
        """End a node at once, as a crash would."""
        self.processes[name].kill()
        self.processes[name].wait()

    def stop(self) -> None:
        """End all nodes well."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait()


def main() -> None:
    """Run the graph, kill its nodes, and print the table."""
    options = _parser().parse_args()
    values = {
        "sim": "true",
        "real_time_factor": "0",
        "total_steps": str(options.steps),
        "run_dir": options.run_dir,
    }
    graph = render("dclaw_hardware", values)
    os.environ.update(missing_variables(os.environ))
    nodes = Nodes(graph)
    observer = Observer()
    try:
        deaths = [
            _kill(nodes, observer, name, options.steps * (3 + 1.5 * index) / 10, options.down)
            for index, name in enumerate(NODES)
        ]
        trainer = nodes.processes["trainer"]
        observer.wait_for(lambda: trainer.poll() is not None, "the end of training")
        observer.spin(1.0)
    finally:
        nodes.stop()
    _print(graph, nodes, observer, deaths)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=6000, help="environment steps in all")
    parser.add_argument("--down", type=float, default=5.0, help="time a node stays away, s")
    parser.add_argument("--run-dir", default="", help="run folder (default: a new one in runs/)")
    return parser


def _kill(nodes: Nodes, observer: Observer, name: str, step: float, down: float) -> Death:
    """Kill a node at a step, start it again, and wait until its part is done again."""
    observer.wait_for(lambda: observer.steps >= step, f"step {step:.0f}")
    death = Death(name, time.monotonic(), observer.steps)
    logs = {other: nodes.log(other).stat().st_size for other in NODES}
    nodes.kill(name)
    observer.spin(0.2)
    death.next_at_kill = observer.next_sequence
    gaps = observer.status.hands[0].gaps if observer.status else 0
    observer.spin(down)
    next_sequence, observer.recorded = observer.next_sequence, 0
    nodes.start(name)
    death.restarted_at = time.monotonic()
    steps = observer.steps
    conditions = {
        "recorder": lambda: observer.recorded > 0,
        "trainer": lambda: observer.steps > steps,
    }
    plays = conditions.get(name, lambda: observer.next_sequence > next_sequence)
    process = nodes.processes[name]
    observer.wait_for(lambda: plays() or process.poll() is not None, f"what the {name} is for")
    if not plays():
        raise SystemExit(f"the {name} ended by itself:\n{nodes.log(name).read_text()}")
    death.back_after = time.monotonic() - death.restarted_at
    observer.spin(2.0)
    death.said = _sayings(nodes, observer, death, logs)
    if name != "recorder" and observer.status:
        death.lost = f"{observer.status.hands[0].gaps - gaps} transitions"
    return death


def _sayings(nodes: Nodes, observer: Observer, death: Death, logs: dict[str, int]) -> list[str]:
    """Return each diagnostic of the others once, with its delay, and the new lines of all logs."""
    first: dict[str, float] = {}
    for at, text in observer.said:
        if at > death.killed_at and death.node not in text.partition(": ")[2].partition(":")[0]:
            first.setdefault(text, at - death.killed_at)
    lines = [f"after {delay:4.1f} s  /diagnostics  {text}" for text, delay in first.items()]
    for name, size in logs.items():
        new = nodes.log(name).read_bytes()[size:].decode()
        lines += [f"              log {name}: {line}" for line in new.splitlines()]
    return lines


def _print(graph: Graph, nodes: Nodes, observer: Observer, deaths: list[Death]) -> None:
    messages = read_messages(graph.run_dir / "bag", [f"/{HAND}/{names.TRANSITIONS}"])
    recorded = Counter(peek_transition(message.data)[1] for message in messages)
    print(f"{'killed':<14} {'at step':>7}  {'lost':<40} {'goes on after (from the restart)'}")
    for death in deaths:
        lost = death.lost or _lost_records(observer, death, recorded)
        print(f"{death.node:<14} {death.killed_at_step:>7}  {lost:<40} {death.back_after:.1f} s")
    for death in deaths:
        print(f"\n{death.node}:", *death.said, sep="\n  ")
    status = observer.status
    assert status is not None
    hand = status.hands[0]
    doubles = sum(count > 1 for count in recorded.values())
    print(
        f"\nlearnt from {status.steps} transitions, {hand.gaps} lost, next number "
        f"{hand.received_sequence}; in the bag {len(recorded)}, {doubles} of them twice\n"
        f"checkpoint {status.checkpoint}\nrun folder {graph.run_dir}"
    )


def _lost_records(observer: Observer, death: Death, recorded: Counter[int]) -> str:
    missing = [(at, number) for at, number in observer.heard if number not in recorded]
    before = [at for at, number in missing if number < death.next_at_kill]
    seconds = death.killed_at - min(before) if before else 0.0
    return f"{len(before)} recorded ({seconds:.2f} s), {len(missing) - len(before)} while away"


if __name__ == "__main__":
    main()
