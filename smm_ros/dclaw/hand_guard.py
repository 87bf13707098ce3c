"""What the hand does when the one who steers it is late, or a motor fails: decided here alone.

Pure logic over times (s of one clock that only goes forward); `hand_loop` asks it every cycle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from smm_ros.dclaw.glide import Glide
from smm_ros.dclaw.safety_clamp import within_limits
from smm_ros.dclaw.spec import Joints


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

    hold_after: float = 0.2
    """Without a new target the hand holds its pose; a policy at 10 Hz is late by 0.1 then."""
    limp_after: float = 1.0
    """Without a new target torque goes off."""
    blind_for: float = 0.05
    """Without a measurement torque goes off."""

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("hold_after", "limp_after", "blind_for"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a positive time in s")
        if self.limp_after < self.hold_after:
            raise ValueError(
                f"limp_after is {self.limp_after}, expected at least hold_after {self.hold_after}"
            )


class HandGuard:
    """Knows what the fingers may be told now. A deadman for commands, and one for measurements.

    A hand that went limp by itself stays so until `hold` is called.
    """

    def __init__(self, config: GuardConfig | None = None) -> None:
        self.config = config or GuardConfig()
        self.drive = Drive.LIMP
        self.reason = "torque was not switched on yet"
        """Why it is limp."""
        self._goal: Joints | None = None
        self._way: Glide | None = None
        self._told = self._seen = -math.inf
        self._is_watched = False

    def hold(self, pose: Joints, now: float) -> None:
        """Keep a pose (9,) rad from now on, for as long as nobody steers."""
        self.drive, self.reason = Drive.HOLD, ""
        self._goal, self._is_watched, self._seen = within_limits(pose), False, now

    def follow(self, target: Joints, now: float) -> bool:
        """Go to a target (9,) rad; return False where the hand is limp and will not.

        From here on the one who steers has to go on doing so.
        """
        if self.drive is Drive.LIMP:
            return False
        self.drive = Drive.FOLLOW
        self._goal, self._told, self._is_watched = within_limits(target), now, True
        return True

    def glide(self, way: Glide) -> bool:
        """Go a way (9,) rad; return False where the hand is limp and will not."""
        if self.drive is Drive.LIMP:
            return False
        self.drive, self._way, self._is_watched = Drive.GLIDE, way, False
        return True

    def limp(self, reason: str) -> None:
        """Let go of the fingers until `hold`."""
        if self.drive is not Drive.LIMP:
            self.drive, self.reason = Drive.LIMP, reason
        self._goal = None

    def measured(self, pose: Joints, now: float) -> Joints | None:
        """Take a measured pose (9,) rad; return the goals to send (9,) rad, or None for limp."""
        self._seen = now
        if self.drive is Drive.GLIDE and self._way is not None:
            self._goal = within_limits(self._way.at(now))
        silence = now - self._told
        if self._is_watched and self.drive is not Drive.LIMP:
            if silence > self.config.limp_after:
                self.limp(f"no command for {self.config.limp_after:g} s")
            elif silence > self.config.hold_after and self.drive is Drive.FOLLOW:
                self.drive, self._goal = Drive.HOLD, within_limits(pose)
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
