"""What the hand node tells of itself on /diagnostics."""

from __future__ import annotations

from typing import Any

from smm_ros.dclaw.hand import Hand, HandHealth
from smm_ros.hand_time import HandTime
from smm_ros.interfaces import CLEAR_STOP
from smm_ros.lockstep import LockStep
from smm_ros.periods import DelayMeter, PeriodMeter
from smm_ros.reports import Level

ANSWER_MEDIAN, ANSWER_P99 = "answer median (s)", "answer p99 (s)"
ANSWER_LONGEST = "answer longest (s)"
"""From the showing of a state to the coming of the command that answers it."""


class EventTally:
    """How many events there were, and the last of them."""

    def __init__(self) -> None:
        self._count, self._last = 0, ""

    def add(self, event: str) -> None:
        """Count an event."""
        self._count, self._last = self._count + 1, event

    def values(self) -> dict[str, Any]:
        """Return figures by name; none before the first event."""
        return {"events": self._count, "last event": self._last} if self._count else {}


def hand_report(
    lockstep: LockStep,
    periods: PeriodMeter,
    answers: DelayMeter,
    hand_time: HandTime,
    hand: Hand | None,
) -> tuple[dict[str, Any], HandHealth]:
    """Return figures by name, and the health of the hand where there is one."""
    values: dict[str, Any] = {
        "phase": lockstep.phase.value,
        "stopped": lockstep.stopped,
        "commands taken": lockstep.taken,
        "late commands": hand_time.late,
    }
    values |= {f"refused: {reason}": n for reason, n in lockstep.refused.items()}
    health = HandHealth()
    if hand is not None:
        values |= {f"clamped: {reason}": n for reason, n in hand.clamp.counts.items()}
        health = hand.health()
    summary, delays = periods.summary(), answers.summary()
    values |= {
        "state rate (Hz)": summary.rate_hz,
        "state period median (s)": summary.median,
        "state period p99 (s)": summary.p99,
        "state period longest (s)": summary.longest,
        ANSWER_MEDIAN: delays.median,
        ANSWER_P99: delays.p99,
        ANSWER_LONGEST: delays.longest,
        **health.values,
    }
    return values, health


def verdict(
    fault: str, lockstep: LockStep, warnings: tuple[str, ...], active: bool
) -> tuple[Level, str]:
    """Return how bad it is, and why, in one line."""
    if fault:
        return Level.ERROR, fault
    if lockstep.stopped:
        return Level.WARN, f"stopped, torque off until {CLEAR_STOP}"
    if warnings:
        return Level.WARN, "; ".join(warnings)
    if not active:
        return Level.OK, "not active, torque off"
    return Level.OK, lockstep.phase.value
