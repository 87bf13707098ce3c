"""Looking one motor over: how it is set up, and how it is. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel import units
from smm_ros.dclaw.dynamixel.bus import DynamixelBus
from smm_ros.dclaw.dynamixel.bus_errors import BusError, PortError, RefusedError
from smm_ros.dclaw.dynamixel.findings import LOW, WARM, Cure, Finding, Level
from smm_ros.dclaw.dynamixel.motors import KEPT_SHUTDOWN, OLDEST_FIRMWARE, MotorSettings
from smm_ros.dclaw.dynamixel.registers import Model, Register

Values = Mapping[Register, int]
"""What was read; a register that could not be read is missing."""

WEAK = 0.5
"""Share of the maker's limits below which a motor is too weak or too slow for the hand."""
LEAST_CURRENT = 0.1
"""Current below which the motors do not move the fingers, A."""

_KEPT: tuple[tuple[Register, int, Level, str], ...] = (
    (reg.RETURN_DELAY_TIME, 0, Level.ERROR, "waits {us:.0f} us before it answers"),
    (reg.STATUS_RETURN_LEVEL, 2, Level.ERROR, "does not acknowledge writes"),
    (reg.SECONDARY_ID, 255, Level.ERROR, "obeys what is sent to motor {}, too"),
    (reg.STARTUP_CONFIGURATION, 0, Level.ERROR, "may switch torque on by itself at power-up"),
    (reg.TORQUE_ENABLE, 0, Level.WARNING, "has its torque on: a driver was killed, perhaps"),
    (reg.DRIVE_MODE, 0, Level.WARNING, "has drive_mode {}, which calibrations do not know of"),
    (reg.HOMING_OFFSET, 0, Level.WARNING, "has homing_offset {}, which calibrations do not know"),
)
"""What registers must hold, how bad it is where they do not, and what it means."""

_VOLTAGE_LIMITS = (reg.MAX_VOLTAGE_LIMIT, reg.MIN_VOLTAGE_LIMIT)
_STRENGTHS = (reg.PWM_LIMIT, reg.VELOCITY_LIMIT)

EXAMINED = (
    *(register for register, *_ in _KEPT),
    reg.SHUTDOWN,
    reg.TEMPERATURE_LIMIT,
    *_VOLTAGE_LIMITS,
    *_STRENGTHS,
    reg.CURRENT_LIMIT,
    reg.HARDWARE_ERROR_STATUS,
    reg.PRESENT_INPUT_VOLTAGE,
    reg.PRESENT_TEMPERATURE,
)


def examine_motor(bus: DynamixelBus, motor: int, kind: tuple[int, int]) -> list[Finding]:
    """Look at how one motor is set up and how it is; `kind` is its model and firmware.

    Registers that it does not tell are a finding of their own, beside what the others tell.

    Raises:
        PortError: the port is gone.
    """
    number, firmware = kind
    try:
        model = reg.model_of(number)
    except ValueError as error:
        return [Finding(Level.ERROR, str(error), "use one of these models", motor=motor)]
    findings = [Finding(Level.FINE, f"{model.name}, firmware {firmware}", motor=motor)]
    if firmware < OLDEST_FIRMWARE:
        text = f"has firmware {firmware}, without a bus watchdog"
        remedy = f"update it to {OLDEST_FIRMWARE} or newer (DYNAMIXEL Wizard)"
        findings.append(Finding(Level.ERROR, text, remedy, motor=motor))
    values, failures = _read(bus, motor)
    findings += [*failures, *check_settings(motor, model, values)]
    return [*findings, *check_condition(motor, values)]


def _read(bus: DynamixelBus, motor: int) -> tuple[Values, list[Finding]]:
    values, findings, silent = {}, [], 0
    for register in EXAMINED:
        try:
            values[register] = bus.read(motor, register)
        except PortError:
            raise
        except RefusedError:
            text = f"does not let {register.name} be read"
            findings.append(Finding(Level.ERROR, text, "update its firmware", motor=motor))
        except BusError:
            silent += 1
    if silent:
        text = f"left {silent} of {len(EXAMINED)} questions without an answer"
        remedy = "check its plug, its cable and the power supply"
        findings.append(Finding(Level.ERROR, text, remedy, motor=motor))
    return values, findings


def check_settings(motor: int, model: Model, values: Values) -> Iterator[Finding]:
    """Tell which registers hold something that the hand can not, or not well, be driven with."""
    for register, value, level, text in _KEPT:
        found = values.get(register, value)
        if found != value:
            text = text.format(found, us=found * units.RETURN_DELAY * 1e6)
            yield _differs(level, motor, text, register, value)
    shutdown = values.get(reg.SHUTDOWN, KEPT_SHUTDOWN)
    if unwatched := KEPT_SHUTDOWN & ~shutdown:
        names = ", ".join(reg.hardware_errors(unwatched))
        text = f"does not switch off on {names}"
        yield _differs(Level.ERROR, motor, text, reg.SHUTDOWN, shutdown | KEPT_SHUTDOWN)
    yield from _limits(motor, model, values)


def _limits(motor: int, model: Model, values: Values) -> Iterator[Finding]:
    for register in (reg.TEMPERATURE_LIMIT, *_VOLTAGE_LIMITS, *_STRENGTHS):
        usual = model.default(register)
        found = values.get(register, usual)
        is_wrong = {
            reg.TEMPERATURE_LIMIT: found > usual,
            reg.PWM_LIMIT: found < WEAK * usual,
            reg.VELOCITY_LIMIT: found < WEAK * usual,
        }.get(register, found != usual)
        if is_wrong:
            text = f"has {register.name} {found}, the maker's is {usual}"
            yield _differs(Level.WARNING, motor, text, register, usual)
    unit = model.current_unit
    current = values.get(reg.CURRENT_LIMIT, model.current_limit) * unit
    if current < LEAST_CURRENT:
        text = f"has a current_limit of {current:.2f} A, too little to move a finger"
        usual = min(round(MotorSettings().current / unit), model.current_limit)
        yield _differs(Level.WARNING, motor, text, reg.CURRENT_LIMIT, usual)


def check_condition(motor: int, values: Values) -> Iterator[Finding]:
    """Tell what is wrong with a motor at present: errors, voltage, temperature."""
    if status := values.get(reg.HARDWARE_ERROR_STATUS, 0):
        names = ", ".join(reg.hardware_errors(status))
        remedy = "find out why; then switch the power off and on"
        yield Finding(Level.ERROR, f"reports {names}", remedy, motor=motor)
    if {reg.PRESENT_INPUT_VOLTAGE, *_VOLTAGE_LIMITS} <= values.keys():
        volts, most, least = (
            values[register] * units.VOLTAGE
            for register in (reg.PRESENT_INPUT_VOLTAGE, *_VOLTAGE_LIMITS)
        )
        if not least + LOW < volts <= most:
            text = f"gets {volts:.1f} V, its limits are {least:.1f} and {most:.1f}"
            remedy = "check the power supply and its wires"
            yield Finding(Level.WARNING, text, remedy, motor=motor)
    if {reg.PRESENT_TEMPERATURE, reg.TEMPERATURE_LIMIT} <= values.keys():
        celsius, limit = values[reg.PRESENT_TEMPERATURE], values[reg.TEMPERATURE_LIMIT]
        if celsius >= limit - WARM:
            text = f"is at {celsius} C, its limit is {limit}"
            yield Finding(Level.WARNING, text, "let it cool down", motor=motor)


def _differs(level: Level, motor: int, text: str, register: Register, value: int) -> Finding:
    remedy = f"set {register.name} to {value}"
    return Finding(level, text, remedy, (Cure(motor, register, value),), motor)
