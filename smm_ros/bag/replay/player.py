"""Publishes what is on a time line when it is due."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from smm_ros.bag.replay.lateness import Lateness
from smm_ros.bag.replay.play_keys import Key
from smm_ros.bag.replay.play_time import Event, PlayClock

BEAT = 0.5
"""Time between two looks at the keys and two lines of progress, s."""


class Sink(Protocol):
    """Takes the messages of one topic."""

    def publish(self, data: bytes) -> None:
        """Send a serialised message."""

    def publish_in_turn(self, data: bytes, beat: Callable[[], None]) -> None:
        """Send a serialised message when those before it have arrived."""


class Keyboard(Protocol):
    """Tells which keys are pressed."""

    def wait(self, seconds: float) -> Key | None:
        """Return the key that is pressed within a time, s; None if none is."""


class Player:
    """Plays time lines: waits until something is due, or a key asks for it, and publishes it."""

    def __init__(
        self,
        sinks: Mapping[str, Sink],
        tell_time: Callable[[int], None],
        keys: Keyboard,
        show: Callable[[int, bool], None],
    ) -> None:
        """`sinks`: by the topic's name in the bag; `tell_time` publishes a time in ns.

        `show` is called several times a second with the place in the bag, ns of log time, and
        whether playing is held.
        """
        self.lateness = Lateness()
        self._sinks, self._tell_time, self._keys, self._show = sinks, tell_time, keys, show
        self._clock = PlayClock(1.0)
        self._next_look = 0.0
        self._stamp_ns = 0
        self._is_stepping = False

    def play(self, events: Iterable[Event], rate: float, held: bool) -> None:
        """Play one time line; `rate` as in PlayClock, `held`: wait for a key first."""
        self._clock = PlayClock(rate)
        now = time.monotonic()
        self._next_look = now
        self._clock.begin(now, held)
        for event in events:
            self._stamp_ns = event.stamp_ns
            due = self._wait(event)
            if event.message is None:
                self._tell_time(event.stamp_ns)
                continue
            sink = self._sinks[event.message.topic.name]
            if rate:
                sink.publish(event.message.data)
            else:
                sink.publish_in_turn(event.message.data, self._look)
            if math.isfinite(due):
                self.lateness.add(time.monotonic() - due)

    def _wait(self, event: Event) -> float:
        """Wait until an event is due or a key asks for it; return when it was due, s."""
        while True:
            if self._is_stepping:
                self._clock.move_on(event.offset_ns)
                self._is_stepping = event.message is None
                return math.inf
            now, due = time.monotonic(), self._clock.due(event.offset_ns)
            if due <= now < self._next_look:
                return due
            self._obey(self._keys.wait(max(0.0, min(due, self._next_look) - now)))
            if now >= self._next_look:
                self._look()

    def _look(self) -> None:
        self._next_look = time.monotonic() + BEAT
        self._show(self._stamp_ns, self._clock.is_held)

    def _obey(self, key: Key | None) -> None:
        now = time.monotonic()
        if key is Key.PAUSE:
            (self._clock.go_on if self._clock.is_held else self._clock.hold)(now)
            self._look()
        self._is_stepping = key is Key.STEP and self._clock.is_held
