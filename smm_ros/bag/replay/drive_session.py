"""A hand in the graph led through a recorded episode: found, checked, reset, commanded, let go."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from smm_ros import interfaces as names
from smm_ros.bag.replay.episode_drive import SILENCE, EpisodeDrive, Phase
from smm_ros.bag.replay.reset_watch import ResetWatch
from smm_ros.conversions import (
    ConversionError,
    hand_state_from_msg,
    stamp_ns,
    target_to_msg,
    trigger_request,
    verdict_on,
)
from smm_ros.dclaw.hand import HandState
from smm_ros.guest import Guest
from smm_ros.node_main import NodeError
from smm_ros.reports import Level
from smm_ros.reset_client import ResetClient

FIND_WITHIN = 10.0
"""Time in which the hand has to show itself, s."""
SETTLED = 2.0
"""Time in which whoever else commands the hand is found, s."""
LOOK_PERIOD = 0.1
RESET_SILENCE, RESET_TIMEOUT = 5.0, 120.0
CANCEL_WITHIN = 2.0
"""Time in which a reset that is cancelled has to end, before the hand is stopped, s."""
WORDS_WITHIN = 1.0
"""Time in which a hand that has stopped says why, s."""
_BEAT = 0.05


class Interrupted(Exception):  # noqa: N818 - a person's wish, nothing went wrong
    """It was ended by Ctrl-C; the message says in what state the hand is left."""


class DriveSession:
    """Leads one hand. To be used in a `with`, which leaves the graph.

    `interrupts` counts how often a person wanted it to end: once for gently, twice for at once.
    """

    def __init__(self, namespace: str, interrupts: Callable[[], int]) -> None:
        """`namespace`: of the hand, with its slash."""
        self._namespace, self._interrupts = namespace, interrupts
        self._drive: EpisodeDrive | None = None
        self._newest: tuple[int, HandState] | None = None
        self._begin_ns = 0
        self._is_stopped: bool | None = None
        self._verdict: tuple[Level, str] | None = None
        self._heard = self._looked = 0.0
        self._reset_ns: int | None = None

    def __enter__(self) -> DriveSession:
        self._node = Guest("drive", self._namespace)
        self._executor = SingleThreadedExecutor(context=self._node.context)
        self._executor.add_node(self._node)
        self._make_interfaces()
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._node.destroy_node()

    def _make_interfaces(self) -> None:
        node = self._node
        self._commands = node.create_publisher(
            JointTrajectory, names.JOINT_COMMAND, names.JOINT_COMMAND_QOS
        )
        self._stop: Any = node.create_client(Trigger, names.STOP)
        self._resets = ResetClient(node, self._on_reset_done, RESET_SILENCE, RESET_TIMEOUT)
        # First: where both wait, a stop, or another's reset, is heard before the states of it.
        self._reset_watch = ResetWatch(node)
        node.create_subscription(Bool, names.STOPPED, self._on_stopped, names.STOPPED_QOS)
        node.create_subscription(
            JointState, names.JOINT_STATES, self._on_state, names.JOINT_STATES_QOS
        )
        node.create_subscription(
            DiagnosticArray, names.DIAGNOSTICS, self._on_diagnostics, names.DIAGNOSTICS_QOS
        )

    # What is done, in this order. Each raises NodeError where it can not be, or Interrupted.

    def find_hand(self) -> None:
        """Wait for a hand that is active, that nobody else commands or resets, and not stopped."""
        end = time.monotonic() + FIND_WITHIN
        while self._newest is None or not self._knows_all():
            self._look_around()
            if self._is_stopped:
                raise NodeError(f"the hand is stopped: {self._words()}; {self._advice()}")
            if time.monotonic() > end:
                raise NodeError(self._not_found())
        end = time.monotonic() + SETTLED
        while time.monotonic() < end:
            self._look_around()
        if self._reset_watch.is_any_under_way:
            raise NodeError("another node resets the hand; wait until that is over")
        self._reset_watch.begin()

    def reset(self, valve_angle: float) -> None:
        """Have the hand reset, with the valve at an angle, rad; however else this ends, not on."""
        try:
            while self._reset_ns is None:
                self._resets.ask(valve_angle)
                self._spin()
                self._check_reset()
        except Interrupted:
            raise Interrupted(self._end_reset()) from None
        except (NodeError, ConversionError) as error:
            if self._resets.is_under_way or self._resets.is_lost:
                raise NodeError(f"{error}; {self._end_reset()}") from error
            raise
        self._begin_ns = self._reset_ns

    def follow(self, drive: EpisodeDrive, tell: Callable[[Phase], None]) -> None:
        """Answer every state until the drive is done; `tell` is called with each phase."""
        self._drive, self._heard = drive, time.monotonic()
        told = None
        # After a reset time stands still until its state is answered; without, a new one comes.
        if self._newest is not None and 0 < self._begin_ns <= self._newest[0]:
            self._answer(*self._newest)
        while drive.phase is not Phase.DONE:
            if drive.phase is not told:
                told = drive.phase
                tell(told)
            self._spin()
            self._check_hand(drive)

    # What may go wrong meanwhile.

    def _check_reset(self) -> None:
        self._check_others()
        if self._is_stopped:
            raise NodeError(f"the hand stopped in its reset: {self._words()}")
        if self._resets.trouble:
            raise NodeError(f"{self._resets.trouble}; --no_reset goes on without")
        if self._interrupts():
            raise Interrupted

    def _end_reset(self) -> str:
        """Have the reset under way end here, or else the hand stop; return how that went."""
        self._resets.cancel()
        end = time.monotonic() + CANCEL_WITHIN
        while self._resets.is_under_way and time.monotonic() < end and self._interrupts() < 2:
            self._executor.spin_once(timeout_sec=_BEAT)
        if self._resets.is_under_way or self._resets.is_lost:
            return f"the reset had not ended; {self._stop_hand('it may go on with its reset')}"
        if not self._resets.trouble:
            return "the reset was over before it could be cancelled"
        stays = "" if self._is_stopped or self._is_others else ", the hand stays where it is"
        return self._resets.trouble + stays

    def _look_around(self) -> None:
        self._spin()
        self._check_others()
        if self._interrupts():
            raise Interrupted("the hand was not moved")

    def _check_hand(self, drive: EpisodeDrive) -> None:
        if self._is_stopped:
            raise NodeError(f"the hand has stopped: {self._words()}; {self._advice()}")
        if time.monotonic() - self._heard > SILENCE:
            words = f"; it says: {self._verdict[1]}" if self._verdict else ""
            raise NodeError(f"no state of the hand for {SILENCE:g} s{words}")
        self._check_others()
        if self._interrupts() > 1:
            raise Interrupted(self._stop_hand("it lets go by itself"))
        if self._interrupts():
            drive.ease_out("interrupted")

    def _check_others(self) -> None:
        """Raise NodeError where another node moves the hand: two would pull at it."""
        if self._is_others:
            raise NodeError("another node resets the hand, which is left to it")
        now = time.monotonic()
        if now - self._looked < LOOK_PERIOD:
            return
        self._looked = now
        others = self._node.other_publishers(names.JOINT_COMMAND)
        if others:
            topic = self._node.resolve_topic_name(names.JOINT_COMMAND)
            raise NodeError(f"{others[0]} commands the hand as well ({topic}); end it first")

    @property
    def _is_others(self) -> bool:
        """Whether another node had the hand reset, as far as it can be told from one's own."""
        mine = self._resets.goal_id
        is_told = bool(mine) or not self._resets.is_under_way
        return is_told and self._reset_watch.has_other(mine)

    def _stop_hand(self, unanswered: str) -> str:
        """Switch torque off; return how that went: `unanswered`, where the hand says nothing."""
        answer = self._stop.call_async(trigger_request())
        end = time.monotonic() + WORDS_WITHIN
        while not answer.done() and time.monotonic() < end:
            self._executor.spin_once(timeout_sec=_BEAT)
        told = answer.result() if answer.done() else None
        if told is None:
            return f"the hand did not answer to a stop; {unanswered}"
        return f"stopped: {told.message}" if told.success else f"not stopped: {told.message}"

    def _knows_all(self) -> bool:
        found = self._commands.get_subscription_count() and self._resets.is_ready
        return bool(found) and self._is_stopped is not None and self._stop.service_is_ready()

    def _not_found(self) -> str:
        topic = self._node.resolve_topic_name(names.JOINT_STATES)
        if self._newest is not None:
            return f"the hand shows states on {topic}, but does not offer the rest; is it ending?"
        if self._verdict is None:
            return f"no hand shows its state on {topic}; start it (smm up), or name it with --hand"
        return (
            f"the hand shows no state on {topic}; it says: {self._verdict[1]}; activate it: "
            f"ros2 lifecycle set {self._namespace}/{names.HAND_NODE} activate"
        )

    def _words(self) -> str:
        """Return why the hand has stopped, as it says itself."""
        end = time.monotonic() + WORDS_WITHIN
        while time.monotonic() < end and (self._verdict is None or self._verdict[0] is Level.OK):
            self._executor.spin_once(timeout_sec=_BEAT)
        return self._verdict[1] if self._verdict else "it does not say why"

    def _advice(self) -> str:
        service = self._node.resolve_service_name(names.CLEAR_STOP)
        return f"to go on: ros2 service call {service} std_srvs/srv/Trigger"

    # What arrives.

    def _spin(self) -> None:
        self._executor.spin_once(timeout_sec=_BEAT)

    def _on_stopped(self, message: Bool) -> None:
        self._is_stopped = message.data

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        name = f"{self._namespace.strip('/')}: {names.HAND_NODE}"
        self._verdict = verdict_on(message, name) or self._verdict

    def _on_reset_done(self, stamp: int) -> None:
        self._reset_ns = stamp

    def _on_state(self, message: JointState) -> None:
        state = hand_state_from_msg(message)
        self._heard, self._newest = time.monotonic(), (stamp_ns(message), state)
        if self._drive is not None and stamp_ns(message) >= self._begin_ns:
            self._answer(*self._newest)

    def _answer(self, stamp: int, state: HandState) -> None:
        assert self._drive is not None
        if self._is_others:
            return
        try:
            target = self._drive.see(stamp, state)
        except ValueError as error:  # a measurement that is none
            raise NodeError(str(error)) from error
        if target is not None:
            self._commands.publish(target_to_msg(target))
