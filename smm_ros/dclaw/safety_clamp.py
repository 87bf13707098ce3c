"""The last check on every command: nothing leaves it that the hand must not be told."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smm_ros.dclaw.spec import (
    COMMAND_VELOCITY_LIMIT,
    CONTROL_PERIOD,
    NUM_JOINTS,
    POSITION_HIGH,
    POSITION_LOW,
    Joints,
)

NOT_FINITE, POSITION, VELOCITY = "not_finite", "position", "velocity"

MAX_STEP = COMMAND_VELOCITY_LIMIT * CONTROL_PERIOD
"""Largest distance of a target from the measured angle, rad."""


@dataclass(frozen=True)
class Clamped:
    """A target that is safe to send, and which rules changed it (none: it passed unchanged)."""

    target: Joints
    """(9,) rad."""
    reasons: tuple[str, ...]


class SafetyClamp:
    """Makes joint targets finite, bounds their step, and keeps them inside the position limits.

    A target that is NaN or infinite becomes the measured angle. Where the measured angle is
    outside the position limits by more than a step, both bounds can not hold: then the target
    is the nearest limit, because no target outside the limits is ever sent.
    """

    counts: dict[str, int]
    """Commands changed so far, by reason."""

    def __init__(self) -> None:
        """Start with all counts at zero."""
        self.counts = {NOT_FINITE: 0, POSITION: 0, VELOCITY: 0}

    def __call__(self, target: ArrayLike, measured: ArrayLike) -> Clamped:
        """Clamp targets (9,) rad given measured angles (9,) rad.

        Raises:
            ValueError: wrong shape, or a measured angle that is not finite: without a
                measurement there is no safe target.
        """
        wanted, angles = _joints("target", target), _joints("measured", measured)
        if not np.isfinite(angles).all():
            raise ValueError(f"measured joint angles must be finite, got {angles}: read again")
        safe, changed = limited(wanted, angles)
        reasons = tuple(reason for reason, happened in changed.items() if happened)
        for reason in reasons:
            self.counts[reason] += 1
        return Clamped(safe, reasons)


def limited(target: Joints, measured: Joints) -> tuple[Joints, dict[str, NDArray[np.bool_]]]:
    """Return safe targets (..., 9) rad for finite angles (..., 9) rad, and what changed them.

    That is which of the commands, (...), each rule has changed; nothing is named where all of
    them passed unchanged.
    """
    safe = reachable(target, measured)
    # Nearly always so; what is not finite is not equal either.
    if (safe == target).all():
        return safe, {}
    is_number = np.isfinite(target)
    finite = np.where(is_number, target, measured)
    inside = within_limits(finite)
    safe = reachable(inside, measured)
    return safe, {
        NOT_FINITE: ~is_number.all(-1),
        POSITION: (inside != finite).any(-1),
        VELOCITY: (safe != inside).any(-1),
    }


def reachable(target: Joints, measured: Joints) -> Joints:
    """Return the targets (..., 9) rad brought within a step of `measured` and the limits."""
    least, most = measured - MAX_STEP, measured + MAX_STEP
    return within_limits(np.minimum(np.maximum(target, least), most))


def within_limits(target: Joints) -> Joints:
    """Return targets (..., 9) rad brought within the position limits."""
    # As np.clip, at a fraction of its cost for nine numbers.
    return np.minimum(np.maximum(target, POSITION_LOW), POSITION_HIGH)


def _joints(name: str, values: ArrayLike) -> Joints:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (NUM_JOINTS,):
        raise ValueError(f"{name} must have shape ({NUM_JOINTS},), got {array.shape}")
    return array
