"""Writing to motors what they should hold: with torque off, and read back."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.bus_errors import BusError, MissingReplyError, PortError
from smm_ros.dclaw.dynamixel.census import Census
from smm_ros.dclaw.dynamixel.duplicates import examine_id
from smm_ros.dclaw.dynamixel.findings import Cure
from smm_ros.dclaw.dynamixel.patient_bus import PatientBus


def cure(path: str, census: Census, cures: Collection[Cure]) -> Iterator[tuple[Cure, str]]:
    """Set registers of motors, wherever they were found; yield each, with what went wrong or "".

    Torque goes off in all these motors before anything else. A motor that does not take a value
    does not keep the others from theirs.

    Raises:
        PortError: the port can not be opened, or is gone.
    """
    ill = {one.motor for one in cures}
    for at, motors in census.at.items():
        if here := ill & motors.keys():
            with PatientBus(path, at) as bus:
                bus.sync_write(reg.TORQUE_ENABLE, dict.fromkeys(here, 0))
    for at, motors in census.at.items():
        # The speed last: from then on a motor is not heard here.
        chosen = [one for one in cures if one.motor in motors]
        with PatientBus(path, at) as bus:
            for one in sorted(chosen, key=lambda one: one.register is reg.BAUD_RATE):
                try:
                    _set(bus, one)
                except PortError:
                    raise
                except BusError as error:
                    yield one, str(error)
                else:
                    yield one, ""


def _set(bus: PatientBus, one: Cure) -> None:
    switch_off(bus, one.motor)
    if one.register is reg.BAUD_RATE:
        _write_unheard(bus, one.motor, one.register, one.value)
    else:
        bus.ensure(one.motor, one.register, one.value)


def switch_off(bus: PatientBus, motor: int) -> None:
    """Switch a motor's torque off, whatever it acknowledges, and read it back; raises BusError."""
    bus.sync_write(reg.STATUS_RETURN_LEVEL, {motor: 2})
    bus.sync_write(reg.TORQUE_ENABLE, {motor: 0})
    bus.ensure(motor, reg.TORQUE_ENABLE, 0)


def set_id(path: str, census: Census, old: int, new: int) -> None:
    """Give the one motor that has an id another one.

    Raises:
        BusError: there is none or more than one with the old id, or one with the new.
    """
    _check_ids(census, old, new)
    with PatientBus(path, census.speeds(old)[0]) as bus:
        if odd := examine_id(bus, old):
            raise BusError(f"motor {old} {odd.text}; {odd.remedy}")
        switch_off(bus, old)
        _write_unheard(bus, old, reg.ID, new)
        bus.ping(new)


def _check_ids(census: Census, old: int, new: int) -> None:
    there = ", ".join(map(str, sorted(census.ids))) or "none"
    if old in census.damaged or len(census.speeds(old)) > 1:
        raise BusError(f"two motors have this id, {old}: unplug one of them first")
    if old not in census.ids:
        raise BusError(f"there is no motor {old}; there are {there}")
    if new in census.ids | set(census.damaged):
        raise BusError(f"there is a motor {new} already: choose an id that is not among {there}")


def _write_unheard(bus: PatientBus, motor: int, register: reg.Register, value: int) -> None:
    """Write what changes how a motor answers: its answer need not be heard any more."""
    with contextlib.suppress(MissingReplyError):
        bus.write(motor, register, value)
