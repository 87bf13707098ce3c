"""One cycle of a real hand: measure, decide, drive; and what follows when a motor fails.

All of it runs in the thread of `hand_loop`, but for what is marked as being for others.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np

from smm_ros.dclaw.calibration import Calibration
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.bus_errors import BusError, MissingReplyError, PortError
from smm_ros.dclaw.dynamixel.motor_sample import MotorSample, RestartedError, StaleError
from smm_ros.dclaw.dynamixel.motors import MotorGroup
from smm_ros.dclaw.dynamixel.registers import Mode
from smm_ros.dclaw.glide import Array, Glide
from smm_ros.dclaw.hand_fault import HandFault, Trouble, find_trouble, longest
from smm_ros.dclaw.hand_guard import OUTSIDE, Drive, HandGuard
from smm_ros.dclaw.recovery import LONGEST_ABSENCE, Pause, Recovery
from smm_ros.dclaw.safety_clamp import within_limits
from smm_ros.dclaw.spec import JOINT_NAMES, NUM_JOINTS, Joints

_VALVE = NUM_JOINTS
ATTEMPTS = 3
"""To measure, where a single miss would be taken for a fault."""


class RecoveringError(BusError):
    """The hand is limp now, and comes back by itself."""


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
        self.fault = HandFault()
        self.lock = threading.Condition()
        """To be held where others look at `guard`; it is notified of every measurement."""
        self.sample: MotorSample | None = None
        """The newest measurement."""
        self.is_wanted = False
        """Whether a limp hand let go by itself, and may be taken up again."""
        self.missed: Counter[int] = Counter()
        """Cycles so far without a measurement, by the first motor that did not answer."""
        self._ids, self._direction = calibration.ids, calibration.direction
        self._zero = calibration.zero
        self._valve_way: Glide | None = None
        self._steps: Iterator[Pause] | None = None
        self._pause, self._next_step = Pause(0.0, all_answer=True), 0.0

    # For others.

    def angles(self, sample: MotorSample) -> Array:
        """Return the angles of joints and valve, (10,) rad."""
        return self._direction * sample.position + self._zero

    def velocity(self, sample: MotorSample) -> Array:
        """Return those of joints and valve, (10,) rad/s."""
        return self._direction * sample.velocity

    def effort(self, sample: MotorSample) -> Array:
        """Return the torques of joints and valve, (10,) N m."""
        constants = np.array([model.torque_constant for model in self.group.models])
        return self._direction * sample.current * constants

    # The cycle.

    def run(self) -> None:
        """Measure once; send goals where the hand is driven.

        Raises:
            PortError: the port is gone; nothing can be done any more.
        """
        if self._steps is not None:
            self._recover(self._steps)
            return
        try:
            self._take(self.group.sample())
        except PortError:
            raise
        except RestartedError as error:
            self._fail(self._restarted(error))
        except BusError as error:
            self._miss(error)

    def _take(self, sample: MotorSample) -> None:
        """Take a measurement of all motors."""
        trouble = self._trouble(sample)
        with self.lock:
            self.sample = sample
            was_limp = self.guard.drive is Drive.LIMP
            goals = self.guard.measured(self._pose(sample), sample.stamp)
            self.lock.notify_all()
        if trouble.text:
            self._fail(trouble)
            return
        if not self.fault.is_held:
            self.fault.clear()  # all is well, by the motors' own account
        self.fault.torque_unsure = ""
        if goals is not None:
            self._send(goals, sample.stamp)
        elif not was_limp:
            self.fault.tell(f"let go: {self.guard.reason}")
            self._let_go(self.guard.reason)

    def _pose(self, sample: MotorSample) -> Joints:
        return self.angles(sample)[:NUM_JOINTS]

    def _send(self, goals: Joints, now: float) -> None:
        angles, ids = goals, self._ids[:NUM_JOINTS]
        if self._valve_way is not None:
            angles, ids = np.concatenate([goals, self._valve_way.at(now)]), self._ids
        count = len(ids)
        motors = (angles - self._zero[:count]) * self._direction[:count]
        self.group.drive(dict(zip(ids, motors.tolist(), strict=True)))

    # What is asked for between two cycles.

    def switch_on(self) -> None:
        """Switch the fingers on where they are; a person who asks for it has looked at the hand.

        Raises:
            RecoveringError: a fault is being mended.
            BusError: a fault is not gone, a motor does not answer, or a joint is too far outside
                its limits to be brought back.
        """
        if self.fault.is_held:
            self._take_up()
        elif not self.fault.text:
            self.run()  # a fault that is there has to be known first
        if self._steps is not None:
            self.is_wanted = True
            raise RecoveringError(self.fault.text)
        if self.fault.text:
            raise BusError(self.fault.text)
        try:
            _require_near(self._pose(self._measure()))
            self.group.torque_on(self._ids[:NUM_JOINTS])
            sample = self._measure()
        except BusError:
            self._let_go("the hand could not be switched on")
            raise
        self.is_wanted = True
        with self.lock:
            self.guard.hold(self._pose(sample), sample.stamp)

    def _measure(self) -> MotorSample:
        """Measure now; a single miss is none. Raises BusError."""
        for _ in range(ATTEMPTS - 1):
            with contextlib.suppress(MissingReplyError, StaleError):
                return self.group.sample()
        return self.group.sample()

    def _take_up(self) -> None:
        """A person has looked at a fault: forget it, or start the motors that have it anew."""
        try:
            trouble = self._trouble(self._measure())
        except RestartedError as error:
            trouble = self._restarted(error)
        self.recovery.forgive()
        self.fault.is_held = False
        if not trouble.text:
            self.fault.clear()
            return
        self.fault.set(trouble.text)
        self._begin_recovery(trouble)

    def switch_off(self, reason: str) -> None:
        """Switch all torque off, as somebody asks for.

        Raises:
            BusError: a motor does not say that it is off.
        """
        self.is_wanted = False
        self._release(reason)

    def turn_valve(self, way: Glide) -> None:
        """Switch the valve's motor on, and go a way (1,) rad with it; raises BusError."""
        if self.guard.drive is Drive.LIMP:
            raise RecoveringError(f"the hand is limp: {self.fault.text or self.guard.reason}")
        try:
            self.group.torque_on(self._ids[_VALVE:])
        except BusError:
            self._let_go("the valve's motor could not be switched on")
            raise
        self._valve_way = way

    def release_valve(self) -> None:
        """Switch the valve's motor off; raises BusError."""
        self._switch_off(self._ids[_VALVE:])

    def recount_valve(self) -> None:
        """Have the valve's motor forget its full turns: of its goals only so many can be told."""
        self.release_valve()
        valve = self._ids[_VALVE]
        # It counts from within one turn when it comes into this mode, and goes on in the other.
        self.group.bus.ensure(valve, reg.OPERATING_MODE, Mode.POSITION)
        self.group.configure((valve,))

    def close(self) -> None:
        """Let go of everything: the last that is done, on every way out."""
        try:
            self.switch_off("the hand was closed")
        except BusError as error:
            self.fault.set(f"{error}; torque may be on")
        finally:
            self.group.bus.close()

    # What goes wrong.

    def _trouble(self, sample: MotorSample) -> Trouble:
        driven = [self._is_driven(place) for place in range(len(self._ids))]
        return find_trouble(sample, self._ids, driven, self.fault.absence(sample.stamp))

    def _restarted(self, error: RestartedError) -> Trouble:
        absent = self.fault.absence(time.monotonic())
        failed = frozenset(error.motors)
        return Trouble(
            str(error), failed | absent.keys(), restarted=failed, absence=longest(absent)
        )

    def _is_driven(self, place: int) -> bool:
        """Return whether the motor at a place of the ids is meant to hold torque."""
        is_limp = self.guard.drive is Drive.LIMP
        return not is_limp if place < NUM_JOINTS else self._valve_way is not None

    def _miss(self, error: BusError) -> None:
        """Take that a cycle had no measurement: of a single one nothing more comes."""
        now = time.monotonic()
        missing = error.missing if isinstance(error, MissingReplyError) else ()
        with self.lock:
            if missing:
                self.missed[missing[0]] += 1
            lets_go = self.guard.missed(now, str(error))
            is_lost = self.guard.drive is Drive.LIMP and self.guard.is_blind(now)
            self.lock.notify_all()
        if is_lost:
            self.fault.lose(missing, str(error), now)
        if lets_go:
            self._let_go(str(error))

    def _fail(self, trouble: Trouble) -> None:
        """Let go, and begin to recover unless that is for a person to decide."""
        is_limp, self._valve_way = self.guard.drive is Drive.LIMP, None
        if not is_limp or trouble.holds_torque or self.fault.torque_unsure:
            self._let_go(trouble.text)
        if self.fault.is_held:
            return
        refusal = self.recovery.refusal(trouble, time.monotonic())
        text = f"{trouble.text}; {refusal}" if refusal else trouble.text
        self.fault.set(text, is_held=bool(refusal))
        if not refusal:
            self._begin_recovery(trouble)

    def _begin_recovery(self, trouble: Trouble) -> None:
        self._next_step = time.monotonic()
        self._steps = self.recovery.steps(self.group, trouble, self._next_step)

    def _recover(self, steps: Iterator[Pause]) -> None:
        now = time.monotonic()
        if now < self._next_step:
            if self._pause.all_answer:
                self._watch_pause(now)
            return
        try:
            self._pause = next(steps)
            self._next_step = now + self._pause.seconds
            return
        except StopIteration:
            self.fault.tell(f"recovered from: {self.fault.text}")
            self.fault.clear()
        except BusError as error:
            self.fault.tell(f"not recovered: {error}")
        self._steps = None

    def _watch_pause(self, now: float) -> None:
        """See whether somebody pulls a plug, or uses the switch, while motors rest."""
        absent = self.fault.absent
        try:
            trouble = self._trouble(self.group.sample())
        except MissingReplyError as error:
            absent |= {motor: now for motor in error.missing if motor not in absent}
            return
        except RestartedError as error:
            trouble = self._restarted(error)
        except PortError:
            raise
        except BusError:
            return
        if trouble.holds_torque:
            self._let_go(trouble.text)
        if trouble.restarted or trouble.absence > LONGEST_ABSENCE:
            self._steps = None
            self._fail(trouble)
        absent.clear()

    def _let_go(self, reason: str) -> None:
        """Switch off what nobody asked to: whatever comes of it is told, not raised."""
        try:
            self._release(reason)
        except BusError as error:
            self.fault.tell(f"torque may be on: {error}")

    def _release(self, reason: str) -> None:
        with self.lock:
            self.guard.limp(reason)
        self._switch_off(self._ids)

    def _switch_off(self, motors: tuple[int, ...]) -> None:
        """Switch off the valve's motor, or all."""
        self._valve_way = None
        try:
            self.group.torque_off(motors)
        except BusError as error:
            self.fault.torque_unsure = str(error)
            raise
        if motors == self._ids:
            self.fault.torque_unsure = ""


def _require_near(pose: Joints) -> None:
    """Raise BusError where a joint is too far outside its limits (9,) rad."""
    outside = np.abs(pose - within_limits(pose))
    worst = int(outside.argmax())
    if outside[worst] > OUTSIDE:
        raise BusError(
            f"{JOINT_NAMES[worst]} is at {pose[worst]:.2f} rad, {outside[worst]:.2f} outside its "
            "limits: bring it back by hand; if it is where it belongs, run `smm calibrate`"
        )
