"""Bringing a real hand back to where an episode begins: fingers untangled, valve turned back.

The script is a generator: it lays out a way, and asks again and again whether it was gone; what
passes the time is up to whoever iterates. Tolerance, attempts and pace are ROBEL's (robel 0.1.2,
dclaw/hardware_robot.py and dclaw/scripted_reset.py); it has a person press a key where this fails.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from smm_ros.dclaw.hand import HandError, ResetStage, ResetStages
from smm_ros.dclaw.spec import JOINT_NAMES, POSITION_HIGH, POSITION_LOW, RESET_POSE, Joints

ATTEMPTS = 3
TOLERANCE = math.radians(5)
"""Of every joint and of the valve, rad."""
SPEED = math.radians(80)
"""Mean speed of a way, rad/s: the longest takes little more than ROBEL's 0.75 s."""
VALVE_SPEED = math.radians(120)
"""rad/s."""
SETTLE = 0.25
"""Time to come to rest at the end of a way, s."""

_PROXIMAL, _MIDDLE, _DISTAL = (slice(i, None, 3) for i in range(3))
_SPREAD = 0.3
"""By how much the fingers are swung to either side to get free of each other, rad."""


class Movable(Protocol):
    """What the script needs of a hand. Every method raises HandError on a fault."""

    def pose(self) -> tuple[Joints, float]:
        """Return a fresh measurement: joint angles (9,) rad and the valve's angle, rad."""

    def glide_to(self, pose: Joints, speed: float) -> float:
        """Lay out a way to a pose; return how long it takes, s."""

    def turn_valve(self, angle: float, speed: float) -> float:
        """Lay out a way of the valve with its own motor; return how long it takes, s."""

    def release_valve(self) -> None:
        """Switch the valve's motor off."""

    def now(self) -> float:
        """Return the time, s."""


def scripted_reset(hand: Movable, valve_angle: float) -> ResetStages:
    """Bring the joints to spec.RESET_POSE and the valve to an angle (rad, any full turns away).

    Yields where it is, many times a second; each step is short.

    Raises:
        HandError: a fault, or after ATTEMPTS something is still not where it belongs.
    """
    off = ""
    for attempt in range(1, ATTEMPTS + 1):
        for name, pose in _ways(hand.pose()[0], attempt):
            yield from _wait(hand, hand.glide_to(pose, SPEED), ResetStage(name, attempt))
        try:
            seconds = hand.turn_valve(valve_angle, VALVE_SPEED)
            yield from _wait(hand, seconds, ResetStage("turn the valve", attempt))
        finally:
            hand.release_valve()
        yield from _wait(hand, 0.0, ResetStage("settle", attempt))
        off = _what_is_off(*hand.pose(), valve_angle)
        if not off:
            return
    raise HandError(f"the reset did not succeed in {ATTEMPTS} attempts: {off}; free it by hand")


def _ways(pose: Joints, attempt: int) -> Iterator[tuple[str, Joints]]:
    """Yield the ways to the reset pose: first off the valve, then apart, then home."""
    lifted = pose.copy()
    lifted[_MIDDLE], lifted[_DISTAL] = RESET_POSE[_MIDDLE], RESET_POSE[_DISTAL]
    yield "lift the fingers", np.clip(lifted, POSITION_LOW, POSITION_HIGH)
    for turn in range(1, attempt):
        spread = RESET_POSE.copy()
        spread[_PROXIMAL] = _SPREAD * (-1) ** turn
        yield "untangle the fingers", spread
    yield "fingers to their places", RESET_POSE.copy()


def _wait(hand: Movable, seconds: float, stage: ResetStage) -> Iterator[ResetStage]:
    end = hand.now() + seconds + SETTLE
    while hand.now() < end:
        hand.pose()  # a fault ends the reset at once
        yield stage


def _what_is_off(pose: Joints, valve: float, valve_angle: float) -> str:
    """Say what is not where it belongs, empty where all is."""
    away = np.abs(pose - RESET_POSE)
    found = [
        f"{JOINT_NAMES[i]} is {math.degrees(away[i]):.0f} degrees from its place"
        for i in np.flatnonzero(away > TOLERANCE)
    ]
    turned = abs(math.remainder(valve - valve_angle, 2 * math.pi))
    if turned > TOLERANCE:
        found.append(f"the valve is {math.degrees(turned):.0f} degrees from its place")
    return ", ".join(found)
