"""The virtual hand on a pseudo-terminal: any Dynamixel client can open it as a serial port."""

from __future__ import annotations

import contextlib
import os
import select
import termios
import threading
import time
import tty
from collections.abc import Callable
from queue import Empty, SimpleQueue

from smm_ros.dclaw.spec import PHYSICS_STEP
from smm_ros.dclaw.virtual.commands import execute
from smm_ros.dclaw.virtual.hand import VirtualHand

_READ_SIZE = 4096
_SPEEDS = {
    getattr(termios, name): int(name[1:])
    for name in dir(termios)
    if name[0] == "B" and name[1:].isdigit()
}


_SLOWEST = 50
"""Stands for a speed that is none (hung up, or not known here), bit/s: no servo has it."""


class VirtualPort:
    """Serves a virtual hand in real time, in a thread while the `with` block runs.

    Whoever is asleep for the length of a reply gets it late, as from a wire; physics goes on.
    """

    def __init__(self, hand: VirtualHand) -> None:
        self.hand = hand
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        """The serial port to open."""
        self._wake_read, self._wake_write = os.pipe()
        self._stopping = self._has_ended = False
        self._pending: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread = threading.Thread(target=self.serve, name="virtual hand", daemon=True)

    def __enter__(self) -> VirtualPort:
        """Begin to serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, as if the USB adapter was unplugged."""
        self.stop()
        self._thread.join()
        self.close()

    def command(self, line: str) -> str:
        """Carry out a command of `commands` between two steps; return what it did."""
        answer: SimpleQueue[str] = SimpleQueue()

        def work() -> None:
            try:
                answer.put(execute(self.hand, line))
            except Exception as error:  # whatever it is: it must not end the thread
                answer.put(f"error: {line}; {error!r}")

        if not self._has_ended:
            self.between_steps(work)
        while not self._has_ended:
            with contextlib.suppress(Empty):
                return answer.get(timeout=0.1)
        return f"error: {line}; the virtual hand has ended"

    def between_steps(self, work: Callable[[], None]) -> None:
        """Have something done to the hand when nothing else is; returns at once.

        What it raises ends `serve`.
        """
        self._pending.put(work)
        os.write(self._wake_write, b"!")

    def stop(self) -> None:
        """Make `serve` return."""
        self._stopping = True
        os.write(self._wake_write, b".")

    def close(self) -> None:
        """Take the port away; a client that has it open gets an error."""
        for descriptor in (self._master, self._slave, self._wake_read, self._wake_write):
            os.close(descriptor)

    def serve(self) -> None:
        """Serve until `stop` is called."""
        try:
            self._serve()
        finally:
            self._has_ended = True

    def _serve(self) -> None:
        hand, bus = self.hand, self.hand.bus
        hand.advance(time.monotonic())
        while not self._stopping:
            assert hand.time is not None
            due = min(hand.time + PHYSICS_STEP, bus.next_time() or float("inf"))
            waiting = (self._master, self._wake_read)
            ready, _, _ = select.select(waiting, (), (), max(0.0, due - time.monotonic()))
            if self._wake_read in ready and os.read(self._wake_read, 1) == b"!":
                self._pending.get()()
            data, now = self._read() if self._master in ready else b"", time.monotonic()
            hand.advance(now)  # first: what is asked for now is measured now
            if data:
                bus.receive(data, now)
            self._send(bus.take(time.monotonic()))

    def _read(self) -> bytes:
        self.hand.bus.baud_rate = self._speed()
        return os.read(self._master, _READ_SIZE)

    def _send(self, data: bytes) -> None:
        try:
            if data:
                os.write(self._master, data)
        except BlockingIOError:
            pass  # nobody reads: an adapter drops what its buffer has no room for

    def _speed(self) -> int:
        """Return the speed that the client has set, bit/s."""
        return _SPEEDS.get(termios.tcgetattr(self._slave)[5]) or _SLOWEST
