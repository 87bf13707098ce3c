"""One measurement of all motors, and how it comes out of their registers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel import units
from smm_ros.dclaw.dynamixel.bus_errors import BusError
from smm_ros.dclaw.dynamixel.registers import Model

Array = NDArray[np.float64]

_SAMPLED = (
    reg.TORQUE_ENABLE,
    reg.HARDWARE_ERROR_STATUS,
    reg.BUS_WATCHDOG,
    reg.REALTIME_TICK,
    reg.PRESENT_CURRENT,
    reg.PRESENT_VELOCITY,
    reg.PRESENT_POSITION,
    reg.PRESENT_INPUT_VOLTAGE,
    reg.PRESENT_TEMPERATURE,
)
"""Gathered in the indirect data, so that one transaction reads them all."""
_DTYPE = np.dtype([(r.name, f"<{'i' if r.signed else 'u'}{r.size}") for r in _SAMPLED])
_ADDRESSES = [address for r in _SAMPLED for address in range(r.address, r.end)]

POINTERS = {
    pointer: address for (pointer, _), address in zip(reg.INDIRECT, _ADDRESSES, strict=False)
}
"""What the indirect addresses must hold."""
BLOCK, BLOCK_SIZE = reg.INDIRECT[0][1].address, _DTYPE.itemsize
"""Where the gathered bytes begin, and how many they are."""


@dataclass(frozen=True)
class MotorSample:
    """One measurement of all motors, in the order of their ids; (N,) each."""

    asked: float
    """When the motors were asked, s of time.monotonic()."""
    stamp: float
    """When the last answer was there, s of the same."""
    torque_on: NDArray[np.bool_]
    errors: NDArray[np.uint8]
    """Hardware error status; `registers.hardware_errors` names them."""
    tripped: NDArray[np.bool_]
    """Whether the motor's bus watchdog has stopped it."""
    clock: Array
    """The motor's own time, s from 0 to units.TICK_PERIOD."""
    current: Array
    """A."""
    velocity: Array
    """rad/s."""
    position: Array
    """rad, of the motor."""
    voltage: Array
    """V."""
    temperature: Array
    """Degrees Celsius."""


def decode(
    parts: Sequence[bytes], models: Sequence[Model], asked: float, stamp: float
) -> MotorSample:
    """Return the measurement that the gathered bytes of each motor are."""
    raw = np.frombuffer(b"".join(parts), _DTYPE)
    unit = np.array([model.current_unit for model in models])
    return MotorSample(
        asked=asked,
        stamp=stamp,
        torque_on=raw[reg.TORQUE_ENABLE.name] != 0,
        errors=raw[reg.HARDWARE_ERROR_STATUS.name].copy(),
        tripped=raw[reg.BUS_WATCHDOG.name] < 0,
        clock=raw[reg.REALTIME_TICK.name] * units.TICK,
        current=raw[reg.PRESENT_CURRENT.name] * unit,
        velocity=raw[reg.PRESENT_VELOCITY.name] * units.VELOCITY,
        position=raw[reg.PRESENT_POSITION.name] * units.POSITION,
        voltage=raw[reg.PRESENT_INPUT_VOLTAGE.name] * units.VOLTAGE,
        temperature=raw[reg.PRESENT_TEMPERATURE.name].astype(np.float64),
    )


class RestartedError(BusError):
    """A motor has started anew by itself: what was set up is lost, torque is off."""

    def __init__(self, motors: Iterable[int]) -> None:
        """Name the motors."""
        self.motors = tuple(motors)
        ids = ", ".join(map(str, self.motors))
        super().__init__(f"motor {ids} started anew by itself: check its supply and its plug")


class StaleError(BusError):
    """A motor answers, but with what it measured before it was asked."""

    def __init__(self, motors: Iterable[int]) -> None:
        """Name the motors."""
        self.motors = tuple(motors)
        super().__init__(f"motor {', '.join(map(str, self.motors))} measures nothing new")
