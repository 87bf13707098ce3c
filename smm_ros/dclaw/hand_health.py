"""What a real hand tells of itself: figures, and warnings before its motors give up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel import units
from smm_ros.dclaw.dynamixel.findings import LOW, WARM
from smm_ros.dclaw.dynamixel.motor_sample import Array, MotorSample
from smm_ros.dclaw.dynamixel.motors import MotorGroup
from smm_ros.dclaw.hand import HandHealth
from smm_ros.dclaw.hand_guard import Drive
from smm_ros.dclaw.hand_loop import LoopReport


@dataclass(frozen=True)
class Limits:
    """At what each motor switches itself off, in the order of ids; (N,) each."""

    temperature: Array
    """Highest, degrees Celsius."""
    voltage: Array
    """Lowest, V."""

    def warnings(self, ids: Sequence[int], sample: MotorSample) -> Iterator[str]:
        """Name the motors that come near."""
        for i, motor in enumerate(ids):
            celsius, volts = sample.temperature[i], sample.voltage[i]
            if celsius >= self.temperature[i] - WARM:
                limit = self.temperature[i]
                yield f"motor {motor} is at {celsius:.0f} C, its limit is {limit:.0f}"
            if volts <= self.voltage[i] + LOW:
                yield f"motor {motor} gets {volts:.1f} V, it needs {self.voltage[i]:.1f}"


def read_limits(group: MotorGroup) -> Limits:
    """Ask all motors; raises BusError."""
    celsius = [group.bus.read(motor, reg.TEMPERATURE_LIMIT) for motor in group.ids]
    volts = [group.bus.read(motor, reg.MIN_VOLTAGE_LIMIT) for motor in group.ids]
    return Limits(np.array(celsius, float), np.array(volts) * units.VOLTAGE)


@dataclass(frozen=True)
class HandReport:
    """The state of a real hand and of its loop."""

    drive: Drive
    limp_because: str
    """Why the hand let go, if it was by itself."""
    fault: str
    is_held: bool
    """Whether the fault waits for a person."""
    torque_unsure: str
    """Why torque may be on though it was switched off."""
    recovered: int
    """Recoveries so far."""
    loop: LoopReport
    missed: dict[int, int]
    """Cycles so far in which a motor was the first that did not answer, by its id."""
    damaged: int
    """Packets with a wrong CRC so far."""
    ids: tuple[int, ...]
    limits: Limits
    sample: MotorSample | None
    """The newest measurement, in the order of ids."""

    def health(self, oldest: float) -> HandHealth:
        """Return it as figures and warnings; of measurements only what is no older (s)."""
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
        sample = self.sample
        if sample is None or sample.stamp < oldest:
            return HandHealth(values, tuple(self._warnings()))
        values |= {
            "torque": f"{int(sample.torque_on.sum())} of {len(self.ids)} motors",
            "highest temperature (C)": float(sample.temperature.max()),
            "lowest voltage (V)": float(sample.voltage.min()),
            "highest current (A)": float(abs(sample.current).max()),
        }
        return HandHealth(values, (*self._warnings(), *self.limits.warnings(self.ids, sample)))

    def _warnings(self) -> list[str]:
        found = []
        if self.torque_unsure:
            found.append(f"torque may be on: {self.torque_unsure}")
        if self.drive is Drive.LIMP and self.limp_because and not self.fault:
            found.append(f"limp: {self.limp_because}; a reset takes the hand up again")
        return found
