"""How a control period passes: in the twin because it is asked to, on the hand by itself."""

from __future__ import annotations

import time
from typing import Protocol

from smm_ros.dclaw.hand import Hand
from smm_ros.dclaw.spec import CONTROL_PERIOD
from smm_ros.lockstep import Pace

SHORTEST = 0.5
"""Least share of a control period that a command is given to have its effect."""


class HandTime(Protocol):
    """Says when the hand's next state is to be shown."""

    late: int
    """Commands so far that came too late for the state that was due."""

    def pass_period(self, hand: Hand, is_answer: bool) -> float:
        """Let a control period begin, with a command or without; return how long to wait, s."""

    def until_due(self, hand: Hand) -> float:
        """Return how long to wait until the present state is shown, s; 0 or less for at once."""

    def shown(self, stamp_ns: int, now: float) -> None:
        """Note that a state was shown, at `now` s of time.monotonic()."""


class SimulatedTime:
    """The twin's: a period is integrated at once, and shown when the pace says."""

    def __init__(self, pace: Pace) -> None:
        self.late = 0
        self._pace = pace

    def pass_period(self, hand: Hand, is_answer: bool) -> float:
        """Integrate."""
        hand.advance(CONTROL_PERIOD)
        return self.until_due(hand) if is_answer else 0.0

    def until_due(self, hand: Hand) -> float:
        """Return the time that the pace leaves."""
        return self._pace.due(round(hand.read().stamp * 1e9)) - time.monotonic()

    def shown(self, stamp_ns: int, now: float) -> None:
        """Tell the pace."""
        self._pace.shown(stamp_ns, now)


class WallTime:
    """The hand's: states are shown a control period apart, whenever the command came."""

    def __init__(self) -> None:
        self.late = 0
        self._due = 0.0

    def pass_period(self, hand: Hand, is_answer: bool) -> float:
        """Return what is left of the period; a command that is late gets some of the next."""
        left = self.until_due(hand)
        if is_answer and left < SHORTEST * CONTROL_PERIOD:
            self.late += 1
            self._due += CONTROL_PERIOD if left > 0 else CONTROL_PERIOD - left
        return self.until_due(hand)

    def until_due(self, hand: Hand) -> float:
        """Return what is left of the period."""
        return self._due - time.monotonic()

    def shown(self, stamp_ns: int, now: float) -> None:
        """Begin a period; one that began late is not made up for by a shorter one."""
        on_time = 0 <= now - self._due < (1 - SHORTEST) * CONTROL_PERIOD
        self._due = (self._due if on_time else now) + CONTROL_PERIOD
