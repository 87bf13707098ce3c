"""Runs the nodes of a graph together: all of them live, or none."""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol

from smm_ros.graph import Graph
from smm_ros.node_process import NodeProcess, describe_status
from smm_ros.ros_environment import missing_variables

STOP_TIMEOUT = 3.0
"""Time in which all nodes are gone after they were asked to end, s."""

# Shares of that time after which each group in the stop order is waited for no longer; the rest is
# for killing.
_LAST_SHARE = 0.9

_BEAT = 0.05

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Outcome:
    """How a graph ended."""

    ok: bool
    message: str


class Watcher(Protocol):
    """Who is told what goes on."""

    def show_line(self, node: str, line: str) -> None:
        """A node has printed a line."""

    def beat(self) -> None:
        """Some 50 ms have gone by."""


class Supervisor:
    """Starts the nodes, passes on what they print, and ends them in order.

    `make_watcher` is called once the nodes are started: a process that has threads, as one that
    speaks DDS has, should not be forked.
    """

    def __init__(
        self, graph: Graph, make_watcher: Callable[[], AbstractContextManager[Watcher]]
    ) -> None:
        self._graph = graph
        self._make_watcher = make_watcher
        self._nodes: list[NodeProcess] = []
        self._selector = selectors.DefaultSelector()
        self._signals = 0

    def run(self, environment: Mapping[str, str] | None = None) -> Outcome:
        """Run the graph to its end; call it in the main thread.

        It ends when a node ends, well only if that node says so by status 0 and may, or when this
        process gets SIGINT, SIGTERM or SIGHUP; a second of those kills.
        """
        user = os.environ if environment is None else environment
        variables = {**user, **missing_variables(user)}
        previous = {number: signal.signal(number, self._on_signal) for number in _STOP_SIGNALS}
        try:
            self._graph.write_parameter_files()
            for node in self._graph.nodes:
                self._add(NodeProcess(self._graph, node, variables))
            with self._make_watcher() as watcher:
                return self._stop(self._supervise(watcher), watcher)
        finally:
            self._kill(self._nodes)
            self._close()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _add(self, node: NodeProcess) -> None:
        self._nodes.append(node)
        self._selector.register(node, selectors.EVENT_READ)

    def _supervise(self, watcher: Watcher) -> Outcome:
        while not self._signals:
            self._pump(watcher)
            ended = [node for node in self._nodes if node.status is not None]
            if ended:
                self._drain(ended, watcher)
                return _outcome(ended)
            watcher.beat()
        return Outcome(True, "stopped on request")

    def _pump(self, watcher: Watcher) -> None:
        """Pass on what the nodes have printed."""
        for key, _ in self._selector.select(_BEAT):
            node: Any = key.fileobj
            lines = node.read_lines()
            if lines is None:
                self._selector.unregister(node)
            for line in lines or ():
                watcher.show_line(node.name, line)

    def _drain(self, ended: Iterable[NodeProcess], watcher: Watcher) -> None:
        """Read the last words of nodes that have ended; a child of theirs may hold on to them."""
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline and any(
            node in (key.fileobj for key in self._selector.get_map().values()) for node in ended
        ):
            self._pump(watcher)

    def _stop(self, outcome: Outcome, watcher: Watcher) -> Outcome:
        """End the nodes that still run, group by group; kill those that take too long."""
        asked = [node for node in self._nodes if node.status is None]
        begin = time.monotonic()
        groups = self._graph.stop_order
        for number, names in enumerate(groups, start=1):
            group = [node for node in asked if node.name in names]
            for node in group:
                node.send(signal.SIGTERM)
            deadline = begin + STOP_TIMEOUT * _LAST_SHARE * number / len(groups)
            while self._signals < 2 and time.monotonic() < deadline and _running(group):
                self._pump(watcher)
        # A slow one of an earlier group has until the end.
        while self._signals < 2 and time.monotonic() < deadline and _running(asked):
            self._pump(watcher)
        killed = _running(asked)
        self._kill(killed)
        self._drain(asked, watcher)
        return _with_faults(outcome, asked, killed)

    def _kill(self, nodes: Iterable[NodeProcess]) -> None:
        for node in nodes:
            node.kill()

    def _close(self) -> None:
        self._selector.close()
        for node in self._nodes:
            node.close()


def _running(nodes: Iterable[NodeProcess]) -> list[NodeProcess]:
    return [node for node in nodes if node.status is None]


def _outcome(ended: list[NodeProcess]) -> Outcome:
    """Return what it means that these nodes have ended by themselves."""
    bad = [node for node in ended if not (node.ends_graph and node.status == 0)]
    if not bad:
        return Outcome(True, f"{ended[0].name} has finished")
    return Outcome(False, "\n".join(_obituary(node) for node in bad))


def _obituary(node: NodeProcess) -> str:
    assert node.status is not None
    lines = [f"{node.name} died: {describe_status(node.status)}; its last lines:"]
    return "\n".join([*lines, *(f"  | {line}" for line in node.tail or ["(none)"])])


def _with_faults(outcome: Outcome, asked: list[NodeProcess], killed: list[NodeProcess]) -> Outcome:
    """Add to the outcome which nodes did not end well when they were asked to."""
    faults = [f"{node.name} did not end in time and was killed" for node in killed]
    for node in asked:
        # A node that was asked before it was ready for it dies of the signal itself.
        if node not in killed and node.status not in (0, -signal.SIGTERM):
            faults.append(_obituary(node))
    if not faults:
        return outcome
    return Outcome(False, "\n".join([outcome.message, *faults]))
