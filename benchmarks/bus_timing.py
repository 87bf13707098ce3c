"""How well the driver keeps its 100 Hz on the virtual bus, and how long a cycle takes.

    python benchmarks/bus_timing.py [--minutes 10] [--baud_rate 1000000]

The virtual servos are a process of their own, with the time of the wire, return delay 0 and an
adapter that keeps bytes for 1 ms. The fingers follow a slow wave all the while.
"""

from __future__ import annotations

import argparse
import math
import sys
import time

import numpy as np
from virtual_port import virtual_port

from smm_ros.dclaw.dynamixel import units
from smm_ros.dclaw.dynamixel.motor_sample import BLOCK_SIZE, MotorSample
from smm_ros.dclaw.dynamixel_config import DynamixelConfig
from smm_ros.dclaw.dynamixel_hand import DynamixelHand
from smm_ros.dclaw.hand import HandLimpError
from smm_ros.dclaw.spec import RESET_POSE

MOTORS, FINGERS = 10, 9
TURNAROUND, USB = 50e-6, 1e-3
CLEARLY = 0.003
"""How much older than usual is older than the question, s: clocks tick in ms."""


def main() -> None:
    """Run each way of reading for some minutes and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--baud_rate", type=int, default=1_000_000)
    options = parser.parse_args()
    print(
        "| reads | period p50, ms | p99 | longest | late by over 1 ms | overruns | missed | "
        "measured before the question |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    cycles = {}
    for fast in (False, True):
        word = "--fast_sync_read" if fast else "--no-fast_sync_read"
        with virtual_port(word, "--baud_rate", str(options.baud_rate)) as port:
            hand = DynamixelHand(DynamixelConfig(port.path, options.baud_rate))
            samples = _run(hand, 60 * options.minutes)
            report = hand.report()
            hand.close()
        name = "fast sync read" if fast else "sync read"
        cycles[name] = _cycle_times(samples, options.baud_rate, fast)
        begins = np.array([sample.asked for sample in samples])
        periods = np.diff(begins) * 1000
        p50, p99 = np.percentile(periods, [50, 99])
        late = float(np.mean(periods > 11.0))
        missed = sum(report.missed.values())
        print(
            f"| {name} | {p50:.3f} | {p99:.3f} | {periods.max():.3f} | {late:.4%} | "
            f"{report.loop.overruns} | {missed} of {report.loop.cycles} | "
            f"{_stale(samples)} of {len(samples) * MOTORS} |",
            flush=True,
        )
    print("\n| reads | on the wire, ms | with turnaround and adapter | measured p50 | p99 |")
    print("|---|--:|--:|--:|--:|")
    for name, (wire, expected, p50, p99) in cycles.items():
        print(f"| {name} | {wire:.2f} | {expected:.2f} | {p50:.2f} | {p99:.2f} |")


def _run(hand: DynamixelHand, seconds: float) -> list[MotorSample]:
    """Follow a wave; return all measurements. Where the hand lets go it is said and taken up."""
    hand.connect()
    hand.enable()
    hand.take_events()
    for _ in hand.reset(0.0):
        pass
    samples: list[MotorSample] = []
    started = time.monotonic()
    next_command = started
    while (now := time.monotonic()) < started + seconds:
        if now >= next_command:
            next_command += 0.1
            try:
                hand.command(RESET_POSE + 0.2 * math.sin(now - started))
            except HandLimpError:
                _take_up(hand, now - started)
        newest = hand.report().sample
        if newest is not None and (not samples or newest.stamp != samples[-1].stamp):
            samples.append(newest)
        time.sleep(0.002)
    return samples


def _take_up(hand: DynamixelHand, after: float) -> None:
    """Say why the hand has let go, and switch it on when it is well."""
    while hand.fault:
        time.sleep(0.01)
    print(f"let go after {after:.0f} s: {hand.take_events()}", file=sys.stderr)
    hand.enable()


def _stale(samples: list[MotorSample]) -> int:
    """Return how many values were measured before the motors were asked, by their clocks.

    The virtual motors' clocks run at the rate of this machine's, so each is always ahead of the
    question by the same: by less, where the value is older.
    """
    asked = np.array([sample.asked for sample in samples])[:, None]
    clocks = np.unwrap([sample.clock for sample in samples], period=units.TICK_PERIOD, axis=0)
    since = clocks - asked
    ahead = np.median(since, axis=0)  # nearly all are measured as soon as they are asked for
    return int((since < ahead - CLEARLY).sum())


def _cycle_times(
    samples: list[MotorSample], baud_rate: int, fast: bool
) -> tuple[float, float, float, float]:
    """Return computed times of reading, then those measured (p50, p99), ms."""
    asked = 14 + MOTORS
    answer = 8 + MOTORS * (BLOCK_SIZE + 4) if fast else MOTORS * (11 + BLOCK_SIZE)
    wire = (asked + answer) * 10 / baud_rate
    expected = wire + TURNAROUND * (1 if fast else MOTORS) + USB
    took = np.array([sample.stamp - sample.asked for sample in samples])
    p50, p99 = np.percentile(took, [50, 99])
    return 1000 * wire, 1000 * expected, 1000 * float(p50), 1000 * float(p99)


if __name__ == "__main__":
    main()
