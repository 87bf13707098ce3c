"""What is wrong with a real hand: what its motors say, and what has been made of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.motor_sample import MotorSample

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

    def absence(self, now: float) -> dict[int, float]:
        """Return for how long motors have not been heard, s."""
        return {motor: now - since for motor, since in self.absent.items()}

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


def find_trouble(
    sample: MotorSample, ids: Sequence[int], driven: Sequence[bool], absent: Mapping[int, float]
) -> Trouble:
    """Return what is wrong by the motors' own account.

    `driven` says of each of the ids whether it is meant to hold torque; `absent` for how long
    motors were not heard before this measurement, s.
    """
    words, failed, errors, holds_torque = [], set(absent), dict[int, int](), False
    for i, motor in enumerate(ids):
        holds_torque |= bool(sample.torque_on[i]) and not driven[i]
        if status := int(sample.errors[i]):
            errors[motor] = status
            words.append(f"motor {motor} reports {', '.join(reg.hardware_errors(status))}")
        elif sample.tripped[i]:
            failed.add(motor)
            words.append(f"motor {motor} was stopped by its bus watchdog")
        elif sample.torque_on[i] != driven[i]:
            failed.add(motor)
            state = "holds torque unasked" if sample.torque_on[i] else "has let go"
            words.append(f"motor {motor} {state}")
    away = longest(absent)
    if absent and not words:
        names = ", ".join(map(str, sorted(absent)))
        words.append(f"motor {names} answers again after {away:.2f} s")
    return Trouble("; ".join(words), frozenset(failed), errors, frozenset(), holds_torque, away)


def longest(absent: Mapping[int, float]) -> float:
    """Return the longest of some absences, s; 0 where there are none."""
    return max(absent.values(), default=0.0)
