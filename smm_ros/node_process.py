"""One node of a graph as a process of its own: its output, its log, its end."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Mapping

from smm_ros.graph import Graph, NodeSpec

TAIL_LINES = 20
"""Last lines of a node's output that are shown again when it dies."""

_PR_SET_PDEATHSIG = 1


class NodeProcess:
    """A running node.

    It is in a session of its own, so that Ctrl-C in the terminal reaches only the runner, and the
    kernel ends it when the thread that made it dies, even by SIGKILL: make it in the main thread.
    """

    def __init__(self, graph: Graph, node: NodeSpec, environment: Mapping[str, str]) -> None:
        self.name = node.name
        self.ends_graph = node.ends_graph
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._partial = b""
        log = graph.run_dir / "log" / f"{node.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            command(graph, node),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_with_parent(),
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout
        os.set_blocking(self._output.fileno(), False)

    @property
    def status(self) -> int | None:
        """Exit status; minus the signal's number where one killed it; None while it runs."""
        return self._process.poll()

    def fileno(self) -> int:
        """Return the descriptor of its output, to wait on."""
        return self._output.fileno()

    def read_lines(self) -> list[str] | None:
        """Return the lines printed since the last call, also logged; None after the end."""
        try:
            data = os.read(self.fileno(), 1 << 16)
        except BlockingIOError:
            return []
        self._log.write(data)
        self._log.flush()
        *lines, self._partial = (self._partial + data).split(b"\n")
        if not data and self._partial:
            lines, self._partial = [self._partial], b""
        texts = [line.decode(errors="replace").rstrip("\r") for line in lines]
        self.tail.extend(texts)
        return texts if data or texts else None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the node; one that has ended is left alone."""
        if self.status is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End the node and whatever it started, at once."""
        if self.status is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def close(self) -> None:
        """Close its log and output."""
        self._output.close()
        self._log.close()


def describe_status(status: int) -> str:
    """Say how a process with this exit status ended: "exit code 1" or "killed by SIGKILL"."""
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit code {status}"


def command(graph: Graph, node: NodeSpec) -> list[str]:
    """Return the command line that starts the node."""
    remappings = [("__ns", node.namespace), ("__node", node.name), *node.remappings]
    return [
        sys.executable, "-m", node.module, "--ros-args",
        *(part for source, target in remappings for part in ("-r", f"{source}:={target}")),
        "--params-file", str(graph.parameter_file(node)),
        "--log-level", graph.log_level,
        # The output is logged already.
        "--disable-external-lib-logs",
    ]  # fmt: skip


def _with_parent():  # type: ignore[no-untyped-def]
    """Return what a child runs before its program, to be told of its parent's death."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        # The parent may have died before the kernel was asked.
        if os.getppid() != parent:
            os._exit(1)

    return ask
