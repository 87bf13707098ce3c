"""Getting a motor back that switched itself off: by itself, but not for ever."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.bus_errors import BusError
from smm_ros.dclaw.dynamixel.motors import MotorGroup
from smm_ros.dclaw.hand_fault import Trouble

HOUR = 3600.0
BOOT_TIME = 0.5
"""After a reboot a motor is left alone for so long, s."""
LONGEST_ABSENCE = 1.0
"""A motor that was away for longer was taken away by somebody: a plug, a switch; s."""

SELF_HEALING = 1 << reg.OVERLOAD_BIT
"""Errors that a reboot is the cure of; any other is for a person to look at."""


@dataclass(frozen=True)
class RecoveryConfig:
    """How often and how soon."""

    per_hour: int = 12
    """Recoveries within an hour; then the hand waits for a person."""
    rest: float = 2.0
    """Time that an overloaded motor is left limp before it is started anew, s."""

    def __post_init__(self) -> None:
        """Check the values."""
        if not 0 <= self.per_hour <= 1000:
            raise ValueError(f"per_hour is {self.per_hour}, expected 0 to 1000")
        if not 0 <= self.rest < math.inf:
            raise ValueError(f"rest is {self.rest}, expected a time in s")


class Pause(NamedTuple):
    """Between two steps of a recovery."""

    seconds: float
    all_answer: bool
    """Whether all motors can be measured meanwhile."""


class Recovery:
    """Recovers motors step by step, and keeps count. Torque stays off throughout."""

    def __init__(self, config: RecoveryConfig | None = None) -> None:
        self.config = config or RecoveryConfig()
        self.count = 0
        """Recoveries so far that went well."""
        self._begun: deque[float] = deque()

    def refusal(self, trouble: Trouble, now: float) -> str:
        """Say why the hand waits for a person; empty where it recovers by itself.

        `now` is in s of a clock that only goes forward.
        """
        for motor, status in trouble.errors.items():
            if status & ~SELF_HEALING:
                names = ", ".join(reg.hardware_errors(status & ~SELF_HEALING))
                return f"motor {motor} reports {names}: look at it, then clear the stop"
        # Whoever used the power switch, or pulled a plug, did not mean the hand to go on as soon
        # as he undoes it: his own hand may be in there.
        if len(trouble.restarted) > 1 or trouble.absence > LONGEST_ABSENCE:
            return "as after the power switch or a plug: look at the hand, then clear the stop"
        while self._begun and now - self._begun[0] > HOUR:
            self._begun.popleft()
        if len(self._begun) >= self.config.per_hour:
            return (
                f"{len(self._begun)} recoveries within an hour: something is wrong with the hand "
                "or its task; look at it, then clear the stop"
            )
        return ""

    def forgive(self) -> None:
        """Forget the recoveries so far: a person has looked."""
        self._begun.clear()

    def steps(self, group: MotorGroup, trouble: Trouble, now: float) -> Iterator[Pause]:
        """Set up again what has failed; start motors with hardware errors anew before.

        Raises:
            BusError: it did not work.
        """
        errors = trouble.errors
        self._begun.append(now)
        yield Pause(self.config.rest if errors else 0.0, all_answer=True)
        for motor in errors:
            group.bus.reboot(motor)
        yield Pause(BOOT_TIME if errors else 0.0, all_answer=False)
        group.configure(sorted({*trouble.failed, *errors}))
        for motor in errors:
            status = group.bus.read(motor, reg.HARDWARE_ERROR_STATUS)
            if status:
                names = ", ".join(reg.hardware_errors(status))
                raise BusError(f"motor {motor} still reports {names} after it was started anew")
        self.count += 1
