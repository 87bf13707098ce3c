"""The settings of a real hand."""

from __future__ import annotations

from dataclasses import dataclass, field

from smm_ros.dclaw.dynamixel.bus import longest_silence
from smm_ros.dclaw.dynamixel.motors import MotorSettings
from smm_ros.dclaw.hand_guard import GuardConfig
from smm_ros.dclaw.recovery import RecoveryConfig


@dataclass(frozen=True)
class DynamixelConfig:
    """Where the hand is and how it is driven."""

    port: str
    """Serial port, such as /dev/ttyUSB0."""
    baud_rate: int = 1_000_000
    """bit/s."""
    rate: float = 100.0
    """Cycles of the bus, Hz."""
    margin: float = 0.003
    """Time beyond that on the wire that all motors may take to answer, s."""
    motors: MotorSettings = field(default_factory=MotorSettings)
    guard: GuardConfig = field(default_factory=GuardConfig)
    recovery: RecoveryConfig = field(default_factory=RecoveryConfig)

    def __post_init__(self) -> None:
        """Check the values."""
        if not 10 <= self.rate <= 500:
            raise ValueError(f"rate is {self.rate}, expected 10 to 500 Hz")
        if not self.margin <= self.guard.blind_for / 2:
            raise ValueError(
                f"margin is {self.margin} s, expected at most half of blind_for, "
                f"{self.guard.blind_for / 2:g} s"
            )
        # A cycle without an answer takes a little longer than its period.
        longest = max(3 / self.rate, longest_silence(self.margin))
        if self.motors.watchdog < longest:
            raise ValueError(
                f"the motors' watchdog is {self.motors.watchdog} s, expected at least "
                f"{longest:.3g} s, for which the bus can be silent"
            )
