"""The hand node in the test's own process, with a hand that fails on purpose."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from smm_ros import hand_node
from smm_ros.action import ResetHand
from smm_ros.conversions import reset_goal
from smm_ros.dclaw.hand import (
    HandError,
    HandHealth,
    HandLimpError,
    HandState,
    ResetStage,
    ResetStages,
)
from smm_ros.dclaw.safety_clamp import SafetyClamp
from smm_ros.hand_node import HandNode
from smm_ros.interfaces import CLEAR_STOP, DIAGNOSTICS, RESET_HAND, STOPPED, STOPPED_QOS


class FailingHand:
    """Keeps a record of what it is told, and fails where it is asked to."""

    def __init__(self) -> None:
        self.clamp = SafetyClamp()
        self.calls: list[str] = []
        self.fails_at = self.also_fails_at = self.fault = ""
        self.error: type[HandError] = HandError
        self.warnings: tuple[str, ...] = ()
        self.events: list[str] = []
        self._time = 0.0

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if call in (self.fails_at, self.also_fails_at):
            raise self.error(f"no answer to {call}")

    def health(self) -> HandHealth:
        return HandHealth({"lowest voltage (V)": 11.5}, self.warnings)

    def take_events(self) -> list[str]:
        events, self.events = self.events, []
        return events

    def connect(self) -> None:
        self._note("connect")

    def close(self) -> None:
        self._note("close")

    def enable(self) -> None:
        self._note("enable")

    def disable(self) -> None:
        self._note("disable")

    def advance(self, period_s: float) -> None:
        self._note("advance")
        self._time += period_s

    def reset(self, valve_angle: float) -> ResetStages:
        self._note("reset")
        try:
            for _ in range(3):
                yield ResetStage("turn", attempt=3)
                self._time += 0.1
            self._note("last stage")
        finally:
            self._note("reset ended")

    def read(self) -> HandState:
        self._note("read")
        zeros = np.zeros(9)
        return HandState(self._time, zeros, zeros, zeros, 0.0, 0.0, 0.0)


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> FailingHand:
    hand = FailingHand()
    monkeypatch.setattr(hand_node, "make_hand", lambda config: hand)
    return hand


@pytest.fixture
def executor(ros_environment: int) -> Iterator[SingleThreadedExecutor]:
    """Return an executor for the node; rclpy's default context lives as long as it does."""
    rclpy.init(
        args=["--ros-args", "-r", "__ns:=/dclaw"],
        signal_handler_options=SignalHandlerOptions.NO,
    )
    executor = SingleThreadedExecutor()
    yield executor
    executor.shutdown()
    rclpy.try_shutdown()


def test_fault_switches_torque_off_and_latches_until_it_is_cleared(ros, executor, hand):
    node = HandNode()
    executor.add_node(node)
    reports = ros.collect(DiagnosticArray, DIAGNOSTICS)

    def shows(text: str) -> bool:
        executor.spin_once(timeout_sec=0.01)
        return bool(reports) and text in reports[-1].status[0].message

    hand.fails_at = "advance"
    ros.wait_for(lambda: shows("no answer to advance"))
    assert "enable" not in hand.calls[hand.calls.index("disable") :]
    hand.fails_at = ""
    client = ros.node.create_client(Trigger, CLEAR_STOP)
    ros.wait_for(lambda: executor.spin_once(timeout_sec=0.01) or client.service_is_ready())
    answer = client.call_async(Trigger.Request())
    ros.wait_for(lambda: executor.spin_once(timeout_sec=0.01) or answer.done())
    assert answer.result().success
    assert "enable" in hand.calls[hand.calls.index("disable") :]
    ros.wait_for(lambda: shows("holding"))


def test_a_hand_that_let_go_by_itself_is_paused_and_goes_on_by_itself(ros, executor, hand):
    hand.warnings = ("motor 11 is at 72 C",)
    node = HandNode()
    executor.add_node(node)
    reports = ros.collect(DiagnosticArray, DIAGNOSTICS)
    stopped = ros.collect(Bool, STOPPED, STOPPED_QOS)

    def shows(text: str) -> bool:
        executor.spin_once(timeout_sec=0.01)
        return bool(reports) and text in reports[-1].status[0].message

    ros.wait_for(lambda: shows("motor 11 is at 72 C"), what="a warning")
    assert {"lowest voltage (V)"} <= {v.key for v in reports[-1].status[0].values}
    hand.fault = "motor 11 reports overload"
    ros.wait_for(lambda: shows("motor 11 reports overload"), what="the fault")
    ros.wait_for(lambda: stopped[-1].data, what="the pause")
    assert "disable" not in hand.calls  # it has done that by itself
    hand.fault = ""
    ros.wait_for(lambda: shows("motor 11 is at 72 C"), what="the hand's going on")
    ros.wait_for(lambda: not stopped[-1].data, what="the end of the pause")
    hand.fails_at, hand.error = "advance", HandLimpError
    ros.wait_for(lambda: shows("no answer to advance"), what="the next fault")
    hand.fails_at = ""
    ros.wait_for(lambda: shows("motor 11 is at 72 C"), what="the hand's going on again")


def test_a_person_who_stops_a_paused_hand_has_the_last_word(ros, executor, hand):
    node = HandNode()
    executor.add_node(node)
    hand.fault = "motor 11 reports overload"
    stopped = ros.collect(Bool, STOPPED, STOPPED_QOS)

    def spun(done: Callable[[], bool]) -> bool:
        executor.spin_once(timeout_sec=0.01)
        return done()

    ros.wait_for(lambda: spun(lambda: bool(stopped) and stopped[-1].data), what="the pause")
    node.halt.stop()
    # The plug that the person touches: measurements fail for a while, and come back.
    hand.fails_at, hand.error = "read", HandLimpError
    for _ in range(40):
        executor.spin_once(timeout_sec=0.01)
    hand.fault = hand.fails_at = ""
    beats = len(stopped)
    for _ in range(60):
        executor.spin_once(timeout_sec=0.01)
    assert all(message.data for message in stopped[beats:])
    node.halt.clear_stop()
    assert hand.calls[-1] == "enable"
    ros.wait_for(lambda: spun(lambda: not stopped[-1].data), what="the end of the stop")


def test_hand_that_can_not_be_connected_ends_the_node_with_the_reason(executor, hand):
    hand.fails_at = "connect"
    with pytest.raises(Exception, match="could not be started: no answer to connect"):
        HandNode()
    assert "enable" not in hand.calls


def test_closing_switches_torque_off_before_letting_go(executor, hand):
    node = HandNode()
    node.close()
    assert hand.calls[-2:] == ["disable", "close"]


def test_a_stop_that_failed_says_so(ros, executor, hand):
    node = HandNode()
    hand.fails_at = "disable"
    assert node.halt.stop() == "torque may be on: no answer to disable"
    hand.fails_at = ""
    assert node.halt.stop() == ""


class Spun:
    """A hand node that is spun while the test waits for something."""

    def __init__(self, ros, executor) -> None:
        self.node, self._ros, self._executor = HandNode(), ros, executor
        executor.add_node(self.node)
        self.reports = ros.collect(DiagnosticArray, DIAGNOSTICS)
        self.stopped = ros.collect(Bool, STOPPED, STOPPED_QOS)
        self._resets = ActionClient(ros.node, ResetHand, RESET_HAND)
        self.wait_for(self._resets.server_is_ready)
        self.wait_for(lambda: self.reports)
        # This side knows the node; what is said before the node knows this side is lost.
        settled = time.monotonic() + 0.3
        self.wait_for(lambda: time.monotonic() > settled)

    def wait_for(self, condition: Callable[[], object]) -> None:
        def spun() -> object:
            self._executor.spin_once(timeout_sec=0.01)
            return condition()

        self._ros.wait_for(spun)

    def shows(self, text: str) -> bool:
        return bool(self.reports) and text in self.reports[-1].status[0].message

    def is_stopped(self) -> bool:
        return bool(self.stopped) and self.stopped[-1].data

    def begin_reset(self):
        answer = self._resets.send_goal_async(reset_goal(0.0))
        self.wait_for(answer.done)
        assert answer.result().accepted
        return answer.result()

    def outcome(self, goal) -> ResetHand.Result:
        answer = goal.get_result_async()
        self.wait_for(answer.done)
        return answer.result().result


@pytest.fixture
def spun(ros, executor, hand) -> Spun:
    return Spun(ros, executor)


def test_a_reset_that_has_failed_is_not_begun_again_before_a_person_says_so(spun, hand):
    hand.fails_at = "last stage"
    outcome = spun.outcome(spun.begin_reset())
    assert not outcome.success
    assert outcome.message == "no answer to last stage"
    assert "disable" in hand.calls[hand.calls.index("reset ended") :]
    spun.wait_for(lambda: spun.is_stopped() and spun.shows("no answer to last stage"))
    hand.fails_at = ""
    spun.node.halt.clear_stop()
    assert spun.outcome(spun.begin_reset()).success


def test_a_reset_that_is_cancelled_ends_and_stops_nothing(spun, hand):
    goal = spun.begin_reset()
    cancelled = goal.cancel_goal_async()
    spun.wait_for(cancelled.done)
    assert spun.outcome(goal).message == "it was cancelled"
    assert hand.calls.count("reset ended") == 1
    assert "disable" not in hand.calls
    assert not spun.is_stopped()


def test_a_newer_reset_begins_after_the_older_one_has_ended(spun, hand):
    older = spun.begin_reset()
    newer = spun.begin_reset()
    assert spun.outcome(older).message == "a newer reset took its place"
    assert spun.outcome(newer).success
    order = [call for call in hand.calls if call.startswith("reset")]
    assert order == ["reset", "reset ended", "reset", "reset ended"]


def test_every_event_is_told_by_itself_stopped_or_not(spun, hand):
    spun.node.halt.stop()
    hand.events = ["motor 11 reports overload", "recovered from: motor 11 reports overload"]

    def told() -> list[str]:
        pairs = (pair for report in spun.reports for pair in report.status[0].values)
        return [pair.value for pair in pairs if pair.key == "last event"]

    spun.wait_for(lambda: len(set(told())) == 2)
    assert told()[:1] == ["motor 11 reports overload"]


def test_a_hand_that_mends_a_fault_is_activated_paused(ros, executor, hand):
    hand.fails_at, hand.error, hand.fault = "enable", HandLimpError, "motor 11 reports overload"
    spun = Spun(ros, executor)
    spun.wait_for(spun.is_stopped)
    hand.fails_at = hand.fault = ""
    spun.wait_for(lambda: not spun.is_stopped())


def test_a_stop_that_is_cleared_while_a_fault_is_mended_goes_on_by_itself(spun, hand):
    spun.node.halt.stop()
    hand.fails_at, hand.error, hand.fault = "enable", HandLimpError, "motor 22 reports overheating"
    assert spun.node.halt.clear_stop() == "no answer to enable"
    spun.wait_for(spun.is_stopped)
    hand.fails_at = hand.fault = ""
    spun.wait_for(lambda: not spun.is_stopped())


def test_a_stopped_hand_that_does_not_answer_is_told_of_once(spun, hand):
    """Each try to switch off a silent hand takes long: the node would answer to nobody."""
    spun.node.halt.stop()
    hand.fails_at, hand.error = "read", HandLimpError
    hand.also_fails_at = "disable"
    before = hand.calls.count("disable")
    spun.wait_for(lambda: spun.shows("no answer to read"))
    for _ in range(50):
        spun.wait_for(lambda: True)
    assert hand.calls.count("disable") == before
    assert spun.is_stopped()


def test_a_reset_under_way_does_not_outlive_a_stop_that_is_cleared_at_once(spun, hand):
    goal = spun.begin_reset()
    spun.node.halt.stop()
    spun.node.halt.clear_stop()
    assert "the hand was stopped" in spun.outcome(goal).message
    assert spun.outcome(spun.begin_reset()).success


def test_a_pause_ends_where_the_hand_is_activated_anew(spun, hand):
    hand.fault = "motor 11 reports overload"
    spun.wait_for(spun.is_stopped)
    spun.node.trigger_deactivate()
    hand.fault = ""
    spun.node.trigger_activate()
    assert hand.calls[-2:] == ["enable", "read"]
    spun.wait_for(lambda: not spun.is_stopped())
