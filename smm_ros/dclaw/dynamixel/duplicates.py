"""Whether an id is that of one motor, or of two that answer at once."""

from __future__ import annotations

import time

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel import units
from smm_ros.dclaw.dynamixel.findings import Finding, Level
from smm_ros.dclaw.dynamixel.patient_bus import PatientBus

CALLS = 5
"""How often each id is asked."""
CLOCKS_APART = 0.5
"""Difference that this machine does not make, s, between two motors' clocks."""
_WHERE = reg.REALTIME_TICK.address
_LENGTH = reg.PRESENT_POSITION.end - _WHERE


def examine_id(bus: PatientBus, motor: int) -> Finding | None:
    """Tell what is odd about the answers of an id; an error where two motors seem to have it.

    Two of one kind answer a ping with the same bytes at the same time, which reads clean. So they
    are asked for what differs: where they are, and since when they are switched on.

    Raises:
        PortError: the port is gone.
    """
    before, most, clocks = bus.damaged, 0, []
    for _ in range(CALLS):
        asked = time.monotonic()
        answers = bus.answers(motor, _WHERE, _LENGTH)
        most = max(most, len(answers))
        ticks = [reg.REALTIME_TICK.decode(a[: reg.REALTIME_TICK.size]) for a in answers]
        clocks += [tick * units.TICK - asked for tick in ticks]
    if most > 1:
        return twice(motor, f"gives {most} answers to one question")
    damaged = bus.damaged - before
    if 2 * damaged > CALLS:
        return twice(motor, f"damaged {damaged} of {CALLS} answers that tell where it is")
    if _spread(clocks) > CLOCKS_APART:
        return twice(motor, "answers by two clocks")
    if damaged:
        text = f"damaged {damaged} of {CALLS} answers"
        return Finding(Level.WARNING, text, "check its plug and its cable", motor=motor)
    return None


def twice(motor: int, text: str) -> Finding:
    """Return the finding that two motors have one id, and by what it shows."""
    return Finding(
        Level.ERROR,
        f"{text}: two motors have this id, or a cable is bad",
        f"unplug one of the two; then give the other a free id: --set_id {motor} NEW",
        motor=motor,
    )


def _spread(clocks: list[float]) -> float:
    """Return how far clocks are apart, s, which begin again after units.TICK_PERIOD."""
    half = units.TICK_PERIOD / 2
    apart = [(clock - clocks[0] + half) % units.TICK_PERIOD - half for clock in clocks]
    return max(apart, default=0.0) - min(apart, default=0.0)
