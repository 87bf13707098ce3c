"""The signals that ask a process to end, as a count."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any


class Signals:
    """Counts SIGINT, SIGTERM and SIGHUP (the terminal was closed) while its `with` block runs.

    Unlike rclpy's own handlers it leaves the communication up, so that clean-up can still
    publish and answer.
    """

    def __init__(self) -> None:
        self.count = 0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        """Begin to count."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        """Put back what was there before."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
