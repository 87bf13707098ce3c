"""The hand as a lifecycle node: measured states out, joint commands and resets in, torque safe.

configure connects and checks, activate switches torque on, deactivate switches it off. The
simulated twin is in lock step with its commands; see `lockstep`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from smm_core.config import ConfigError
from smm_ros.conversions import (
    ConversionError,
    clock_to_msg,
    hand_state_to_msg,
    seconds_to_ns,
    target_from_msg,
)
from smm_ros.dclaw.hand import Hand, HandError, HandLimpError, HandState, ResetStages
from smm_ros.dclaw.spec import CONTROL_PERIOD
from smm_ros.diagnostics import Diagnostics
from smm_ros.hand_driver import HandConfig, make_hand
from smm_ros.hand_halt import HandHalt
from smm_ros.hand_report import EventTally, hand_report, verdict
from smm_ros.hand_reset import ResetServer
from smm_ros.hand_time import HandTime, SimulatedTime, WallTime
from smm_ros.interfaces import (
    CLEAR_STOP,
    CLOCK,
    CLOCK_QOS,
    HAND_NODE,
    JOINT_COMMAND,
    JOINT_COMMAND_QOS,
    JOINT_STATES,
    JOINT_STATES_QOS,
)
from smm_ros.lockstep import LockStep, Pace
from smm_ros.node_main import NodeError, run
from smm_ros.one_shot import OneShot
from smm_ros.parameters import declare
from smm_ros.periods import DelayMeter, PeriodMeter
from smm_ros.reports import Level

_OK, _FAILED = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class HandNode(LifecycleNode):
    """Drives one hand and speaks for it."""

    def __init__(self) -> None:
        """Declare parameters and interfaces; with `autostart` become active at once."""
        super().__init__(HAND_NODE)
        self._config = declare(
            self,
            HandConfig(),
            on_change={
                "real_time_factor": lambda factor: self._pace.set_factor(factor),
                "command_timeout": lambda timeout: self._lockstep.set_command_timeout(timeout),
            },
        )
        self._hand: Hand | None = None
        self._state: HandState | None = None
        self._active = False
        self._events = EventTally()
        self._lockstep = LockStep(self._config.command_timeout)
        self._pace = Pace(self._config.real_time_factor, seconds_to_ns(CONTROL_PERIOD))
        self._time: HandTime = SimulatedTime(self._pace) if self._config.sim else WallTime()
        self._periods, self._answers = PeriodMeter(), DelayMeter()
        self._make_interfaces()
        if self._config.autostart:
            self._start_by_itself()

    def _make_interfaces(self) -> None:
        self._states = self.create_publisher(JointState, JOINT_STATES, JOINT_STATES_QOS)
        self._clock_out = None
        if self._config.sim and self._config.publish_clock:
            self._clock_out = self.create_publisher(ClockMessage, CLOCK, CLOCK_QOS)
        self.create_subscription(
            JointTrajectory, JOINT_COMMAND, self._on_command, JOINT_COMMAND_QOS
        )
        self.halt = HandHalt(self, self._lockstep, self)
        self._resets = ResetServer(self, self)
        self._showing = OneShot(self)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(CONTROL_PERIOD, self._on_beat, clock=steady)
        self._diagnostics = Diagnostics(self, self._report)

    def _start_by_itself(self) -> None:
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() is not _OK:
                hint = "" if self._config.sim else "; sim:=true drives the twin instead"
                raise NodeError(f"the hand could not be started: {self.halt.fault}{hint}")

    # Lifecycle. rclpy swallows exceptions here, so each step goes through _attempt.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Connect to the hand and check it."""
        return self._attempt(self._connect)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Switch torque on and show the first state."""
        result = self._attempt(self._enable)
        return super().on_activate(state) if result is _OK else result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Switch torque off."""
        result = self._attempt(self._disable)
        return super().on_deactivate(state) if result is _OK else result

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Switch torque off and let go of the hand; it can be configured again."""
        return self._attempt(self._disconnect)

    on_shutdown = on_error = on_cleanup

    def close(self) -> None:
        """Switch torque off and let go of the hand, on every way out of the process."""
        try:
            self._disconnect()
        except HandError as error:
            self.get_logger().error(str(error))
        else:
            self.get_logger().info("torque off, hand released")

    def _attempt(self, step: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            step()
        except (HandError, ConfigError, OSError, ValueError) as error:
            self.halt.fault = str(error)
            self.get_logger().error(self.halt.fault)
            return _FAILED
        return _OK

    def _connect(self) -> None:
        self._hand, self.halt.fault = make_hand(self._config), ""
        self._hand.connect()

    def _enable(self) -> None:
        hand = self._connected()
        self._lockstep.hold()
        self._periods.restart()
        try:
            if self.halt.is_paused or not self._lockstep.stopped:
                hand.enable()
            self._show(hand.read())
        except HandLimpError as error:  # it will be well by itself
            self.halt.fail(error)
        self._active = True

    def _disable(self) -> None:
        self._deactivate()
        if self._hand is not None:
            self._hand.disable()

    def _deactivate(self) -> None:
        self._active = False
        self._showing.cancel()
        self._resets.end("the hand is not active")

    def _disconnect(self) -> None:
        self._deactivate()
        self.halt.end_pause()
        hand, self._hand = self._hand, None
        if hand is None:
            return
        try:
            hand.disable()
        finally:
            hand.close()

    def _connected(self) -> Hand:
        if self._hand is None:
            raise HandError("the hand is not connected: configure the node first")
        return self._hand

    # Commands and the passing of time.

    def _on_command(self, message: JointTrajectory) -> None:
        arrived = time.monotonic()
        if not self._active:
            self._lockstep.refuse("not active")
            return
        try:
            target = target_from_msg(message)
        except ConversionError as error:
            self._lockstep.refuse("malformed")
            self.get_logger().warning(str(error), throttle_duration_sec=1.0)
            return
        reason = self._lockstep.take(target.stamp_ns)
        if reason is not None:
            self.get_logger().debug(f"command refused: {reason}")
            return
        if self._lockstep.asked_at is not None:
            self._answers.add(arrived - self._lockstep.asked_at)
        self._move(lambda hand: hand.command(target.position))

    def _on_beat(self) -> None:
        self._tell_events()
        if not self._active:
            return
        self.halt.look_after(self._connected())
        if not self.halt.is_paused and self._lockstep.holds(time.monotonic()):
            self._move()

    def _move(self, command: Callable[[Hand], Any] | None = None) -> None:
        """Send the command, if any, let one control period pass and show what came of it."""
        try:
            hand = self._connected()
            if command is not None:
                command(hand)
            delay = self._time.pass_period(hand, is_answer=command is not None)
        except HandError as error:
            self.halt.fail(error)
            return
        if delay <= 0:
            self._show_present()
        else:
            self._showing.set(delay, self._show_present)

    def _show_present(self) -> None:
        try:
            self._show_new(self._connected().read())
        except HandError as error:
            self.halt.fail(error)

    def _show_new(self, state: HandState) -> None:
        """Show a state unless it is the one shown last: an old one is never told as new."""
        if self._state is None or state.stamp != self._state.stamp:
            self._show(state)

    def _show(self, state: HandState) -> None:
        """Publish the state as the current one."""
        now = time.monotonic()
        stamp_ns = seconds_to_ns(state.stamp)
        self._state = state
        self._time.shown(stamp_ns, now)
        self._lockstep.show(stamp_ns, now)
        self._periods.mark(now)
        # The clock first: whoever acts on the state finds its time already there.
        if self._clock_out is not None:
            self._clock_out.publish(clock_to_msg(stamp_ns))
        self._states.publish(hand_state_to_msg(state))

    def _tell_events(self) -> None:
        """Tell each event by itself: what is recorded of /diagnostics has all of them."""
        for event in self._hand.take_events() if self._hand is not None else ():
            self.get_logger().warning(event)
            self._events.add(event)
            self._diagnostics.publish()

    # Stop; see hand_halt.HandOwner.

    def driven_hand(self) -> Hand | None:
        """Return the hand that is active, None where none is."""
        return self._hand if self._active else None

    def connected_hand(self) -> Hand | None:
        """Return the hand, None where none is connected."""
        return self._hand

    def on_halt(self) -> None:
        """Tell of it at once; what was about to be shown or done is not."""
        self._showing.cancel()
        if self._lockstep.stopped:
            self._resets.end(f"the hand was stopped: {self.halt.fault or 'by a person'}")
        self._diagnostics.publish()

    # Reset; see hand_reset.Resettable.

    def reset_refusal(self) -> str | None:
        """Tell why no reset can go on now, or None where it can."""
        if not self._active:
            return "the hand is not active"
        if self._lockstep.stopped:
            return f"the hand is stopped; call {CLEAR_STOP}"
        return None

    def begin_reset(self, valve_angle: float) -> ResetStages:
        """Leave lock step and return the stages."""
        self._showing.cancel()
        self._lockstep.begin_reset()
        return self._connected().reset(valve_angle)

    def seconds_until_due(self) -> float:
        """Return how long to wait before the hand's state is shown, s; 0 or less for at once."""
        return self._time.until_due(self._connected())

    def show_in_reset(self) -> None:
        """Show the hand's state on the way, where time has passed since the last one."""
        self._show_new(self._connected().read())

    def end_reset(self, success: bool, error: HandError | None = None) -> int:
        """Go back to lock step, or to holding, or stop; return the state's stamp in ns."""
        self._lockstep.end_reset(success)
        if error is not None and self._active:
            self.halt.fail(error)
        return seconds_to_ns(self._state.stamp) if self._state is not None else 0

    # Health.

    def _report(self) -> tuple[Level, str, Mapping[str, Any]]:
        meters = self._periods, self._answers
        values, health = hand_report(self._lockstep, *meters, self._time, self._hand)
        values |= self._events.values()
        level, text = verdict(self.halt.fault, self._lockstep, health.warnings, self._active)
        return level, text, values


def main(args: Sequence[str] | None = None) -> int:
    """Run the hand node; returns the exit status."""
    return run(HandNode, args, expected=(HandError,))


if __name__ == "__main__":
    sys.exit(main())
