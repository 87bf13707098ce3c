"""The hand as a lifecycle node: measured states out, joint commands and resets in, torque safe.

configure connects and checks, activate switches torque on, deactivate switches it off. The
simulated twin is in lock step with its commands; see `lockstep`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from smm_core.config import ConfigError
from smm_ros.conversions import (
    ConversionError,
    clock_to_msg,
    hand_state_to_msg,
    seconds_to_ns,
    stopped_to_msg,
    target_from_msg,
)
from smm_ros.dclaw.hand import Hand, HandError, HandState, ResetStage
from smm_ros.dclaw.spec import CONTROL_PERIOD
from smm_ros.diagnostics import Diagnostics
from smm_ros.hand_driver import HandConfig, make_hand, require_driver
from smm_ros.hand_reset import ResetServer
from smm_ros.interfaces import (
    CLEAR_STOP,
    CLOCK,
    CLOCK_QOS,
    HAND_NODE,
    JOINT_COMMAND,
    JOINT_COMMAND_QOS,
    JOINT_STATES,
    JOINT_STATES_QOS,
    STOP,
    STOPPED,
    STOPPED_QOS,
)
from smm_ros.lockstep import LockStep, Pace
from smm_ros.node_main import NodeError, run
from smm_ros.one_shot import OneShot
from smm_ros.parameters import declare
from smm_ros.periods import PeriodMeter
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
        require_driver(self._config.sim)
        self._hand: Hand | None = None
        self._state: HandState | None = None
        self._active = False
        self._fault = ""
        self._lockstep = LockStep(self._config.command_timeout)
        self._pace = Pace(self._config.real_time_factor, seconds_to_ns(CONTROL_PERIOD))
        self._periods = PeriodMeter()
        self._make_interfaces()
        if self._config.autostart:
            self._start_by_itself()

    def _make_interfaces(self) -> None:
        self._states = self.create_publisher(JointState, JOINT_STATES, JOINT_STATES_QOS)
        self._stopped = self.create_publisher(Bool, STOPPED, STOPPED_QOS)
        self._tell_stopped()
        self._clock_out = None
        if self._config.sim and self._config.publish_clock:
            self._clock_out = self.create_publisher(ClockMessage, CLOCK, CLOCK_QOS)
        self.create_subscription(
            JointTrajectory, JOINT_COMMAND, self._on_command, JOINT_COMMAND_QOS
        )
        self.create_service(Trigger, STOP, self._on_stop)
        self.create_service(Trigger, CLEAR_STOP, self._on_clear_stop)
        self._resets = ResetServer(self, self)
        self._showing = OneShot(self)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(CONTROL_PERIOD, self._on_beat, clock=steady)
        self._diagnostics = Diagnostics(self, self._report)

    def _start_by_itself(self) -> None:
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() is not _OK:
                raise NodeError(f"the hand could not be started: {self._fault}")

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
        """Let go of the hand."""
        return self._attempt(self._disconnect)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Switch torque off and let go of the hand."""
        return self._attempt(self._disconnect)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Switch torque off and let go of the hand; it can be configured again."""
        return self._attempt(self._disconnect)

    def close(self) -> None:
        """Switch torque off and let go of the hand, on every way out of the process."""
        self._disconnect()
        self.get_logger().info("torque off, hand released")

    def _attempt(self, step: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            step()
        except (HandError, ConfigError, OSError, ValueError) as error:
            self._fault = str(error)
            self.get_logger().error(self._fault)
            return _FAILED
        return _OK

    def _connect(self) -> None:
        self._hand = make_hand(self._config)
        self._hand.connect()
        self._fault = ""

    def _enable(self) -> None:
        if not self._lockstep.stopped:
            self._connected().enable()
        self._active = True
        self._lockstep.hold()
        self._periods.restart()
        self._show(self._connected().read())

    def _disable(self) -> None:
        self._active = False
        self._showing.cancel()
        if self._hand is not None:
            self._hand.disable()

    def _disconnect(self) -> None:
        self._disable()
        if self._hand is not None:
            self._hand.close()
        self._hand = None

    def _connected(self) -> Hand:
        if self._hand is None:
            raise HandError("the hand is not connected: configure the node first")
        return self._hand

    # Commands and the passing of time.

    def _on_command(self, message: JointTrajectory) -> None:
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
        self._move(lambda hand: hand.command(target.position))

    def _on_beat(self) -> None:
        if self._active and self._lockstep.holds(time.monotonic()):
            self._move()

    def _move(self, command: Callable[[Hand], Any] | None = None) -> None:
        """Send the command, if any, let one control period pass and show what came of it."""
        try:
            hand = self._connected()
            if command is not None:
                command(hand)
            hand.advance(CONTROL_PERIOD)
            state = hand.read()
        except HandError as error:
            self._fail(error)
            return
        if command is None:
            self._show(state)
        else:
            self._show_when_due(state)

    def _show_when_due(self, state: HandState) -> None:
        delay = self._delay(state)
        if delay <= 0:
            self._show(state)
        else:
            self._showing.set(delay, lambda: self._show(state))

    def _delay(self, state: HandState) -> float:
        return self._pace.due(seconds_to_ns(state.stamp)) - time.monotonic()

    def _show(self, state: HandState) -> None:
        """Publish the state as the current one."""
        now = time.monotonic()
        stamp_ns = seconds_to_ns(state.stamp)
        self._state = state
        self._pace.shown(stamp_ns, now)
        self._lockstep.show(stamp_ns, now)
        self._periods.mark(now)
        # The clock first: whoever acts on the state finds its time already there.
        if self._clock_out is not None:
            self._clock_out.publish(clock_to_msg(stamp_ns))
        self._states.publish(hand_state_to_msg(state))

    def _fail(self, error: HandError) -> None:
        """After a fault the hand stays limp until someone clears the stop."""
        self._fault = str(error)
        self.get_logger().error(f"stopped by a fault: {error}", throttle_duration_sec=5.0)
        self._stop()

    # Stop.

    def _stop(self) -> None:
        self._showing.cancel()
        self._lockstep.stop()
        if self._hand is not None:
            self._hand.disable()
        self._tell_stopped()

    def _tell_stopped(self) -> None:
        self._stopped.publish(stopped_to_msg(self._lockstep.stopped))

    def _on_stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._stop()
        response.success = True
        response.message = f"torque is off until {CLEAR_STOP}"
        self.get_logger().warning(f"stopped: {response.message}")
        return response

    def _on_clear_stop(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        try:
            if self._active and self._lockstep.stopped:
                self._connected().enable()
        except HandError as error:
            response.message = f"still stopped: {error}"
            return response
        self._lockstep.clear_stop()
        self._tell_stopped()
        self._fault = ""
        response.success = True
        response.message = "the stop is cleared"
        self.get_logger().info(response.message)
        return response

    # Reset; see hand_reset.Resettable.

    def reset_refusal(self) -> str | None:
        """Tell why no reset can go on now, or None where it can."""
        if not self._active:
            return "the hand is not active"
        if self._lockstep.stopped:
            return f"the hand is stopped; call {CLEAR_STOP}"
        return None

    def begin_reset(self, valve_angle: float) -> Iterator[ResetStage]:
        """Leave lock step and return the stages."""
        self._showing.cancel()
        self._lockstep.begin_reset()
        return self._connected().reset(valve_angle)

    def seconds_until_due(self) -> float:
        """Return how long to wait before the hand's state is shown, s; 0 or less for at once."""
        return self._delay(self._connected().read())

    def show_in_reset(self) -> None:
        """Show the hand's state on the way, where time has passed since the last one."""
        state = self._connected().read()
        if self._state is None or state.stamp != self._state.stamp:
            self._show(state)

    def end_reset(self, success: bool) -> int:
        """Go back to lock step, or to holding after a failure; return the state's stamp in ns."""
        self._lockstep.end_reset(success)
        return seconds_to_ns(self._state.stamp) if self._state is not None else 0

    # Health.

    def _report(self) -> tuple[Level, str, Mapping[str, Any]]:
        values: dict[str, Any] = {
            "phase": self._lockstep.phase.value,
            "stopped": self._lockstep.stopped,
            "commands taken": self._lockstep.taken,
        }
        values |= {f"refused: {reason}": n for reason, n in self._lockstep.refused.items()}
        if self._hand is not None:
            values |= {f"clamped: {reason}": n for reason, n in self._hand.clamp.counts.items()}
        periods = self._periods.summary()
        values |= {
            "state rate (Hz)": periods.rate_hz,
            "state period median (s)": periods.median,
            "state period p99 (s)": periods.p99,
            "state period longest (s)": periods.longest,
        }
        if self._fault:
            return Level.ERROR, self._fault, values
        if self._lockstep.stopped:
            return Level.WARN, f"stopped, torque off until {CLEAR_STOP}", values
        if not self._active:
            return Level.OK, "not active, torque off", values
        return Level.OK, self._lockstep.phase.value, values


def main(args: Sequence[str] | None = None) -> int:
    """Run the hand node; returns the exit status."""
    return run(HandNode, args, expected=(HandError,))


if __name__ == "__main__":
    sys.exit(main())
