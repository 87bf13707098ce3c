"""A virtual hand in a process of its own, which is told what to do over its standard input."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class VirtualPort:
    """The port, and the process behind it."""

    path: str
    process: subprocess.Popen[str]

    def command(self, line: str) -> float:
        """Send a command; return when it was sent, s of time.monotonic()."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        sent = time.monotonic()
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer.startswith("done"):
            raise ValueError(answer)
        return sent

    def show(self) -> list[list[int]]:
        """Return id, torque, watchdog, error, position, velocity and goal of each servo, ticks."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("show\n")
        self.process.stdin.flush()
        return [list(map(int, self.process.stdout.readline().split())) for _ in range(10)]


@contextmanager
def virtual_port(*options: str) -> Iterator[VirtualPort]:
    """Start `smm virtual-hand` with some options for the time of a block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "smm_ros.virtual_hand", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        path = process.stdout.readline().strip()
        if not path:
            raise RuntimeError("smm virtual-hand has ended; its message is above")
        yield VirtualPort(path, process)
    finally:
        process.terminate()
        process.wait()
