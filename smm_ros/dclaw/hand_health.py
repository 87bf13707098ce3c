"""What a real hand tells of itself: figures, and warnings before its motors give up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel import units
from smm_ros.dclaw.dynamixel.motor_sample import MotorSample
from smm_ros.dclaw.dynamixel.registers import Model
from smm_ros.dclaw.hand import HandHealth
from smm_ros.dclaw.hand_guard import Drive
from smm_ros.dclaw.hand_loop import LoopReport

WARM = 10.0
"""K below the limit at which a motor switches itself off."""
LOW = 1.0
"""V above the least that a motor works with."""


@dataclass(frozen=True)
class HandReport:
    """The state of a real hand and of its loop."""

    drive: Drive
    fault: str
    is_held: bool
    """Whether the fault waits for a person."""
    recovered: int
    """Recoveries so far."""
    loop: LoopReport
    missed: dict[int, int]
    """Cycles so far in which a motor was the first that did not answer, by its id."""
    damaged: int
    """Packets with a wrong CRC so far."""
    ids: tuple[int, ...]
    models: Sequence[Model]
    sample: MotorSample | None
    """The newest measurement, in the order of ids."""

    def health(self) -> HandHealth:
        """Return it as figures and warnings."""
        periods = self.loop.periods
        values: dict[str, int | float | str] = {
            "drive": self.drive.value,
            "bus rate (Hz)": periods.rate_hz,
            "bus period median (s)": periods.median,
            "bus period p99 (s)": periods.p99,
            "bus period longest (s)": periods.longest,
            "bus cycles": self.loop.cycles,
            "bus overruns": self.loop.overruns,
            "real-time priority": str(self.loop.is_real_time),
            "damaged packets": self.damaged,
            "recoveries": self.recovered,
        }
        values |= {f"missed: motor {motor}": count for motor, count in self.missed.items()}
        if self.sample is not None:
            values |= {
                "highest temperature (C)": float(self.sample.temperature.max()),
                "lowest voltage (V)": float(self.sample.voltage.min()),
                "highest current (A)": float(abs(self.sample.current).max()),
            }
        return HandHealth(values, tuple(self._warnings()))

    def _warnings(self) -> list[str]:
        found: list[str] = []
        if self.sample is None:
            return found
        limit = float(reg.TEMPERATURE_LIMIT.default)
        for i, (motor, model) in enumerate(zip(self.ids, self.models, strict=True)):
            celsius, volts = self.sample.temperature[i], self.sample.voltage[i]
            least = model.min_voltage * units.VOLTAGE
            if celsius >= limit - WARM:
                found.append(f"motor {motor} is at {celsius:.0f} C, its limit is {limit:.0f}")
            if volts <= least + LOW:
                found.append(f"motor {motor} gets {volts:.1f} V, it needs {least:.1f}")
        return found
