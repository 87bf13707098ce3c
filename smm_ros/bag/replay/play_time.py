"""When the messages of a bag are due: its time line, and the clock that it is played by."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from smm_ros.bag.reading import BagMessage

# Recorders write in the order of arrival, in which times may lie this far back.
_DISORDER_NS = 1_000_000_000


class Span(NamedTuple):
    """The part of a bag to be played, log times in ns; without the end."""

    start_ns: int
    end_ns: int


class Event(NamedTuple):
    """Something to be published: a message, or without one the time itself."""

    offset_ns: int
    """Since the beginning, long silences shortened."""
    stamp_ns: int
    """The bag's time."""
    message: BagMessage | None


def time_line(
    messages: Iterable[BagMessage], span: Span, max_gap_ns: float, tick_ns: int
) -> Iterator[Event]:
    """Yield the messages of a span as they come, with ticks of the clock between them.

    A silence of more than `max_gap_ns` is made that short. `tick_ns` is the time between two
    ticks, the first at the beginning; 0 for none. A message never changes its place in the order
    recorded: one whose time lies back is due at once.
    """
    skipped, latest, tick = 0, span.start_ns, span.start_ns
    for message in messages:
        if message.log_time_ns >= span.end_ns + _DISORDER_NS:
            return
        if not span.start_ns <= message.log_time_ns < span.end_ns:
            continue
        silence = message.log_time_ns - latest
        if silence > max_gap_ns:
            skipped += silence - round(max_gap_ns)
            tick = max(tick, message.log_time_ns - round(max_gap_ns))
        latest = max(latest, message.log_time_ns)
        while tick_ns and tick <= latest:
            yield Event(tick - skipped - span.start_ns, tick, None)
            tick += tick_ns
        offset = message.log_time_ns - skipped - span.start_ns
        yield Event(offset, message.log_time_ns, message)


class PlayClock:
    """Maps the time line to a clock that only goes forward; it can be held and moved on."""

    def __init__(self, rate: float) -> None:
        """`rate`: seconds of the bag for each second of the clock; 0: all is due at once."""
        self._rate = rate
        self._offset_ns, self._since = 0, math.inf
        self.is_held = True

    def begin(self, now: float, held: bool) -> None:
        """Start the time line at `now`, s; `held`: it goes on with `go_on`."""
        self._offset_ns, self._since, self.is_held = 0, now, held

    def due(self, offset_ns: int) -> float:
        """Return when something is due, s; never while the clock is held."""
        if self.is_held:
            return math.inf
        if not self._rate:
            return -math.inf
        return self._since + (offset_ns - self._offset_ns) / 1e9 / self._rate

    def hold(self, now: float) -> None:
        """Stand still."""
        if not self.is_held:
            self._offset_ns += round((now - self._since) * 1e9 * self._rate)
            self.is_held = True

    def go_on(self, now: float) -> None:
        """Go on from where it was held."""
        if self.is_held:
            self._since, self.is_held = now, False

    def move_on(self, offset_ns: int) -> None:
        """Go to a later place of the time line while it is held."""
        self._offset_ns = max(self._offset_ns, offset_ns)
