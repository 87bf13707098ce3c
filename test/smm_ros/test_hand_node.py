"""The hand node as a process, driven over its topics, services and action."""

import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import DescribeParameters
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Bool
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from smm_ros.action import ResetHand
from smm_ros.conversions import (
    hand_state_from_msg,
    reset_goal,
    reset_outcome_from_msg,
    stamp_ns,
    time_to_ns,
)
from smm_ros.dclaw.spec import POSITION_HIGH
from smm_ros.hand_report import ANSWER_LONGEST, ANSWER_MEDIAN, ANSWER_P99
from smm_ros.interfaces import (
    CLEAR_STOP,
    CLOCK,
    CLOCK_QOS,
    RESET_HAND,
    STOP,
    STOPPED,
    STOPPED_QOS,
)

PERIOD_NS = 100_000_000


@pytest.fixture
def hand(use_hand: Callable[..., Any]) -> Any:
    """Return the user of a running hand that goes as fast as it can."""
    return use_hand(real_time_factor=0.0)


def test_fifty_commands_give_fifty_states_one_control_period_apart(hand, ros):
    feedback = []
    outcome = hand.reset(0.5, feedback)
    assert outcome.success
    assert [stage.attempt for stage in feedback] == [1]
    assert hand_state_from_msg(hand.states[-1]).valve_angle == pytest.approx(0.5, abs=0.05)
    hand.states[:-1] = []
    for _ in range(50):
        hand.step()
    ros.spin(0.3)
    stamps = [stamp_ns(message) for message in hand.states]
    assert np.diff(stamps).tolist() == [PERIOD_NS] * 50


def test_commands_that_do_not_answer_the_current_state_are_refused_and_counted(hand, ros):
    hand.reset()
    hand.step()
    seen = len(hand.states)
    hand.command(stamp=hand.stamp_ns - PERIOD_NS)
    hand.command(stamp=hand.stamp_ns + 1)
    hand.report("refused: wrong stamp", "2")
    assert len(hand.states) == seen


def test_malformed_command_is_refused_and_counted(hand):
    hand.reset()
    hand._commands.publish(JointTrajectory(joint_names=["thumb"]))
    hand.report("refused: malformed", "1")


def test_command_that_is_not_a_number_is_clamped_and_counted(hand):
    hand.reset()
    hand.step(np.nan)
    hand.step(POSITION_HIGH + 1.0)
    assert np.isfinite(hand.states[-1].position).all()
    hand.report("clamped: not_finite", "1")
    hand.report("clamped: position", "1")


def test_stop_latches_until_it_is_cleared(hand, ros):
    hand.reset()
    assert ros.call(Trigger, STOP).success
    hand.command()
    hand.report("refused: stopped", "1")
    handle = ros.send_goal(ResetHand, RESET_HAND, reset_goal(0.0))
    assert not handle.accepted
    ros.spin(0.3)
    assert hand.states[-1].effort.tolist() == [0.0] * 10
    assert ros.call(Trigger, CLEAR_STOP).success
    assert hand.reset().success
    hand.step()


def test_whether_it_is_stopped_is_known_to_who_comes_late(hand, ros):
    assert ros.call(Trigger, STOP).success
    told = ros.collect(Bool, STOPPED, STOPPED_QOS)
    ros.wait_for(lambda: [message.data for message in told] == [True])
    assert ros.call(Trigger, CLEAR_STOP).success
    ros.wait_for(lambda: [message.data for message in told] == [True, False])


def test_clock_never_goes_back_and_shows_each_state_its_time(hand, ros):
    clock = ros.collect(Clock, CLOCK, CLOCK_QOS)
    ros.wait_for(lambda: clock)
    for _ in range(3):
        hand.reset()
        for _ in range(5):
            hand.step()
    ros.wait_for(lambda: time_to_ns(clock[-1].clock) == hand.stamp_ns)
    assert np.diff([time_to_ns(message.clock) for message in clock]).min() > 0


def test_hand_tells_how_soon_its_states_are_answered(hand, reports):
    hand.reset()
    for _ in range(5):
        hand.step()
    values = reports.wait_for("hand", lambda r: float(r.values[ANSWER_MEDIAN]) > 0).values
    median, p99, longest = (
        float(values[name]) for name in (ANSWER_MEDIAN, ANSWER_P99, ANSWER_LONGEST)
    )
    assert 0 < median <= p99 <= longest


def test_hand_without_commands_lives_in_real_time(hand, ros):
    hand.states.clear()
    ros.spin(2.0)
    assert 16 <= len(hand.states) <= 24
    assert set(np.diff([stamp_ns(m) for m in hand.states])) == {PERIOD_NS}


def test_hand_leaves_lock_step_when_commands_stay_away(ros, use_hand):
    hand = use_hand(real_time_factor=0.0, command_timeout=0.5)
    hand.reset()
    seen = len(hand.states)
    ros.spin(0.3)
    assert len(hand.states) == seen
    ros.wait_for(lambda: len(hand.states) > seen + 2)


def test_real_time_factor_paces_the_steps(use_hand):
    hand = use_hand(real_time_factor=2.0)
    hand.reset()
    hand.step()
    start = time.monotonic()
    for _ in range(20):
        hand.step()
    assert time.monotonic() - start == pytest.approx(1.0, abs=0.15)


def test_newer_reset_takes_the_place_of_one_under_way(ros, use_hand):
    hand = use_hand(real_time_factor=0.2)
    first = ros.send_goal(ResetHand, RESET_HAND, reset_goal(0.0))
    second = ros.send_goal(ResetHand, RESET_HAND, reset_goal(1.0))
    outcomes = [
        reset_outcome_from_msg(ros.result(handle.get_result_async()).result)
        for handle in (first, second)
    ]
    assert [outcome.success for outcome in outcomes] == [False, True]
    assert "newer reset" in outcomes[0].message
    ros.wait_for(lambda: hand.stamp_ns == outcomes[1].stamp_ns)
    assert hand_state_from_msg(hand.states[-1]).valve_angle == pytest.approx(1.0, abs=0.05)


def test_cancelled_reset_ends_and_leaves_the_hand_usable(ros, use_hand):
    hand = use_hand(real_time_factor=0.1)
    handle = ros.send_goal(ResetHand, RESET_HAND, reset_goal(0.0))
    ros.result(handle.cancel_goal_async())
    outcome = reset_outcome_from_msg(ros.result(handle.get_result_async()).result)
    assert outcome.message == "it was cancelled"
    assert hand.reset().success


def test_reset_to_an_angle_the_valve_can_not_reach_is_an_error_with_a_message(hand):
    outcome = hand.reset(100.0)
    assert not outcome.success
    assert "100.0" in outcome.message
    assert hand.reset().success


def test_lifecycle_switches_the_hand_on_and_off(ros, start_node, use_hand):
    process = start_node("hand", autostart=False, real_time_factor=0.0)

    def change(number: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=number))
        return ros.call(ChangeState, "hand/change_state", request).success

    def state() -> str:
        return ros.call(GetState, "hand/get_state").current_state.label

    assert state() == "unconfigured"
    assert change(Transition.TRANSITION_CONFIGURE)
    assert change(Transition.TRANSITION_ACTIVATE)
    hand = use_hand(process)
    assert hand.reset().success
    assert change(Transition.TRANSITION_DEACTIVATE)
    hand.command()
    hand.report("refused: not active", "1")
    assert not ros.send_goal(ResetHand, RESET_HAND, reset_goal(0.0)).accepted
    assert ros.call(Trigger, STOP).success
    assert change(Transition.TRANSITION_CLEANUP)
    assert state() == "unconfigured"
    assert change(Transition.TRANSITION_CONFIGURE)
    assert change(Transition.TRANSITION_ACTIVATE)
    # The stop outlasts it all.
    assert not ros.send_goal(ResetHand, RESET_HAND, reset_goal(0.0)).accepted
    assert ros.call(Trigger, CLEAR_STOP).success
    assert hand.reset().success
    assert process.running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_within_two_seconds_torque_off(hand, number):
    hand.reset()
    hand.process.process.send_signal(number)
    start = time.monotonic()
    assert hand.process.wait() == 0
    assert time.monotonic() - start < 2.0
    assert "torque off" in hand.process.output


def test_parameters_can_be_described(hand, ros):
    request = DescribeParameters.Request(names=["real_time_factor", "seed"])
    factor, seed = ros.call(DescribeParameters, "hand/describe_parameters", request).descriptors
    assert "as fast as it can" in factor.description
    assert factor.floating_point_range[0].from_value == 0.0
    assert seed.read_only


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"sim": False, "port": "/dev/none"}, "/dev/none can not be opened"),
        ({"sim": False, "limp_after": 0.1}, "limp_after is 0.1, expected at least hold_after"),
        ({"sim": False, "calibration": "/none.yaml"}, "/none.yaml"),
        ({"real_time_factor": -1.0}, "parameter real_time_factor is -1.0"),
        ({"sede": 1}, "did you mean 'seed'"),
    ],
)
def test_bad_parameters_end_it_with_one_line(start_node, parameters, error):
    process = start_node("hand", **parameters)
    assert process.wait() == 1
    assert error in process.output
    assert "Traceback" not in process.output
