"""Looking a bus of motors over before a hand is driven: who is there, set up how, how fast.

Only `cure` writes to motors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel import units
from smm_ros.dclaw.dynamixel.bus import DynamixelBus
from smm_ros.dclaw.dynamixel.bus_errors import BusError, MissingReplyError, PortError
from smm_ros.dclaw.dynamixel.findings import Cure, Finding, Level
from smm_ros.dclaw.dynamixel.motor_sample import BLOCK, BLOCK_SIZE
from smm_ros.dclaw.dynamixel.motors import KEPT_SHUTDOWN, OLDEST_FIRMWARE
from smm_ros.dclaw.dynamixel.registers import Register

USB_SERIAL = Path("/sys/bus/usb-serial/devices")
LATENCY = 1
"""Latency timer that an adapter should have, ms."""
WARM, LOW = 10, 1.0
"""K below the limit and V above it that are worth a warning."""
ROUNDS = 100
"""Group reads that the rate is measured with."""

Found = dict[int, tuple[int, int]]
"""Model number and firmware version by id."""


def search(
    path: str, wanted: Collection[int], report: Callable[[str], None] = lambda text: None
) -> dict[int, Found]:
    """Look for motors at every speed until all that are wanted were found; return who is where.

    Raises:
        PortError: the port can not be opened.
    """
    found: dict[int, Found] = {}
    usual = sorted(reg.BAUD_RATES, key=lambda rate: (rate not in (1_000_000, 57_600), -rate))
    for rate in usual:
        if rate == 4_500_000:
            continue  # the SDK's port does not know it
        with patient_bus(path, rate) as bus:
            here = bus.scan()
        if here:
            report(f"{len(here)} motors at {rate} bit/s")
            found[rate] = here
        if set(wanted) <= {motor for motors in found.values() for motor in motors}:
            break
    return found


def examine_port(path: str) -> Iterator[Finding]:
    """Look at the adapter's latency timer, where it has one."""
    timer = USB_SERIAL / Path(path).resolve().name / "latency_timer"
    if not timer.exists():
        yield Finding(Level.FINE, f"{path} has no latency timer to be set")
        return
    found = int(timer.read_text())
    if found <= LATENCY:
        yield Finding(Level.FINE, f"{path} hands answers over within {found} ms")
        return
    yield Finding(
        Level.ERROR,
        f"the latency timer of {path} is {found} ms: each answer waits that long",
        f"echo {LATENCY} | sudo tee {timer}; for good: the udev rule in docs/hardware.md",
    )


def examine_ids(found: Mapping[int, Found], wanted: Collection[int], rate: int) -> list[Finding]:
    """Look at which motors are there, and at which speed (bit/s)."""
    there = {motor: at for at, motors in found.items() for motor in motors}
    findings = []
    if missing := sorted(set(wanted) - set(there)):
        findings.append(
            Finding(
                Level.ERROR,
                f"no answer of motor {', '.join(map(str, missing))}",
                "check its plug, the power and its id; an id that two motors have answers badly",
            )
        )
    for motor in sorted(set(wanted) & set(there)):
        if there[motor] != rate:
            findings.append(
                Finding(
                    Level.ERROR,
                    f"speaks at {there[motor]} bit/s, not at {rate}",
                    f"set the baud rate to {rate}",
                    (Cure(motor, reg.BAUD_RATE, reg.BAUD_RATES.index(rate)),),
                    motor,
                )
            )
    if others := sorted(set(there) - set(wanted)):
        findings.append(
            Finding(
                Level.WARNING,
                f"motor {', '.join(map(str, others))} is none of this hand",
                "give the hand's motors the ids in its calibration, or unplug the others",
            )
        )
    return findings or [Finding(Level.FINE, f"all {len(set(wanted))} motors are there")]


def examine_duplicates(bus: DynamixelBus, motor: int) -> Iterator[Finding]:
    """Tell whether two motors have one id: they answer at once, into each other's words."""
    before, answers = bus.damaged, 0
    for _ in range(10):
        try:
            bus.ping(motor)
            answers += 1
        except MissingReplyError:
            pass
    if bus.damaged > before and answers < 10:
        yield Finding(
            Level.ERROR,
            "is there twice, or its cable is bad: its answers are damaged",
            "unplug one of the two and give it another id (DYNAMIXEL Wizard)",
            motor=motor,
        )


def examine_motor(bus: DynamixelBus, motor: int, kind: tuple[int, int]) -> list[Finding]:
    """Look at how one motor is set up and how it is; `kind` is its model and firmware."""
    number, firmware = kind
    try:
        model = reg.model_of(number)
    except ValueError as error:
        return [Finding(Level.ERROR, str(error), "use one of these models", motor=motor)]
    findings = []
    if firmware < OLDEST_FIRMWARE:
        findings.append(
            Finding(
                Level.ERROR,
                f"has firmware {firmware}, without a bus watchdog",
                f"update it to {OLDEST_FIRMWARE} or newer (DYNAMIXEL Wizard)",
                motor=motor,
            )
        )
    findings += _settings(bus, motor, model)
    findings += _condition(bus, motor)
    fine = Finding(Level.FINE, f"{model.name}, firmware {firmware}", motor=motor)
    return findings or [fine]


def _settings(bus: DynamixelBus, motor: int, model: reg.Model) -> Iterator[Finding]:
    delay = bus.read(motor, reg.RETURN_DELAY_TIME)
    if delay:
        text = f"answers {delay * units.RETURN_DELAY * 1e6:.0f} us late"
        yield _differs(Level.ERROR, motor, text, reg.RETURN_DELAY_TIME, 0)
    level = bus.read(motor, reg.STATUS_RETURN_LEVEL)
    if level != 2:
        text = "does not acknowledge writes"
        yield _differs(Level.ERROR, motor, text, reg.STATUS_RETURN_LEVEL, 2)
    shutdown = bus.read(motor, reg.SHUTDOWN)
    if shutdown & KEPT_SHUTDOWN != KEPT_SHUTDOWN:
        names = ", ".join(reg.hardware_errors(KEPT_SHUTDOWN & ~shutdown))
        text = f"does not switch off on {names}"
        yield _differs(Level.ERROR, motor, text, reg.SHUTDOWN, shutdown | KEPT_SHUTDOWN)
    for register in (reg.DRIVE_MODE, reg.HOMING_OFFSET):
        if value := bus.read(motor, register):
            text = f"has {register.name} {value}, which calibrations do not know of"
            yield _differs(Level.WARNING, motor, text, register, 0)
    for register in (reg.TEMPERATURE_LIMIT, reg.MAX_VOLTAGE_LIMIT, reg.MIN_VOLTAGE_LIMIT):
        value, usual = bus.read(motor, register), model.default(register)
        if value != usual:
            text = f"has {register.name} {value}, the maker's is {usual}"
            yield _differs(Level.WARNING, motor, text, register, usual)


def _condition(bus: DynamixelBus, motor: int) -> Iterator[Finding]:
    status = bus.read(motor, reg.HARDWARE_ERROR_STATUS)
    if status:
        names = ", ".join(reg.hardware_errors(status))
        yield Finding(
            Level.ERROR,
            f"reports {names}",
            "find out why; then power it off and on",
            motor=motor,
        )
    volts = bus.read(motor, reg.PRESENT_INPUT_VOLTAGE) * units.VOLTAGE
    least = bus.read(motor, reg.MIN_VOLTAGE_LIMIT) * units.VOLTAGE
    if volts < least + LOW:
        text = f"gets {volts:.1f} V and needs {least:.1f}"
        yield Finding(Level.WARNING, text, "check the power supply and its wires", motor=motor)
    celsius, limit = (bus.read(motor, r) for r in (reg.PRESENT_TEMPERATURE, reg.TEMPERATURE_LIMIT))
    if celsius > limit - WARM:
        text = f"is at {celsius} C, its limit is {limit}"
        yield Finding(Level.WARNING, text, "let it cool down", motor=motor)


def _differs(level: Level, motor: int, text: str, register: Register, value: int) -> Finding:
    remedy = f"set {register.name} to {value}"
    return Finding(level, text, remedy, (Cure(motor, register, value),), motor)


def examine_rate(bus: DynamixelBus, ids: Collection[int], rate: float) -> Iterator[Finding]:
    """Measure how often all motors can be read, against the rate (Hz) that is wanted."""
    for fast in (True, False):
        took, missed = [], 0
        for _ in range(ROUNDS):
            started = time.monotonic()
            try:
                bus.sync_read(tuple(ids), BLOCK, BLOCK_SIZE, fast)
            except PortError:
                raise
            except BusError:
                missed += 1
            took.append(time.monotonic() - started)
        name = "fast sync read" if fast else "sync read"
        if missed == ROUNDS and fast:
            yield Finding(Level.FINE, "fast sync reads are not answered: plain ones are used")
            continue
        typical, late = np.percentile(took, [50, 99]) * 1000
        text = f"{name}: {typical:.1f} ms, 99 % within {late:.1f} ms, {missed} of {ROUNDS} failed"
        is_good = late < 900 / rate and missed <= ROUNDS // 100
        yield Finding(
            Level.FINE if is_good else Level.ERROR,
            text,
            "" if is_good else f"{rate:g} Hz can not be kept: cure the above, or a higher speed",
        )
        if is_good:
            return


def examine(
    path: str,
    ids: Collection[int],
    baud_rate: int,
    rate: float,
    report: Callable[[str], None] = lambda text: None,
) -> Iterator[Finding]:
    """Look at everything: the port, who is there, how each is set up, and how fast all are read.

    Raises:
        PortError: the port can not be opened.
    """
    yield from examine_port(path)
    found = search(path, ids, report)
    yield from examine_ids(found, ids, baud_rate)
    for at, motors in found.items():
        with patient_bus(path, at) as bus:
            for motor in sorted(set(motors) & set(ids)):
                yield from examine_motor(bus, motor, motors[motor])
    there = {motor for motors in found.values() for motor in motors}
    with patient_bus(path, baud_rate) as bus:
        for motor in sorted(set(ids) - there):
            yield from examine_duplicates(bus, motor)
        if present := [motor for motor in ids if motor in found.get(baud_rate, {})]:
            yield from examine_rate(bus, present, rate)


def cure(path: str, cures: Collection[Cure]) -> Iterator[Cure]:
    """Set registers of motors, torque off, wherever they are; yield each that was set.

    Raises:
        BusError: a motor does not take or keep a value.
    """
    for at, motors in search(path, {one.motor for one in cures}).items():
        # The speed last: from then on a motor is not heard here.
        chosen = [one for one in cures if one.motor in motors]
        with patient_bus(path, at) as bus:
            for one in sorted(chosen, key=lambda one: one.register is reg.BAUD_RATE):
                bus.sync_write(reg.STATUS_RETURN_LEVEL, {one.motor: 2})
                bus.ensure(one.motor, reg.TORQUE_ENABLE, 0)
                if one.register is reg.BAUD_RATE:
                    bus.write(one.motor, one.register, one.value)
                else:
                    bus.ensure(one.motor, one.register, one.value)
                yield one


@contextmanager
def patient_bus(path: str, rate: int) -> Iterator[DynamixelBus]:
    """Open a bus for the time of a block, with patience for motors that are not tuned."""
    bus = DynamixelBus(path, rate, return_delay=254 * units.RETURN_DELAY)
    try:
        yield bus
    finally:
        bus.close()
