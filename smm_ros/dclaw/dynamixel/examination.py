"""Looking a bus of motors over before a hand is driven: who is there, set up how, how fast.

Nothing is written to motors.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator

import numpy as np

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.bus import BITS_PER_BYTE
from smm_ros.dclaw.dynamixel.bus_errors import BusError, PortError
from smm_ros.dclaw.dynamixel.census import Census
from smm_ros.dclaw.dynamixel.duplicates import examine_id, twice
from smm_ros.dclaw.dynamixel.findings import Cure, Finding, Level
from smm_ros.dclaw.dynamixel.motor_check import examine_motor
from smm_ros.dclaw.dynamixel.motor_sample import BLOCK, BLOCK_SIZE
from smm_ros.dclaw.dynamixel.patient_bus import PatientBus
from smm_ros.dclaw.dynamixel.serial_port import latency_file, latency_timer

LATENCY = 0.001
"""Latency timer that an adapter should have, s."""
ROUNDS = 100
"""Group reads that the rate is measured with."""
MISSED = 0.01
"""Share of them that may fail."""
FULL = 0.9
"""Share of the period that a cycle of the bus may take."""


def examine_port(path: str) -> Finding:
    """Look at the adapter's latency timer, where it has one."""
    found = latency_timer(path)
    if found is None:
        return Finding(Level.FINE, f"{path} has no latency timer to be set")
    if found <= LATENCY:
        return Finding(Level.FINE, f"{path} hands answers over within {1000 * found:.0f} ms")
    return Finding(
        Level.ERROR,
        f"the latency timer of {path} is {1000 * found:.0f} ms: answers may wait that long",
        f"echo {1000 * LATENCY:.0f} | sudo tee {latency_file(path)}; "
        "for good: the udev rule in docs/hardware.md",
    )


def examine_ids(census: Census, wanted: Collection[int], rate: int) -> Iterator[Finding]:
    """Look at which motors are there, and at which speed (bit/s)."""
    if not census.ids and not census.damaged:
        yield Finding(
            Level.ERROR,
            "no motor answers, at any speed",
            "switch the motors' power on; check the cable from the adapter to the first motor",
        )
        return
    missing = sorted(set(wanted) - census.ids - set(census.damaged))
    if missing:
        text = f"no answer of motor {_named(missing)}"
        plug = "its plug" if len(missing) == 1 else "their plugs, that of the first one above all"
        yield Finding(Level.ERROR, text, f"check {plug}, and whether it has another id")
    elif not census.damaged:
        yield Finding(Level.FINE, f"all {len(set(wanted))} motors are there")
    for motor in sorted(census.ids):
        speeds = census.speeds(motor)
        if len(speeds) > 1:
            yield twice(motor, f"answers at {_named(sorted(speeds))} bit/s")
        elif motor in wanted and speeds != [rate]:
            yield _wrong_speed(motor, speeds[0], rate)
    for motor, at in sorted(census.damaged.items()):
        yield twice(motor, f"answers at {at} bit/s, and every answer is damaged")
    if others := sorted(census.ids - set(wanted)):
        yield Finding(
            Level.WARNING,
            f"motor {_named(others)} is none of this hand",
            f"unplug it, or give it the id that it should have: --set_id {others[0]} NEW",
        )


def _wrong_speed(motor: int, found: int, rate: int) -> Finding:
    return Finding(
        Level.ERROR,
        f"speaks at {found} bit/s, not at {rate}",
        f"set the baud rate to {rate}",
        (Cure(motor, reg.BAUD_RATE, reg.BAUD_RATES.index(rate)),),
        motor,
    )


def examine_rate(bus: PatientBus, ids: Collection[int], rate: float) -> Finding:
    """Measure how often all motors can be read as a driver does, against the rate wanted (Hz)."""
    fast = any(_asked(bus, ids, True) for _ in range(3))
    took, missed = [], 0
    for _ in range(ROUNDS):
        started = time.monotonic()
        missed += not _asked(bus, ids, fast)
        took.append(time.monotonic() - started)
    typical, late = np.percentile(took, [50, 99])
    if missed > MISSED * ROUNDS:
        return Finding(
            Level.ERROR,
            f"of {ROUNDS} questions to all motors {missed} were not answered by all in time",
            "cure the above; then: is the adapter's latency timer 1 ms, is this machine busy?",
        )
    # Each cycle sends goals, too: id and four bytes for each motor.
    cycle = late + (14 + 5 * len(ids)) * BITS_PER_BYTE / bus.baud_rate
    text = (
        f"all motors are read in {1000 * typical:.1f} ms, 99 % within {1000 * late:.1f} ms "
        f"({'fast' if fast else 'plain'} sync read): {FULL / cycle:.0f} Hz can be kept"
    )
    if FULL / cycle >= rate:
        return Finding(Level.FINE, text)
    remedy = f"{rate:g} Hz are wanted: cure the above, or choose a higher --baud_rate"
    return Finding(Level.ERROR, text, remedy)


def _asked(bus: PatientBus, ids: Collection[int], fast: bool) -> bool:
    """Read all motors once; return whether all answered."""
    try:
        bus.sync_read(tuple(ids), BLOCK, BLOCK_SIZE, fast)
    except PortError:
        raise
    except BusError:
        return False
    return True


def examine(
    path: str, census: Census, ids: Collection[int], baud_rate: int, rate: float
) -> Iterator[Finding]:
    """Look at all that was found: who is there, how each is set up, and how fast all are read.

    Raises:
        PortError: the port can not be opened, or is gone.
    """
    yield examine_port(path)
    yield from examine_ids(census, ids, baud_rate)
    is_clear = set(ids) <= census.at.get(baud_rate, {}).keys()
    for at, motors in census.at.items():
        with PatientBus(path, at) as bus:
            for motor in sorted(motors):
                if len(census.speeds(motor)) > 1:
                    is_clear = False
                    continue
                if odd := examine_id(bus, motor):
                    is_clear = is_clear and odd.level is not Level.ERROR
                    yield odd
                if motor in ids and not (odd and odd.level is Level.ERROR):
                    yield from examine_motor(bus, motor, motors[motor])
    if is_clear:
        with PatientBus(path, baud_rate) as bus:
            yield examine_rate(bus, ids, rate)
    elif census.ids:
        text = "the rate was not measured"
        yield Finding(Level.WARNING, text, f"first get all motors to answer at {baud_rate} bit/s")


def _named(numbers: Collection[int]) -> str:
    return ", ".join(map(str, numbers))
