"""The real D'Claw: ten Dynamixel motors behind one serial port, in SI units.

Its loop runs in a thread, at 100 Hz; the methods here leave it what to do, or wait for what it
measured. Safety is in there, whoever commands: every goal passes the clamp, torque is off on every
way out, and a hand that nobody steers or that can not be measured holds still and then lets go.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from smm_ros.dclaw.calibration import Calibration, default_calibration
from smm_ros.dclaw.dynamixel.bus import DynamixelBus
from smm_ros.dclaw.dynamixel.bus_errors import BusError
from smm_ros.dclaw.dynamixel.motor_sample import MotorSample
from smm_ros.dclaw.dynamixel.motors import MotorGroup
from smm_ros.dclaw.dynamixel_config import DynamixelConfig
from smm_ros.dclaw.glide import glide
from smm_ros.dclaw.hand import (
    HandError,
    HandHealth,
    HandLimpError,
    HandState,
    ResetStage,
    ResetStages,
)
from smm_ros.dclaw.hand_cycle import HandCycle, RecoveringError
from smm_ros.dclaw.hand_guard import Drive, HandGuard
from smm_ros.dclaw.hand_health import HandReport, Limits, read_limits
from smm_ros.dclaw.hand_loop import HandLoop
from smm_ros.dclaw.recovery import Recovery
from smm_ros.dclaw.safety_clamp import SafetyClamp, within_limits
from smm_ros.dclaw.scripted_reset import scripted_reset
from smm_ros.dclaw.spec import NUM_JOINTS, Joints

T = TypeVar("T")

MOST_TURNS = 100
"""Of the valve, of which its motor can count 256; then it is made to forget them."""
BEYOND_BLIND = 2
"""Cycles beyond which a measurement is not waited for, after a blind hand has gone limp."""


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
        self._limits: Limits

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
            changed = group.configure()
            self._limits = read_limits(group)
        except BusError as error:
            bus.close()
            raise HandError(str(error)) from error
        self._clock_offset, self._turns = time.time() - time.monotonic(), 0.0
        guard, recovery = HandGuard(config.guard), Recovery(config.recovery)
        self._cycle = HandCycle(group, self.calibration, guard, recovery)
        for change in changed:
            self._cycle.fault.tell(f"written to the EEPROM: {change}")
        self._loop = HandLoop(self._cycle.run, self._cycle.close, 1 / config.rate)
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
        if cycle.fault.torque_unsure:
            raise HandError(f"torque may be on: {cycle.fault.torque_unsure}")

    def enable(self) -> None:
        """Switch torque on, holding the pose measured at this moment.

        A fault that waits for a person is forgotten by it, or mended if it is still there. A hand
        whose port was gone is connected anew.

        Raises:
            HandLimpError: a fault is being mended now.
            HandError: the hand can not be switched on.
        """
        if self._loop is not None and self._loop.error is not None:
            self._connect_again()
        self._do(lambda cycle: cycle.switch_on())

    def _connect_again(self) -> None:
        ended = self._loop, self._cycle
        self._loop = self._cycle = None
        try:
            self.connect()
        except HandError:
            self._loop, self._cycle = ended  # its fault stays
            raise

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
        if self._loop is None or self._cycle is None:
            return ""
        return self._ended(self._loop) or self._cycle.fault.text

    # Measuring and moving.

    def read(self) -> HandState:
        """Return the newest measurement, which is no older than a cycle.

        Raises:
            HandLimpError: there is none within some cycles; it says what is wrong.
        """
        return self._state(self._fresh_sample())

    def _state(self, sample: MotorSample) -> HandState:
        _, cycle = self._connected()
        angles, velocity = cycle.angles(sample), cycle.velocity(sample)
        effort = cycle.effort(sample)
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
        clamped = self.clamp(target, cycle.angles(sample)[:NUM_JOINTS])
        with cycle.lock:
            self._require(cycle, cycle.guard.follow(clamped.target, time.monotonic()))
        return clamped.target

    def advance(self, period_s: float) -> None:
        """Let time pass: sleep."""
        time.sleep(period_s)

    def reset(self, valve_angle: float) -> ResetStages:
        """Bring the joints to spec.RESET_POSE and the valve to an angle (rad).

        A hand that let go by itself is switched on first. Full turns of the valve are taken off.
        Whoever does not iterate to the end closes the iterator: the hand stays where it is then.

        Raises:
            HandLimpError: the hand let go by itself, and can not be taken up yet.
            HandError: torque is off, or something can not be brought to where it belongs.
        """
        if not math.isfinite(valve_angle):
            raise ValueError(f"valve angle is {valve_angle}, expected an angle in rad")
        _, cycle = self._connected()
        if cycle.guard.drive is Drive.LIMP and not cycle.is_wanted:
            raise HandError("a reset needs torque: call enable() first")
        return self._reset_stages(valve_angle)

    def _reset_stages(self, valve_angle: float) -> ResetStages:
        _, cycle = self._connected()
        if cycle.guard.drive is Drive.LIMP:
            if self.fault:
                raise HandLimpError(self.fault)
            yield ResetStage("switch on", attempt=1)
            if not cycle.is_wanted:
                raise HandError("torque was switched off")
            self.enable()
        try:
            if abs(self.pose()[1] - self._turns) > MOST_TURNS * 2 * math.pi:
                yield ResetStage("forget the valve's turns", attempt=1)
                self._do(lambda cycle: cycle.recount_valve())
            yield from scripted_reset(self, valve_angle)
        except (GeneratorExit, HandError):
            self._stay(cycle)
            raise
        turned = self.pose()[1] - valve_angle
        self._turns -= 2 * math.pi * round(turned / (2 * math.pi))

    def _stay(self, cycle: HandCycle) -> None:
        """End the way under way, if any, where the hand is."""
        with cycle.lock:
            if cycle.sample is not None:
                pose = cycle.angles(cycle.sample)[:NUM_JOINTS]
                cycle.guard.stay(pose, time.monotonic())

    def report(self) -> HandReport:
        """Return how the hand is."""
        loop, cycle = self._connected()
        with cycle.lock:
            return HandReport(
                drive=cycle.guard.drive,
                limp_because=cycle.guard.reason if cycle.is_wanted else "",
                fault=self.fault,
                is_held=cycle.fault.is_held,
                torque_unsure=cycle.fault.torque_unsure,
                recovered=cycle.recovery.count,
                loop=loop.report(),
                missed=dict(cycle.missed),
                damaged=cycle.group.bus.damaged,
                ids=cycle.group.ids,
                limits=self._limits,
                sample=cycle.sample,
            )

    def health(self) -> HandHealth:
        """Return how the hand is; of one that is not connected there is nothing to say."""
        if self._loop is None:
            return HandHealth()
        if ended := self._ended(self._loop):
            return HandHealth(warnings=(ended,))
        return self.report().health(time.monotonic() - self.config.guard.blind_for)

    def take_events(self) -> list[str]:
        """Return what has happened to the hand since this was last called."""
        return [] if self._cycle is None else self._cycle.fault.take_events()

    # What the scripted reset needs; see scripted_reset.Movable.

    def pose(self) -> tuple[Joints, float]:
        """Wait for the next measurement: joint angles (9,) rad and the valve's angle, rad.

        Who asks looks after the way that the hand is on; a hand that nobody looks after lets go.
        """
        state = self._state(self._fresh_sample(waits=True))
        _, cycle = self._connected()
        with cycle.lock:
            self._require(cycle, cycle.guard.drive is not Drive.LIMP)
            cycle.guard.attend(time.monotonic())
        return state.joint_position, state.valve_angle

    def glide_to(self, pose: Joints, speed: float) -> float:
        """Lay out a way to a pose (9,) rad; return how long it takes, s."""
        here, now = self.pose()[0], time.monotonic()
        way = glide(here, within_limits(pose), now, speed)
        _, cycle = self._connected()
        with cycle.lock:
            self._require(cycle, cycle.guard.glide(way, now))
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
        except RecoveringError as error:
            raise HandLimpError(str(error)) from error
        except BusError as error:
            raise HandError(str(error)) from error

    def _fresh_sample(self, waits: bool = False) -> MotorSample:
        """Return the newest measurement; `waits`: one that has not been begun yet."""
        _, cycle = self._connected()
        period, now = 1 / self.config.rate, time.monotonic()
        oldest = now if waits else now - period
        patience = self.config.guard.blind_for + BEYOND_BLIND * period
        end = now if self.fault else now + patience
        with cycle.lock:
            while cycle.sample is None or cycle.sample.asked < oldest:
                if not cycle.lock.wait(max(0.0, end - time.monotonic())):
                    why = self.fault or "cycles were lost"
                    raise HandLimpError(f"no measurement: {why}")
            return cycle.sample

    def _require(self, cycle: HandCycle, is_driven: bool) -> None:
        if not is_driven:
            reason = self.fault or cycle.guard.reason
            raise HandLimpError(f"the hand is limp: {reason}")

    def _connected(self) -> tuple[HandLoop, HandCycle]:
        if self._loop is None or self._cycle is None:
            raise HandError("the hand is not connected: call connect() first")
        if ended := self._ended(self._loop):
            raise HandError(ended)
        return self._loop, self._cycle

    def _ended(self, loop: HandLoop) -> str:
        """Say why the loop has ended, empty while it goes on."""
        if loop.error is None:
            return ""
        unsure = self._cycle is not None and self._cycle.fault.torque_unsure
        why = f"{loop.error}; torque may be on" if unsure else str(loop.error)
        return f"{why}; then clear the stop, or connect again"
