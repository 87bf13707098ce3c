"""The settings of a real hand."""

from __future__ import annotations

from dataclasses import dataclass, field

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
        # A cycle without an answer takes a little longer than its period.
        if self.motors.watchdog < 3 / self.rate:
            raise ValueError(
                f"the motors' watchdog is {self.motors.watchdog} s, expected at least three "
                f"cycles of the bus, {3 / self.rate:g} s"
            )
