"""The real D'Claw: ten Dynamixel motors behind one serial port, in SI units.

Its loop runs in a thread, at 100 Hz; the methods here leave it what to do, or wait for what it
measured. Safety is in there, whoever commands: every goal passes the clamp, torque is off on every
way out, and a hand that nobody steers or that can not be measured holds still and then lets go.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from smm_ros.dclaw.calibration import Calibration, default_calibration
from smm_ros.dclaw.dynamixel.bus import DynamixelBus
from smm_ros.dclaw.dynamixel.bus_errors import BusError
from smm_ros.dclaw.dynamixel.motor_sample import MotorSample
from smm_ros.dclaw.dynamixel.motors import MotorGroup, MotorSettings
from smm_ros.dclaw.glide import glide
from smm_ros.dclaw.hand import HandError, HandHealth, HandLimpError, HandState, ResetStage
from smm_ros.dclaw.hand_cycle import HandCycle
from smm_ros.dclaw.hand_guard import Drive, GuardConfig, HandGuard
from smm_ros.dclaw.hand_health import HandReport
from smm_ros.dclaw.hand_loop import HandLoop
from smm_ros.dclaw.recovery import Recovery, RecoveryConfig
from smm_ros.dclaw.safety_clamp import SafetyClamp
from smm_ros.dclaw.scripted_reset import scripted_reset
from smm_ros.dclaw.spec import NUM_JOINTS, Joints

T = TypeVar("T")

BEYOND_BLIND = 2
"""Cycles beyond which a measurement is not waited for, after a blind hand has gone limp."""


@dataclass(frozen=True)
class DynamixelConfig:
    """Where the hand is and how it is driven."""

    port: str
    """Serial port, such as /dev/ttyUSB0."""
    baud_rate: int = 1_000_000
    """bit/s."""
    rate: float = 100.0
    """Cycles of the bus, Hz."""
    margin: float = 0.003
    """Time beyond that on the wire that all motors may take to answer, s."""
    motors: MotorSettings = field(default_factory=MotorSettings)
    guard: GuardConfig = field(default_factory=GuardConfig)
    recovery: RecoveryConfig = field(default_factory=RecoveryConfig)

    def __post_init__(self) -> None:
        """Check the values."""
        if not 10 <= self.rate <= 500:
            raise ValueError(f"rate is {self.rate}, expected 10 to 500 Hz")


class DynamixelHand:
    """A `Hand` on a serial port. Its clock is that of the system, from `connect` on steady."""

    def __init__(self, config: DynamixelConfig, calibration: Calibration | None = None) -> None:
        """Prepare a hand that is not connected yet."""
        self.config = config
        self.calibration = calibration or default_calibration()
        self.clamp = SafetyClamp()
        self._loop: HandLoop | None = None
        self._cycle: HandCycle | None = None
        self._clock_offset = self._turns = 0.0

    # The life of a hand.

    def connect(self) -> None:
        """Open the port, check and set up all motors, and begin to measure; torque stays off."""
        if self._loop is not None:
            raise HandError("the hand is connected already: close() it first")
        config = self.config
        try:
            bus = DynamixelBus(config.port, config.baud_rate, margin=config.margin)
        except BusError as error:
            raise HandError(str(error)) from error
        group = MotorGroup(bus, self.calibration.ids, config.motors)
        try:
            group.check()
            group.configure()
        except BusError as error:
            bus.close()
            raise HandError(str(error)) from error
        self._clock_offset, self._turns = time.time() - time.monotonic(), 0.0
        guard, recovery = HandGuard(config.guard), Recovery(config.recovery)
        self._cycle = HandCycle(group, self.calibration, guard, recovery)
        self._loop = HandLoop(self._cycle.run, self._cycle.release, 1 / config.rate)
        self._loop.start()

    def close(self) -> None:
        """Switch torque off and let go of the port; does nothing on a closed hand.

        Raises:
            HandError: a motor did not say that its torque is off.
        """
        loop, cycle = self._loop, self._cycle
        self._loop = self._cycle = None
        if loop is None or cycle is None:
            return
        try:
            loop.stop()
        except TimeoutError as error:
            raise HandError(str(error)) from error
        if cycle.fault.startswith("torque may be on"):
            raise HandError(cycle.fault)

    def enable(self) -> None:
        """Switch torque on, holding the pose measured at this moment.

        A fault that waits for a person is forgotten by it, if it is gone.
        """
        self._do(lambda cycle: cycle.switch_on())

    def disable(self) -> None:
        """Switch torque off; does nothing where it is off already, or on a closed hand.

        Raises:
            HandError: a motor does not say that its torque is off; that of the others is.
        """
        if self._loop is not None:
            self._do(lambda cycle: cycle.switch_off("torque was switched off"))

    @property
    def fault(self) -> str:
        """What keeps the hand from being driven at this moment; empty where nothing does."""
        _, cycle = self._connected()
        return cycle.fault

    # Measuring and moving.

    def read(self) -> HandState:
        """Return the newest measurement, which is no older than a cycle.

        Raises:
            HandLimpError: there is none within some cycles; it says what is wrong.
        """
        return self._state(self._fresh_sample())

    def _state(self, sample: MotorSample) -> HandState:
        _, cycle = self._connected()
        angles, velocity, effort = cycle.pose(sample), cycle.velocity(sample), cycle.effort(sample)
        return HandState(
            stamp=sample.stamp + self._clock_offset,
            joint_position=angles[:NUM_JOINTS],
            joint_velocity=velocity[:NUM_JOINTS],
            joint_effort=effort[:NUM_JOINTS],
            valve_angle=float(angles[NUM_JOINTS]) + self._turns,
            valve_velocity=float(velocity[NUM_JOINTS]),
            valve_effort=float(effort[NUM_JOINTS]),
        )

    def command(self, target: Joints) -> Joints:
        """Send joint targets (9,) rad through the clamp; they go out with the next cycle.

        Raises:
            HandLimpError: torque is off.
            HandError: the hand can not be measured.
        """
        sample = self._fresh_sample()
        _, cycle = self._connected()
        clamped = self.clamp(target, cycle.pose(sample)[:NUM_JOINTS])
        with cycle.lock:
            self._require(cycle, cycle.guard.follow(clamped.target, time.monotonic()))
        return clamped.target

    def advance(self, period_s: float) -> None:
        """Let time pass: sleep."""
        time.sleep(period_s)

    def reset(self, valve_angle: float) -> Iterator[ResetStage]:
        """Bring the joints to spec.RESET_POSE and the valve to an angle (rad).

        A hand that let go by itself is switched on first. Full turns of the valve are taken off.

        Raises:
            HandError: a fault, or something can not be brought to where it belongs.
        """
        if not math.isfinite(valve_angle):
            raise ValueError(f"valve angle is {valve_angle}, expected an angle in rad")
        return self._reset_stages(valve_angle)

    def _reset_stages(self, valve_angle: float) -> Iterator[ResetStage]:
        _, cycle = self._connected()
        if cycle.guard.drive is Drive.LIMP:
            if cycle.fault:
                raise HandLimpError(cycle.fault)
            yield ResetStage("switch on", attempt=1)
            self.enable()
        yield from scripted_reset(self, valve_angle)
        turned = self.pose()[1] - valve_angle
        self._turns -= 2 * math.pi * round(turned / (2 * math.pi))

    def report(self) -> HandReport:
        """Return how the hand is."""
        loop, cycle = self._connected()
        with cycle.lock:
            return HandReport(
                drive=cycle.guard.drive,
                fault=cycle.fault,
                is_held=cycle.is_held,
                recovered=cycle.recovery.count,
                loop=loop.report(),
                missed=dict(cycle.missed),
                damaged=cycle.group.bus.damaged,
                ids=cycle.group.ids,
                models=cycle.group.models,
                sample=cycle.sample,
            )

    def health(self) -> HandHealth:
        """Return how the hand is; of one that is not connected there is nothing to say."""
        return HandHealth() if self._loop is None else self.report().health()

    def take_events(self) -> list[str]:
        """Return what has happened to the hand since this was last called."""
        _, cycle = self._connected()
        with cycle.lock:
            events, cycle.events = cycle.events, []
        return events

    # What the scripted reset needs; see scripted_reset.Movable.

    def pose(self) -> tuple[Joints, float]:
        """Wait for the next measurement: joint angles (9,) rad and the valve's angle, rad."""
        state = self._state(self._fresh_sample(waits=True))
        _, cycle = self._connected()
        self._require(cycle, cycle.guard.drive is not Drive.LIMP)
        return state.joint_position, state.valve_angle

    def glide_to(self, pose: Joints, speed: float) -> float:
        """Lay out a way to a pose (9,) rad; return how long it takes, s."""
        way = glide(self.pose()[0], pose, time.monotonic(), speed)
        _, cycle = self._connected()
        with cycle.lock:
            self._require(cycle, cycle.guard.glide(way))
        return way.duration

    def turn_valve(self, angle: float, speed: float) -> float:
        """Turn the valve to the nearest place of an angle (rad); return how long it takes, s."""
        here = self.pose()[1]
        nearest = here + math.remainder(angle - here, 2 * math.pi)
        start, end = np.array([here]) - self._turns, np.array([nearest]) - self._turns
        way = glide(start, end, time.monotonic(), speed)
        self._do(lambda cycle: cycle.turn_valve(way))
        return way.duration

    def release_valve(self) -> None:
        """Switch the valve's motor off."""
        self._do(lambda cycle: cycle.release_valve())

    def now(self) -> float:
        """Return the time, s."""
        return time.monotonic()

    # Helpers.

    def _do(self, work: Callable[[HandCycle], T]) -> T:
        """Do something between two cycles."""
        loop, cycle = self._connected()
        try:
            return loop.call(lambda: work(cycle))
        except BusError as error:
            raise HandError(str(error)) from error

    def _fresh_sample(self, waits: bool = False) -> MotorSample:
        """Return the newest measurement; `waits`: one that has not been begun yet."""
        _, cycle = self._connected()
        period, now = 1 / self.config.rate, time.monotonic()
        oldest = now if waits else now - period
        end = now + self.config.guard.blind_for + BEYOND_BLIND * period
        with cycle.lock:
            while cycle.sample is None or cycle.sample.asked < oldest:
                if not cycle.lock.wait(max(0.0, end - time.monotonic())):
                    raise HandLimpError(f"no measurement: {cycle.fault or 'cycles were lost'}")
            return cycle.sample

    def _require(self, cycle: HandCycle, is_driven: bool) -> None:
        if not is_driven:
            reason = cycle.fault or cycle.guard.reason
            raise HandLimpError(f"the hand is limp: {reason}")

    def _connected(self) -> tuple[HandLoop, HandCycle]:
        if self._loop is None or self._cycle is None:
            raise HandError("the hand is not connected: call connect() first")
        if self._loop.error is not None:
            raise HandError(f"the hand's loop has ended: {self._loop.error}; connect again")
        return self._loop, self._cycle
