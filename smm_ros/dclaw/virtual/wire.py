"""One pair of wires and the USB adapter at its end: when bytes arrive, and which are damaged.

Nothing here sleeps: the caller says what time it is. Both ways share the wires: who speaks while
another does damages what both say, and nothing that is to be said is ever taken back.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass

import numpy as np

from smm_ros.dclaw.virtual.faults import Faults

BITS_PER_BYTE = 10
"""8 data bits, start and stop."""
USB_PACKET = 62
"""Bytes after which a USB adapter does not wait for its latency timer."""


@dataclass
class _Speech:
    """What somebody says, and from when to when (s)."""

    begin: float
    end: float
    data: bytes


class Wire:
    """What is under way between servos and program."""

    def __init__(self, faults: Faults, usb_latency: float, seed: int) -> None:
        self.faults = faults
        self.usb_latency = usb_latency
        """Latency timer of the adapter, s."""
        self.baud_rate = 1_000_000
        """bit/s."""
        self.collisions = 0
        """How often so far two have spoken at once."""
        self._rng = np.random.default_rng(seed)
        self._answers: list[_Speech] = []
        self._in_adapter: tuple[float, bytes] | None = None
        self._sent_until = self._held_until = -np.inf

    def change_speed(self, baud_rate: int) -> None:
        """Speak at another speed from now on, bit/s; what was being said is broken off."""
        self.baud_rate = baud_rate
        self._sent_until = -np.inf

    def instruct(self, data: bytes, now: float) -> tuple[bytes, float]:
        """Send bytes from a time on; return what the servos hear, and when they have heard it."""
        begin = max(now, self._sent_until)
        speech = _Speech(begin, begin + self._time(len(data)), self._damaged(data))
        for other in self._answers:
            self._collide(speech, other)
        self._sent_until = speech.end
        return speech.data, speech.end

    def answer(self, data: bytes, begin: float) -> float:
        """Let a servo answer from a time on; return when it has ended."""
        speech = _Speech(begin, begin + self._time(len(data)), self._damaged(data))
        for other in self._answers:
            if self._are_in_step(speech, other):
                self._merge(speech, other)
                return other.end
            self._collide(speech, other)
        insort(self._answers, speech, key=lambda one: one.end)
        return speech.end

    def take(self, now: float) -> bytes:
        """Return the bytes that the program has got by a time (s)."""
        while self._answers and self._answers[0].end <= now:
            speech = self._answers.pop(0)
            since, before = self._in_adapter or (speech.end, b"")
            self._in_adapter = since, before + speech.data
        if self._in_adapter is None or now < self._held_until:
            return b""
        since, data = self._in_adapter
        # Whole packets go at once; what is left over waits.
        is_due = now >= since + self.usb_latency
        count = len(data) if is_due else len(data) // USB_PACKET * USB_PACKET
        if count and self.faults.hiccup:
            self._held_until, self.faults.hiccup = now + self.faults.hiccup, 0.0
            return b""
        if count:
            self._in_adapter = (now, data[count:]) if data[count:] else None
        return data[:count]

    def next_time(self) -> float | None:
        """Return when `take` may have bytes next, s; None while nothing is under way."""
        times = [self._answers[0].end] if self._answers else []
        if self._in_adapter is not None:
            times.append(self._in_adapter[0] + self.usb_latency)
        return max(min(times), self._held_until) if times else None

    def _time(self, count: int) -> float:
        return count * BITS_PER_BYTE / self.baud_rate

    # Two at once.

    def _are_in_step(self, one: _Speech, other: _Speech) -> bool:
        return abs(one.begin - other.begin) < 0.5 / self.baud_rate

    def _merge(self, one: _Speech, other: _Speech) -> None:
        """Lay bytes over others that began together: each bit is low where one of both is."""
        if one.data != other.data:
            self.collisions += 1
        both = bytes(a & b for a, b in zip(one.data, other.data, strict=False))
        longer = max(one.data, other.data, key=len)
        other.data, other.end = both + longer[len(both) :], max(one.end, other.end)

    def _collide(self, one: _Speech, other: _Speech) -> None:
        """Damage the bytes of both that are said at the same time."""
        begin, end = max(one.begin, other.begin), min(one.end, other.end)
        if begin >= end:
            return
        self.collisions += 1
        for speech in (one, other):
            first = int((begin - speech.begin) / self._time(1))
            last = int(np.ceil((end - speech.begin) / self._time(1)))
            spoilt = bytes(self._another(b) for b in speech.data[first:last])
            speech.data = speech.data[:first] + spoilt + speech.data[last:]

    def _damaged(self, data: bytes) -> bytes:
        if self.faults.unplugged:
            return b""
        if not (self.faults.drop_byte or self.faults.corrupt_byte):
            return data
        kept = [b for b in data if self._rng.random() >= self.faults.drop_byte]
        corrupt = self.faults.corrupt_byte
        return bytes(self._another(b) if self._rng.random() < corrupt else b for b in kept)

    def _another(self, byte: int) -> int:
        return byte ^ int(self._rng.integers(1, 256))
