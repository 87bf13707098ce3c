"""What is wrong with a real hand: what its motors say, and what has been made of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

MOST_EVENTS = 200
"""So many events are kept until somebody takes them; older ones are given up."""


@dataclass(frozen=True)
class Trouble:
    """What is wrong at one moment, by the motors' own account."""

    text: str
    """For people; empty where nothing is wrong."""
    failed: frozenset[int] = frozenset()
    """Motors that have to be set up again."""
    errors: Mapping[int, int] = field(default_factory=dict)
    """Hardware error states of motors, which have to be started anew."""
    restarted: frozenset[int] = frozenset()
    """Those of `failed` that have started anew by themselves."""
    holds_torque: bool = False
    """Whether a motor holds torque that was not meant to."""
    absence: float = 0.0
    """For how long a motor did not answer before it came back, s."""


class HandFault:
    """What keeps the hand from being driven, and the story of how it came to that."""

    def __init__(self) -> None:
        self.text = ""
        """For people; empty where nothing is wrong."""
        self.is_held = False
        """Whether it waits for a person."""
        self.torque_unsure = ""
        """Why torque may be on though it was switched off; empty where all motors confirmed it."""
        self.absent: dict[int, float] = {}
        """Motors that were not heard for too long: since when, s."""
        self._events: deque[str] = deque(maxlen=MOST_EVENTS)

    def set(self, text: str, is_held: bool = False) -> None:
        """Take that something is wrong; it is an event where it was not known."""
        if text != self.text:
            self.tell(text)
        self.text, self.is_held = text, is_held

    def lose(self, motors: tuple[int, ...], text: str, now: float) -> None:
        """Take that motors are not heard any more; only the first loss is an event."""
        self.absent |= {motor: now for motor in motors if motor not in self.absent}
        if not self.text:
            self.tell(text)
            self.text = text

    def clear(self) -> None:
        """All is well; what torque is said to be stays."""
        self.text, self.is_held = "", False
        self.absent.clear()

    def tell(self, event: str) -> None:
        """Add to the story."""
        self._events.append(event)

    def take_events(self) -> list[str]:
        """Return what has happened since this was last called."""
        events = []
        while self._events:
            events.append(self._events.popleft())
        return events
