"""One cycle of a real hand: measure, decide, drive; and what follows when a motor fails.

All of it runs in the thread of `hand_loop`, but for what is marked as being for others.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping

import numpy as np

from smm_ros.dclaw.calibration import Calibration
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.bus_errors import BusError, MissingReplyError
from smm_ros.dclaw.dynamixel.motor_sample import MotorSample, RestartedError
from smm_ros.dclaw.dynamixel.motors import MotorGroup
from smm_ros.dclaw.glide import Glide
from smm_ros.dclaw.hand_guard import Drive, HandGuard
from smm_ros.dclaw.recovery import Recovery
from smm_ros.dclaw.spec import NUM_JOINTS, Joints

_VALVE = NUM_JOINTS


class HandCycle:
    """The state of the hand between two cycles, and what a cycle does."""

    def __init__(
        self,
        group: MotorGroup,
        calibration: Calibration,
        guard: HandGuard,
        recovery: Recovery,
    ) -> None:
        self.group, self.guard, self.recovery = group, guard, recovery
        self.lock = threading.Condition()
        """To be held where others look; it is notified of every measurement."""
        self.sample: MotorSample | None = None
        """The newest measurement."""
        self.fault = ""
        """What keeps the hand from being driven."""
        self.is_held = False
        """Whether a fault waits for a person."""
        self.missed: Counter[int] = Counter()
        """Cycles so far without a measurement, by the first motor that did not answer."""
        self.events: list[str] = []
        """What has happened to the hand since somebody last took these away."""
        self._ids, self._direction = calibration.ids, calibration.direction
        self._zero = calibration.zero
        self._valve_way: Glide | None = None
        self._suspects: set[int] = set()
        self._steps: Iterator[float] | None = None
        self._next_step = 0.0

    # For others, with the lock held.

    def pose(self, sample: MotorSample) -> Joints:
        """Return the angles of joints and valve, (10,) rad."""
        return self._direction * sample.position + self._zero

    def velocity(self, sample: MotorSample) -> Joints:
        """Return those of joints and valve, (10,) rad/s."""
        return self._direction * sample.velocity

    def effort(self, sample: MotorSample) -> Joints:
        """Return the torques of joints and valve, (10,) N m."""
        constants = np.array([model.torque_constant for model in self.group.models])
        return self._direction * sample.current * constants

    # The cycle.

    def run(self) -> None:
        """Measure once; send goals where the hand is driven."""
        if self._steps is not None:
            self._recover(self._steps)
            return
        try:
            sample = self.group.sample()
        except RestartedError as error:
            self._fail(str(error), error.motors, {})
            return
        except BusError as error:
            self._miss(error)
            return
        text, failed, errors = self._trouble(sample)
        with self.lock:
            self.sample = sample
            was_limp = self.guard.drive is Drive.LIMP
            goals = self.guard.measured(self.pose(sample)[:NUM_JOINTS], sample.stamp)
            self.lock.notify_all()
        if text:
            self._fail(text, failed, errors)
            return
        if not self.is_held:
            self.fault = ""  # all is well, by the motors' own account
        if not was_limp and goals is None:
            self._let_go(self.guard.reason)
        elif goals is not None:
            self._send(goals, sample.stamp)

    def switch_on(self) -> None:
        """Switch the fingers on where they are; a person who asks for it has looked at the hand.

        Raises:
            BusError: a fault is not gone, or a motor does not answer.
        """
        if self.is_held:
            self._take_up()
        if self.fault:
            raise BusError(self.fault)
        try:
            self.group.torque_on(self._ids[:NUM_JOINTS])
            sample = self.group.sample()
        except BusError:
            self._let_go("the hand could not be switched on")
            raise
        with self.lock:
            self.guard.hold(self.pose(sample)[:NUM_JOINTS], sample.stamp)

    def _take_up(self) -> None:
        """A person has looked at a fault: forget it, or start the motors that have it anew."""
        self.recovery.forgive()
        self.is_held = False
        text, failed, errors = self._trouble(self.group.sample())
        self.fault = text
        if text:
            self._begin_recovery(failed, errors)
            raise BusError(f"{text}; set up anew now, try again in some seconds")

    def switch_off(self, reason: str) -> None:
        """Switch all torque off; raises BusError where a motor does not say that it is."""
        with self.lock:
            self.guard.limp(reason)
        self._valve_way = None
        self.group.torque_off()

    def turn_valve(self, way: Glide) -> None:
        """Switch the valve's motor on, and go a way (1,) rad with it."""
        try:
            self.group.torque_on(self._ids[_VALVE:])
        except BusError:
            self._let_go("the valve's motor could not be switched on")
            raise
        self._valve_way = way

    def release_valve(self) -> None:
        """Switch the valve's motor off."""
        self._valve_way = None
        self.group.torque_off(self._ids[_VALVE:])

    def release(self) -> None:
        """Let go of everything: the last that is done, on every way out."""
        try:
            self.switch_off("the hand was closed")
        except BusError as error:
            self.fault = f"torque may be on: {error}"
        finally:
            self.group.bus.close()

    def _send(self, goals: Joints, now: float) -> None:
        angles, ids = goals, self._ids[:NUM_JOINTS]
        if self._valve_way is not None:
            angles, ids = np.concatenate([goals, self._valve_way.at(now)]), self._ids
        count = len(ids)
        motors = (angles - self._zero[:count]) * self._direction[:count]
        self.group.drive(dict(zip(ids, motors.tolist(), strict=True)))

    # What goes wrong.

    def _trouble(self, sample: MotorSample) -> tuple[str, set[int], dict[int, int]]:
        """Return what is wrong by the motors' own account: in words, with whom, which errors."""
        words, failed, errors = [], set(self._suspects), dict[int, int]()
        for i, motor in enumerate(self._ids):
            if status := int(sample.errors[i]):
                errors[motor] = status
                words.append(f"motor {motor} reports {', '.join(reg.hardware_errors(status))}")
            elif sample.tripped[i]:
                failed.add(motor)
                words.append(f"motor {motor} was stopped by its bus watchdog")
            elif sample.torque_on[i] != self._is_driven(i):
                failed.add(motor)
                state = "holds torque unasked" if sample.torque_on[i] else "has let go"
                words.append(f"motor {motor} {state}")
        if self._suspects and not words:
            words.append(f"motor {', '.join(map(str, sorted(self._suspects)))} answers again")
        return "; ".join(words), failed, errors

    def _is_driven(self, place: int) -> bool:
        """Return whether the motor at a place of the ids is meant to hold torque."""
        is_limp = self.guard.drive is Drive.LIMP
        return not is_limp if place < NUM_JOINTS else self._valve_way is not None

    def _miss(self, error: BusError) -> None:
        """Take that a cycle had no measurement."""
        with self.lock:
            if isinstance(error, MissingReplyError):
                self.missed[error.missing[0]] += 1
            lets_go = self.guard.missed(time.monotonic(), str(error))
            # A single cycle without a measurement is only counted.
            if self.guard.drive is Drive.LIMP and self.guard.is_blind(time.monotonic()):
                self._note(str(error))
                self._suspects.update(getattr(error, "missing", ()))
            self.lock.notify_all()
        if lets_go:
            self._let_go(str(error))

    def _fail(self, text: str, failed: Collection[int], errors: Mapping[int, int]) -> None:
        """Let go, and begin to recover unless that is for a person to decide."""
        self._let_go(text)
        if self.is_held:
            return
        now = time.monotonic()
        refusal = self.recovery.refusal(errors, now)
        with self.lock:
            self.is_held = bool(refusal)
            self._note(f"{text}; {refusal}" if refusal else text)
        if not refusal:
            self._begin_recovery(failed, errors)

    def _begin_recovery(self, failed: Collection[int], errors: Mapping[int, int]) -> None:
        now = time.monotonic()
        self._steps = self.recovery.steps(self.group, failed, errors, now)
        self._next_step = now

    def _let_go(self, reason: str) -> None:
        try:
            self.switch_off(reason)
        except BusError as error:
            self._note(f"{reason}; torque may be on: {error}")

    def _recover(self, steps: Iterator[float]) -> None:
        now = time.monotonic()
        if now < self._next_step:
            return
        try:
            self._next_step = now + next(steps)
            return
        except StopIteration:
            self._suspects.clear()
            self.events.append(f"recovered from: {self.fault}")
            self.fault = ""
        except BusError as error:
            self._note(f"{self.fault}; not recovered: {error}")
        self._steps = None

    def _note(self, fault: str) -> None:
        if fault != self.fault:
            self.events.append(fault)
        self.fault = fault
