"""The real D'Claw: ten Dynamixel motors behind one serial port, in SI units.

Its loop runs in a thread, at 100 Hz; the methods here leave it what to do, or wait for what it
measured. Safety is in here, whoever commands: every goal passes the clamp, torque is off on every
way out, and a hand that nobody steers or that can not be measured holds still and then lets go.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from smm_ros.dclaw.calibration import Calibration, default_calibration
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.bus import DynamixelBus
from smm_ros.dclaw.dynamixel.bus_errors import BusError, MissingReplyError
from smm_ros.dclaw.dynamixel.motor_sample import MotorSample
from smm_ros.dclaw.dynamixel.motors import MotorGroup, MotorSettings
from smm_ros.dclaw.hand import HandError, HandState, ResetStage
from smm_ros.dclaw.hand_guard import Drive, GuardConfig, HandGuard
from smm_ros.dclaw.hand_loop import HandLoop, LoopReport
from smm_ros.dclaw.safety_clamp import SafetyClamp
from smm_ros.dclaw.spec import NUM_JOINTS, Joints

FRESH_WITHIN = 3
"""A measurement is waited for this many cycles."""


@dataclass(frozen=True)
class DynamixelConfig:
    """Where the hand is and how it is driven."""

    port: str
    """Serial port, such as /dev/ttyUSB0."""
    baud_rate: int = 1_000_000
    """bit/s."""
    rate: float = 100.0
    """Cycles of the bus, Hz."""
    motors: MotorSettings = field(default_factory=MotorSettings)
    guard: GuardConfig = field(default_factory=GuardConfig)

    def __post_init__(self) -> None:
        """Check the values."""
        if not 10 <= self.rate <= 500:
            raise ValueError(f"rate is {self.rate}, expected 10 to 500 Hz")


@dataclass(frozen=True)
class HandReport:
    """How the hand is, for those who watch it."""

    drive: Drive
    reason: str
    """Why it is limp."""
    loop: LoopReport
    missed: dict[int, int]
    """Cycles so far in which a motor was the first that did not answer, by its id."""
    damaged: int
    """Packets with a wrong CRC so far."""
    sample: MotorSample | None
    """The newest measurement."""


class DynamixelHand:
    """A `Hand` on a serial port. Its clock is that of the system, from `connect` on steady."""

    def __init__(self, config: DynamixelConfig, calibration: Calibration | None = None) -> None:
        """Prepare a hand that is not connected yet."""
        self.config = config
        self.clamp = SafetyClamp()
        mounted = (calibration or default_calibration()).motors
        self._ids = tuple(m.motor for m in mounted)
        self._direction = np.array([float(m.direction) for m in mounted])
        self._zero = np.array([m.zero for m in mounted])
        self._guard = HandGuard(config.guard)
        self._lock = threading.Condition()
        self._loop: HandLoop | None = None
        self._group: MotorGroup | None = None
        self._sample: MotorSample | None = None
        self._fault = ""
        self._missed: dict[int, int] = {}
        self._clock_offset = 0.0

    # The life of a hand.

    def connect(self) -> None:
        """Open the port, check and set up all motors, and begin to measure; torque stays off."""
        if self._loop is not None:
            raise HandError("the hand is connected already: close() it first")
        self._clock_offset = time.time() - time.monotonic()
        self._fault, self._sample = "", None
        self._guard = HandGuard(self.config.guard)
        try:
            bus = DynamixelBus(self.config.port, self.config.baud_rate)
        except BusError as error:
            raise HandError(str(error)) from error
        self._group = MotorGroup(bus, self._ids, self.config.motors)
        try:
            self._group.check()
            self._group.configure()
        except BusError as error:
            bus.close()
            raise HandError(str(error)) from error
        self._loop = HandLoop(self._cycle, self._release, 1 / self.config.rate)
        self._loop.start()

    def close(self) -> None:
        """Switch torque off and let go of the port; does nothing on a closed hand."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.stop()

    def enable(self) -> None:
        """Switch torque on, holding the pose measured at this moment."""
        self._call(self._switch_on)

    def disable(self) -> None:
        """Switch torque off; does nothing where it is off already.

        Raises:
            HandError: a motor does not say that its torque is off; that of the others is.
        """
        if self._loop is not None:
            self._call(lambda: self._switch_off("torque was switched off"))

    # Measuring and moving.

    def read(self) -> HandState:
        """Return the newest measurement, waiting for one that was begun after the one before.

        Raises:
            HandError: there is none within some cycles; it says what is wrong with the bus.
        """
        sample = self._fresh_sample()
        angles = self._direction * sample.position + self._zero
        velocity = self._direction * sample.velocity
        constants = np.array([model.torque_constant for model in self._connected().models])
        effort = self._direction * sample.current * constants
        return HandState(
            stamp=sample.stamp + self._clock_offset,
            joint_position=angles[:NUM_JOINTS],
            joint_velocity=velocity[:NUM_JOINTS],
            joint_effort=effort[:NUM_JOINTS],
            valve_angle=float(angles[NUM_JOINTS]),
            valve_velocity=float(velocity[NUM_JOINTS]),
            valve_effort=float(effort[NUM_JOINTS]),
        )

    def command(self, target: Joints) -> Joints:
        """Send joint targets (9,) rad through the clamp; they go out with the next cycle.

        Raises:
            HandError: torque is off, or the hand can not be measured.
        """
        measured = self._pose(self._fresh_sample())
        clamped = self.clamp(target, measured)
        with self._lock:
            if not self._guard.follow(clamped.target, time.monotonic()):
                raise HandError(f"command needs torque, but {self._guard.reason}: enable() first")
        return clamped.target

    def advance(self, period_s: float) -> None:
        """Let time pass: sleep."""
        time.sleep(period_s)

    def reset(self, valve_angle: float) -> Iterator[ResetStage]:
        """Bring the joints to spec.RESET_POSE and the valve to an angle (rad)."""
        raise NotImplementedError

    def report(self) -> HandReport:
        """Return how the hand is."""
        group = self._connected()
        assert self._loop is not None
        with self._lock:
            return HandReport(
                self._guard.drive,
                self._guard.reason,
                self._loop.report(),
                dict(self._missed),
                group.bus.damaged,
                self._sample,
            )

    # In the loop's thread.

    def _cycle(self) -> None:
        group = self._connected()
        try:
            sample = group.sample()
            if trouble := self._trouble(sample):
                raise BusError(trouble)
        except BusError as error:
            self._miss(error)
            return
        with self._lock:
            self._sample, self._fault = sample, ""
            was_limp = self._guard.drive is Drive.LIMP
            goals = self._guard.measured(self._pose(sample), sample.stamp)
            self._lock.notify_all()
        if goals is not None:
            self._send(group, goals)
        elif not was_limp:
            self._switch_off(self._guard.reason)

    def _trouble(self, sample: MotorSample) -> str:
        """Return what is wrong with a motor by its own account, empty where nothing is."""
        found = []
        for i, motor in enumerate(self._ids):
            if sample.errors[i]:
                names = ", ".join(reg.hardware_errors(int(sample.errors[i])))
                found.append(f"motor {motor}: {names}")
            if sample.tripped[i]:
                found.append(f"motor {motor}: its bus watchdog has stopped it")
            is_driven = i < NUM_JOINTS and self._guard.drive is not Drive.LIMP
            if is_driven and not sample.torque_on[i] and not sample.errors[i]:
                found.append(f"motor {motor}: its torque is off")
        return "; ".join(found)

    def _send(self, group: MotorGroup, goals: Joints) -> None:
        angles = (goals - self._zero[:NUM_JOINTS]) * self._direction[:NUM_JOINTS]
        group.drive(dict(zip(self._ids, angles.tolist(), strict=False)))

    def _miss(self, error: BusError) -> None:
        with self._lock:
            self._fault = str(error)
            if isinstance(error, MissingReplyError):
                first = error.missing[0]
                self._missed[first] = self._missed.get(first, 0) + 1
            is_answer = not isinstance(error, MissingReplyError)
            lets_go = self._guard.missed(time.monotonic(), self._fault)
            if is_answer and self._guard.drive is not Drive.LIMP:
                self._guard.limp(self._fault)
                lets_go = True
            self._lock.notify_all()
        if lets_go:
            self._switch_off(self._fault)

    def _switch_on(self) -> None:
        group = self._connected()
        group.torque_on(self._ids[:NUM_JOINTS])
        sample = group.sample()
        with self._lock:
            self._guard.hold(self._pose(sample), sample.stamp)

    def _switch_off(self, reason: str) -> None:
        with self._lock:
            self._guard.limp(reason)
        self._connected().torque_off()

    def _release(self) -> None:
        """The last thing that the loop does, whatever ended it."""
        group = self._group
        if group is None:
            return
        try:
            group.torque_off()
        except BusError as error:
            self._fault = f"torque may be on: {error}"
        finally:
            group.bus.close()

    # Helpers.

    def _call(self, work: Callable[[], None]) -> None:
        self._connected()
        assert self._loop is not None
        try:
            self._loop.call(work)
        except BusError as error:
            raise HandError(str(error)) from error

    def _fresh_sample(self) -> MotorSample:
        self._connected()
        asked, patience = time.monotonic(), FRESH_WITHIN / self.config.rate
        with self._lock:
            while self._sample is None or asked - self._sample.stamp > 1 / self.config.rate:
                left = asked + patience - time.monotonic()
                if left <= 0 or not self._lock.wait(left):
                    raise HandError(f"no measurement: {self._fault or 'the loop hangs'}")
            return self._sample

    def _pose(self, sample: MotorSample) -> Joints:
        angles = self._direction * sample.position + self._zero
        return angles[:NUM_JOINTS]

    def _connected(self) -> MotorGroup:
        if self._loop is None or self._group is None:
            raise HandError("the hand is not connected: call connect() first")
        if self._loop.error is not None:
            raise HandError(f"the hand's loop has ended: {self._loop.error}; connect again")
        return self._group
