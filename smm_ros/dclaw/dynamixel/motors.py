"""The motors of one hand as a group: checked, set up and verified, driven. SI outside."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel import units
from smm_ros.dclaw.dynamixel.bus import DynamixelBus
from smm_ros.dclaw.dynamixel.bus_errors import BusError, MissingReplyError
from smm_ros.dclaw.dynamixel.motor_clocks import MotorClocks
from smm_ros.dclaw.dynamixel.motor_sample import (
    BLOCK,
    BLOCK_SIZE,
    POINTERS,
    MotorSample,
    StaleError,
    decode,
)
from smm_ros.dclaw.dynamixel.registers import Mode, Model, Register

OLDEST_FIRMWARE = 38
"""The first that has a bus watchdog."""

KEPT_SHUTDOWN = 1 << reg.OVERLOAD_BIT | 1 << reg.SHOCK_BIT | 1 << reg.OVERHEATING_BIT
"""Errors that must switch torque off."""


@dataclass(frozen=True)
class MotorSettings:
    """How motors are driven: current-based position control (mode 5)."""

    current: float = 0.5
    """Cap of the motors' current, A; never more than the model allows."""
    watchdog: float = 0.1
    """The motors stop by themselves when the bus is silent for so long, s; steps of 0.02."""
    profile_velocity: float = 8.0
    """Bound on their speed, which they keep by themselves, rad/s; 0 is none."""
    profile_acceleration: float = 0.0
    """Bound on their acceleration, rad/s^2; 0 is none."""

    def __post_init__(self) -> None:
        """Check the values."""
        _require("current", self.current, 0.01, 3.5)
        _require("watchdog", self.watchdog, units.WATCHDOG, 127 * units.WATCHDOG)
        _require("profile_velocity", self.profile_velocity, 0.0, 700.0)
        _require("profile_acceleration", self.profile_acceleration, 0.0, 12_000.0)


class MotorGroup:
    """Motors on one bus. Every method raises BusError."""

    def __init__(
        self,
        bus: DynamixelBus,
        ids: Sequence[int],
        settings: MotorSettings | None = None,
        fast: bool | None = None,
    ) -> None:
        """Prepare a group; `fast` is whether fast sync reads are used, None: where answered."""
        self.bus, self.ids = bus, tuple(ids)
        self.settings = settings or MotorSettings()
        self.fast = fast
        self.models: tuple[Model, ...] = ()
        """Of each motor, after `check`."""
        self._clocks = MotorClocks()

    # Setting up.

    def check(self) -> None:
        """Find all motors and learn what they are.

        Raises:
            MissingReplyError: naming all that do not answer.
            BusError: a model, a firmware or an adapter that can not be used.
        """
        latency = self.bus.latency
        if latency is not None and latency > self.bus.margin:
            raise BusError(
                f"the latency timer of {self.bus.path} is {1000 * latency:.0f} ms, "
                f"expected at most the margin of {1000 * self.bus.margin:.0f} ms: answers would "
                "come too late; set it to 1 ms, as docs/hardware.md says"
            )
        self.bus.return_delay = 254 * units.RETURN_DELAY  # whatever they were left at
        found, missing = {}, []
        for motor in self.ids:
            try:
                found[motor] = self.bus.ping(motor)
            except MissingReplyError:
                missing.append(motor)
        if missing:
            raise MissingReplyError(missing, {}, 0, self.bus.margin)
        models = []
        for motor, (number, firmware) in found.items():
            try:
                models.append(reg.model_of(number))
            except ValueError as error:
                raise BusError(f"motor {motor}: {error}") from error
            if firmware < OLDEST_FIRMWARE:
                raise BusError(
                    f"motor {motor} has firmware {firmware}, expected {OLDEST_FIRMWARE} or newer, "
                    "which has a bus watchdog: update it with DYNAMIXEL Wizard"
                )
        self.models = tuple(models)

    def configure(self, motors: Iterable[int] | None = None) -> list[str]:
        """Switch torque off and set up motors, all unless named; everything is read back.

        The EEPROM is written only where it differs. Returns what was changed there, for good.
        """
        chosen = self.ids if motors is None else tuple(motors)
        self.bus.sync_write(reg.STATUS_RETURN_LEVEL, dict.fromkeys(chosen, 2))
        self.bus.sync_write(reg.TORQUE_ENABLE, dict.fromkeys(chosen, 0))
        changed: dict[str, list[int]] = {}
        for motor in chosen:
            for register, value in self._wanted(motor).items():
                if self.bus.ensure(motor, register, value) and register.is_eeprom:
                    changed.setdefault(f"{register.name} {value}", []).append(motor)
        if motors is None:
            self.bus.return_delay = 0.0
            self.fast = self._answers_fast() if self.fast is None else self.fast
        self._clocks.forget()
        return [f"motor {', '.join(map(str, ids))}: {what}" for what, ids in changed.items()]

    def _wanted(self, motor: int) -> dict[Register, int]:
        """Return what registers of a motor must hold, in the order in which they are written."""
        model, settings = self._model(motor), self.settings
        shutdown = self.bus.read(motor, reg.SHUTDOWN) | KEPT_SHUTDOWN
        cap = min(round(settings.current / model.current_unit), model.current_limit)
        velocity = math.ceil(settings.profile_velocity / units.VELOCITY)
        acceleration = math.ceil(settings.profile_acceleration / units.ACCELERATION)
        return {
            reg.TORQUE_ENABLE: 0,
            reg.BUS_WATCHDOG: 0,
            reg.RETURN_DELAY_TIME: 0,
            reg.DRIVE_MODE: 0,
            reg.OPERATING_MODE: Mode.CURRENT_BASED_POSITION,
            reg.HOMING_OFFSET: 0,
            reg.SECONDARY_ID: 255,
            reg.STARTUP_CONFIGURATION: 0,
            reg.SHUTDOWN: shutdown,
            # In the EEPROM too: after a restart the goal is the limit.
            reg.CURRENT_LIMIT: cap,
            reg.GOAL_CURRENT: cap,
            reg.GOAL_PWM: self.bus.read(motor, reg.PWM_LIMIT),
            reg.PROFILE_VELOCITY: velocity,
            reg.PROFILE_ACCELERATION: acceleration,
            reg.POSITION_P_GAIN: model.position_p_gain,
            reg.POSITION_I_GAIN: 0,
            reg.POSITION_D_GAIN: 0,
            reg.FEEDFORWARD_1ST_GAIN: 0,
            reg.FEEDFORWARD_2ND_GAIN: 0,
            **POINTERS,
        }

    def _answers_fast(self) -> bool:
        """Return whether all answer to a fast sync read; older firmware does not."""
        try:
            self.bus.sync_read(self.ids, BLOCK, BLOCK_SIZE, fast=True)
        except MissingReplyError:
            return False
        return True

    def _model(self, motor: int) -> Model:
        return self.models[self.ids.index(motor)]

    # Torque.

    def torque_on(self, motors: Iterable[int]) -> None:
        """Switch motors on where they are, their watchdogs armed.

        Goals are set to the present positions first, and verified: a motor would jump to an old
        one.
        """
        chosen = tuple(motors)
        for motor in chosen:
            here = self.bus.read(motor, reg.PRESENT_POSITION)
            self.bus.write(motor, reg.GOAL_POSITION, here)  # whatever it is said to hold
            self.bus.ensure(motor, reg.GOAL_POSITION, here)
        for motor in chosen:
            self.bus.ensure(motor, reg.TORQUE_ENABLE, 1)
            self.bus.ensure(motor, reg.BUS_WATCHDOG, self._watchdog_steps())

    def torque_off(self, motors: Iterable[int] | None = None) -> None:
        """Switch motors off, all unless named, and verify it.

        Raises:
            BusError: a motor does not answer, or holds its torque; the others are off.
        """
        chosen = self.ids if motors is None else tuple(motors)
        # At once for all, and first of all: what may fail comes after it.
        self.bus.sync_write(reg.TORQUE_ENABLE, dict.fromkeys(chosen, 0))
        unsure = self._holding(chosen)
        if unsure:  # what was said may have been lost, or an answer, or it was another's fault
            self.bus.sync_write(reg.TORQUE_ENABLE, dict.fromkeys(unsure, 0))
            unsure = self._holding(unsure)
        if unsure:
            raise BusError(f"motor {', '.join(map(str, unsure))} does not say that torque is off")

    def _holding(self, motors: Sequence[int]) -> list[int]:
        """Return those of some motors that hold torque, or do not answer."""
        register, left = reg.TORQUE_ENABLE, list(motors)
        silent: list[int] = []
        while left:
            try:
                told = self.bus.sync_read(left, register.address, register.size)
            except MissingReplyError as error:
                # Those behind a silent motor are silent with it: ask the others without it.
                silent.append(error.missing[0])
                left.remove(error.missing[0])
                continue
            return silent + [motor for motor in left if told[motor] != b"\0"]
        return silent

    def _watchdog_steps(self) -> int:
        return max(1, min(127, round(self.settings.watchdog / units.WATCHDOG)))

    # Every cycle.

    def sample(self) -> MotorSample:
        """Measure all motors in one transaction.

        Raises:
            MissingReplyError, RestartedError, StaleError: there is no measurement of all.
        """
        told = self.bus.sync_read(self.ids, BLOCK, BLOCK_SIZE, bool(self.fast))
        parts = [told[motor] for motor in self.ids]
        sample = decode(parts, self.models, self.bus.asked, time.monotonic())
        try:
            self._clocks.check(sample, self.ids)
        except StaleError:
            self.bus.doubt()
            raise
        return sample

    def drive(self, positions: Mapping[int, float]) -> None:
        """Send goals (rad, of the motor) to some motors in one transaction.

        Raises:
            ValueError: a goal is not finite; nothing was sent.
        """
        for motor, position in positions.items():
            if not math.isfinite(position):
                raise ValueError(f"goal of motor {motor} is {position}, expected a finite angle")
        goals = {motor: round(angle / units.POSITION) for motor, angle in positions.items()}
        self.bus.sync_write(reg.GOAL_POSITION, goals)


def _require(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}, expected {low} to {high}")
