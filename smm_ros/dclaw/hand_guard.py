"""What the hand does when the one who steers it is late, or a motor fails: decided here alone.

Pure logic over times (s of one clock that only goes forward); `hand_loop` asks it every cycle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from smm_ros.dclaw.glide import Glide, glide
from smm_ros.dclaw.safety_clamp import within_limits
from smm_ros.dclaw.spec import POSITION_HIGH, POSITION_LOW, Joints

OUTSIDE = 0.3
"""So far outside its limits a joint may be found, and is brought back, rad."""
EASE_SPEED = 0.5
"""Mean speed on the way back inside, rad/s."""


class Drive(Enum):
    """What the fingers are told."""

    LIMP = "limp"
    """Torque is off."""
    HOLD = "holding"
    """To stay where they were when holding began."""
    FOLLOW = "following"
    """To go to the newest target."""
    GLIDE = "gliding"
    """To go a way that was laid out for them, and to hold its end."""


@dataclass(frozen=True)
class GuardConfig:
    """After how much silence what happens, s."""

    hold_after: float = 0.15
    """Without a new target the hand holds its pose: half a control period after one was due."""
    limp_after: float = 1.0
    """Without a new target torque goes off."""
    idle_after: float = 30.0
    """A hand that nobody has steered since it was switched on lets go."""
    blind_for: float = 0.035
    """Without a measurement torque goes off."""

    def __post_init__(self) -> None:
        """Check the values."""
        longest = {"hold_after": 2.0, "limp_after": 10.0, "idle_after": 3600.0, "blind_for": 1.0}
        for name, most in longest.items():
            value = getattr(self, name)
            if not 0 < value <= most:
                raise ValueError(f"{name} is {value}, expected a time above 0, up to {most:g} s")
        for name, least in (("limp_after", "hold_after"), ("idle_after", "limp_after")):
            if getattr(self, name) < getattr(self, least):
                raise ValueError(
                    f"{name} is {getattr(self, name)}, expected at least {least} "
                    f"{getattr(self, least)}"
                )


class HandGuard:
    """Knows what the fingers may be told now. A deadman for commands, and one for measurements.

    A hand that went limp stays so until `hold` is called.
    """

    def __init__(self, config: GuardConfig | None = None) -> None:
        self.config = config or GuardConfig()
        self.drive = Drive.LIMP
        self.reason = "torque was not switched on yet"
        """Why it is limp."""
        self._goal: Joints | None = None
        self._way: Glide | None = None
        self._told = self._seen = -math.inf
        self._patience = self.config.idle_after

    def hold(self, pose: Joints, now: float) -> None:
        """Switch on, keeping a pose (9,) rad; from outside the limits the fingers are eased in."""
        self.reason, self._seen, self._patience = "", now, self.config.idle_after
        self._keep(pose, now)

    def stay(self, pose: Joints, now: float) -> None:
        """End whatever is under way at a pose (9,) rad; does nothing where the hand is limp."""
        if self.drive is not Drive.LIMP:
            self._patience = self.config.limp_after
            self._keep(pose, now)

    def follow(self, target: Joints, now: float) -> bool:
        """Go to a target (9,) rad; return False where the hand is limp and will not.

        From here on the one who steers has to go on doing so.
        """
        if self.drive is Drive.LIMP:
            return False
        self.drive, self._goal, self._way = Drive.FOLLOW, within_limits(target), None
        self._told, self._patience = now, self.config.limp_after
        return True

    def glide(self, way: Glide, now: float) -> bool:
        """Go a way (9,) rad; return False where the hand is limp and will not.

        Whoever laid it out has to `attend` to it until the next target.
        """
        if self.drive is Drive.LIMP:
            return False
        self.drive, self._way = Drive.GLIDE, way
        self._told, self._patience = now, self.config.limp_after
        return True

    def attend(self, now: float) -> None:
        """Take that somebody still looks after the way under way."""
        self._told = max(self._told, now)

    def limp(self, reason: str) -> None:
        """Let go of the fingers until `hold`."""
        if self.drive is not Drive.LIMP:
            self.drive, self.reason = Drive.LIMP, reason
        self._goal = self._way = None

    def measured(self, pose: Joints, now: float) -> Joints | None:
        """Take a measured pose (9,) rad; return the goals to send (9,) rad, or None for limp."""
        self._seen = now
        silence = now - self._told
        if self.drive is not Drive.LIMP and silence > self._patience:
            self.limp(f"no command for {self._patience:g} s")
        elif self.drive is Drive.FOLLOW and silence > self.config.hold_after:
            self.drive, self._goal = Drive.HOLD, within_limits(pose)
        if self._way is not None:
            self._goal = _near_limits(self._way.at(now))
        return self._goal

    def is_blind(self, now: float) -> bool:
        """Tell whether there was no measurement for too long."""
        return now - self._seen > self.config.blind_for

    def missed(self, now: float, what: str) -> bool:
        """Take that there was no measurement, and why; return whether the hand has to go limp."""
        if self.drive is not Drive.LIMP and self.is_blind(now):
            self.limp(what)
            return True
        return False

    def _keep(self, pose: Joints, now: float) -> None:
        self.drive, self._told = Drive.HOLD, now
        self._goal = within_limits(pose)
        outside = (self._goal != pose).any()
        self._way = glide(pose, self._goal, now, EASE_SPEED) if outside else None


def _near_limits(angles: Joints) -> Joints:
    """Bound goals on a way that may have begun outside the limits, (9,) rad."""
    return np.clip(angles, POSITION_LOW - OUTSIDE, POSITION_HIGH + OUTSIDE)
