"""What the driver does about each fault of the virtual bus: how soon, and how it goes on.

    python benchmarks/hand_faults.py [--times 5]

The virtual servos are a process of their own. Before each fault the hand is reset, and follows a
wave with a command every 0.1 s, as a policy does. Times are from the moment at which the fault is
asked for: until the driver let go, until the motors themselves held no torque (or their watchdogs
had stopped them), until the hand could be driven again. Cycles lost are those without a
measurement of all ten motors.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

import numpy as np
from virtual_port import VirtualPort, virtual_port

from smm_ros.dclaw.calibration import default_calibration
from smm_ros.dclaw.dynamixel.bus import DynamixelBus
from smm_ros.dclaw.dynamixel.bus_errors import MissingReplyError
from smm_ros.dclaw.dynamixel.motors import MotorGroup
from smm_ros.dclaw.dynamixel_config import DynamixelConfig
from smm_ros.dclaw.dynamixel_hand import DynamixelHand
from smm_ros.dclaw.hand import HandError
from smm_ros.dclaw.hand_guard import Drive
from smm_ros.dclaw.spec import RESET_POSE

WATCH = 8.0
"""A hand that has not recovered after so long is waiting for a person, s."""

FAULTS = {
    "overload of one motor": ("overload 21", ""),
    "motor hotter than its limit": ("heat 21 60", "heat 21 0"),
    "supply drops to 9 V": ("supply 9", "supply 20.5"),
    "brown-out: all start anew": ("brownout", ""),
    "one motor starts anew": ("reboot 21", ""),
    "one motor answers no more": ("silent 21", "heard 21"),
    "one motor's plug pulled, power left": ("cut 21", "join 21"),
    "cable to the motors pulled": ("unplug", "plug"),
    "one motor answers 5 ms late": ("slow 21 5", "slow 21 0"),
    "answers held up once, 14 ms": ("hiccup 14", ""),
    "answers held up once, 60 ms": ("hiccup 60", ""),
    "1 in 1000 bytes lost": ("drop 0.001", "drop 0"),
    "1 in 1000 bytes changed": ("corrupt 0.001", "corrupt 0"),
}
"""By name: the command that brings it, and the one that ends it after HELD."""
HELD = 0.5
"""How long a fault lasts that has to be ended, s."""


@dataclass
class Course:
    """What was seen of one fault; times from its beginning, s."""

    limp: float = math.nan
    off: float = math.nan
    back: float = math.nan
    lost: int = 0
    said: list[str] = field(default_factory=list)


def main() -> None:
    """Bring about every fault some times and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    print(
        "| fault | let go after, ms | torque off or stopped after, ms | back after, s | "
        "cycles lost | said |"
    )
    print("|---|--:|--:|--:|--:|---|")
    for name, (begin, end) in FAULTS.items():
        courses = [_course(begin, end) for _ in range(options.times)]
        print(f"| {name} | {_row(courses)} |", flush=True)
    _print_missing(options.times)
    _print_policy(options.times)
    _print_kill(options.times)


def _course(begin: str, end: str) -> Course:
    """Bring about a fault once and watch what comes of it."""
    with virtual_port() as port:
        hand = DynamixelHand(DynamixelConfig(port.path))
        hand.connect()
        hand.enable()
        for _ in hand.reset(0.0):
            pass
        stop = threading.Event()
        wave = threading.Thread(target=_follow, args=(hand, stop))
        wave.start()
        time.sleep(0.5)
        hand.take_events()
        before = sum(hand.report().missed.values())
        course = _watch(hand, port, begin, end)
        course.lost = sum(hand.report().missed.values()) - before
        stop.set()
        wave.join()
        try:
            hand.close()
        except HandError as error:
            course.said.append(str(error))
    return course


def _watch(hand: DynamixelHand, port: VirtualPort, begin: str, end: str) -> Course:
    course, since = Course(), port.command(begin)
    is_ended = not end
    while (passed := time.monotonic() - since) < WATCH:
        report = hand.report()
        course.said += hand.take_events()
        if report.drive is Drive.LIMP and math.isnan(course.limp):
            course.limp = passed
        if not math.isnan(course.limp) and math.isnan(course.off) and _is_still(port):
            course.off = time.monotonic() - since
        if not is_ended and passed > HELD:
            port.command(end)
            is_ended = True
        # What made it let go is told a moment after it did.
        has_let_go = passed > course.limp + 0.1
        if is_ended and has_let_go and not report.fault:
            course.back = passed
            break
        time.sleep(0.0005)
    return course


def _is_still(port: VirtualPort) -> bool:
    """Ask the fingers' motors whether they hold no torque, or were stopped."""
    return all(not row[1] or row[2] == -1 for row in port.show()[:9])


def _follow(hand: DynamixelHand, stop: threading.Event) -> None:
    """Play a policy that goes on whatever the hand says."""
    started = time.monotonic()
    while not stop.wait(0.1):
        try:
            hand.command(RESET_POSE + 0.2 * math.sin(time.monotonic() - started))
        except HandError:
            continue


def _row(courses: list[Course]) -> str:
    times = np.array([[c.limp, c.off, c.back] for c in courses])
    cells = [_worst(times[:, 0] * 1000, ".0f"), _worst(times[:, 1] * 1000, ".0f")]
    cells += [_worst(times[:, 2], ".2f"), str(max(c.lost for c in courses))]
    said = courses[0].said[0] if courses[0].said else "nothing; counted"
    return " | ".join([*cells, said.split(";")[0]])


def _worst(values: np.ndarray, form: str) -> str:
    """Return median and worst as text; a dash where it never happened."""
    seen = values[np.isfinite(values)]
    if not len(seen):
        return "-"
    rest = "" if len(seen) == len(values) else f" ({len(values) - len(seen)} never)"
    return f"{np.median(seen):{form}}, at most {seen.max():{form}}{rest}"


def _print_missing(times: int) -> None:
    """Print how soon a question returns where a motor does not answer."""
    took = []
    for fast in (False, True):
        with virtual_port("--fast_sync_read" if fast else "--no-fast_sync_read") as port:
            bus = DynamixelBus(port.path, 1_000_000)
            group = MotorGroup(bus, default_calibration().ids)
            group.check()
            group.configure()
            port.command("silent 21")
            for _ in range(20 * times):
                began = time.monotonic()
                try:
                    group.sample()
                except MissingReplyError as error:
                    if error.missing[0] != 21:
                        raise
                took.append(1000 * (time.monotonic() - began))
            bus.close()
    count = len(took)
    p50, most = np.median(took), max(took)
    print(f"\nmotor missing: named after {p50:.1f} ms, at most {most:.1f} (n={count})")


def _print_policy(times: int) -> None:
    """Print what happens when the one who steers goes silent."""
    holds, limps = [], []
    for _ in range(times):
        with virtual_port() as port:
            hand = DynamixelHand(DynamixelConfig(port.path))
            hand.connect()
            hand.enable()
            for _ in hand.reset(0.0):
                pass
            hand.command(RESET_POSE)
            last, seen = time.monotonic(), Drive.FOLLOW
            while seen is not Drive.LIMP:
                now = hand.report().drive
                if now is not seen:
                    (holds if now is Drive.HOLD else limps).append(time.monotonic() - last)
                    seen = now
                time.sleep(0.0005)
            hand.close()
    print(
        f"policy silent: holds {1000 * max(holds):.0f} ms after its last command at most, "
        f"torque off after {1000 * max(limps):.0f} ms"
    )


_DRIVER = """
import sys, time
from smm_ros.dclaw.dynamixel_config import DynamixelConfig
from smm_ros.dclaw.dynamixel_hand import DynamixelHand
hand = DynamixelHand(DynamixelConfig(sys.argv[1]))
hand.connect()
hand.enable()
for _ in hand.reset(0.0): pass
print("drives", flush=True)
while True:
    hand.command(hand.read().joint_position)
    time.sleep(0.05)
"""


def _print_kill(times: int) -> None:
    """Print how soon the motors stop by themselves when the driver is killed."""
    found = []
    for _ in range(times):
        with virtual_port() as port:
            driver = subprocess.Popen(
                [sys.executable, "-c", _DRIVER, port.path], stdout=subprocess.PIPE, text=True
            )
            assert driver.stdout is not None
            driver.stdout.readline()
            time.sleep(0.5)
            os.kill(driver.pid, signal.SIGKILL)
            killed = time.monotonic()
            while not all(row[2] == -1 for row in port.show()[:9]):
                time.sleep(0.0005)
            found.append(time.monotonic() - killed)
            driver.wait()
    print(
        f"driver killed: all nine watchdogs have tripped {1000 * max(found):.0f} ms later at most"
    )


if __name__ == "__main__":
    main()
