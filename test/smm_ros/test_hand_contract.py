"""What every hand keeps to, the twin and the real driver on virtual servos alike."""

import signal

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from smm_ros import interfaces as names
from smm_ros.action import ResetHand
from smm_ros.conversions import hand_state_from_msg, reset_goal, stamp_ns
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.spec import (
    CONTROL_PERIOD,
    JOINT_NAMES,
    POSITION_HIGH,
    POSITION_LOW,
    RESET_POSE,
    VALVE_NAME,
)
from smm_ros.dclaw.virtual.hand import VirtualHand
from smm_ros.dclaw.virtual.port import VirtualPort

PATIENT = {
    "bus_rate": 50.0,
    "bus_margin": 0.3,
    "blind_for": 1.0,
    "bus_watchdog": 2.0,
    "hold_after": 1.5,
    "limp_after": 3.0,
}
"""The machine may be busy; how short these can be is measured by benchmarks."""


@pytest.fixture(name="hand", params=["twin", "driver"])
def running_hand(request, use_hand):
    if request.param == "twin":
        hand = use_hand()
        hand.torque = None
        yield hand
        return
    with VirtualPort(VirtualHand()) as port:
        hand = use_hand(sim=False, port=port.path, **PATIENT)
        hand.torque = lambda: [servo.get(reg.TORQUE_ENABLE) for servo in port.hand.servos]
        yield hand
        hand.process.process.terminate()
        hand.process.wait()


def assert_fingers(hand, torque):
    """Ask the motors themselves, where there are some."""
    if hand.torque is not None:
        assert hand.torque() == [torque] * len(JOINT_NAMES) + [0]


def test_it_speaks_on_the_same_topics_in_the_same_way(hand, ros):
    def offered(topic):
        (info,) = ros.node.get_publishers_info_by_topic(f"/dclaw/{topic}")
        qos = info.qos_profile
        return info.topic_type, qos.reliability, qos.durability

    told = names.JOINT_STATES_QOS
    assert offered(names.JOINT_STATES) == (
        "sensor_msgs/msg/JointState",
        told.reliability,
        told.durability,
    )
    late = names.STOPPED_QOS
    assert offered(names.STOPPED) == ("std_msgs/msg/Bool", late.reliability, late.durability)
    (heard,) = ros.node.get_subscriptions_info_by_topic(f"/dclaw/{names.JOINT_COMMAND}")
    assert heard.topic_type == "trajectory_msgs/msg/JointTrajectory"
    assert ros.call(GetState, "hand/get_state").current_state.label == "active"


def test_its_states_are_whole_and_a_control_period_apart(hand, ros):
    ros.wait_for(lambda: len(hand.states) > 10, what="states")
    for message in hand.states:
        assert isinstance(message, JointState)
        assert list(message.name) == [*JOINT_NAMES, VALVE_NAME]
        for values in (message.position, message.velocity, message.effort):
            assert len(values) == len(JOINT_NAMES) + 1
            assert np.isfinite(values).all()
    apart = np.diff([stamp_ns(message) for message in hand.states]) / 1e9
    assert (apart > 0.5 * CONTROL_PERIOD).all()
    assert np.median(apart) == pytest.approx(CONTROL_PERIOD, rel=0.2)


def test_a_reset_brings_it_to_where_episodes_begin(hand):
    feedback = []
    outcome = hand.reset(0.5, feedback)
    assert outcome.success, outcome.message
    assert feedback[-1].attempt >= 1
    state = hand_state_from_msg(hand.states[-1])
    np.testing.assert_allclose(state.joint_position, RESET_POSE, atol=np.deg2rad(5))
    assert state.valve_angle == pytest.approx(0.5, abs=np.deg2rad(5))


def test_every_command_that_answers_a_state_is_answered_by_the_next_one(hand, ros):
    assert hand.reset().success
    hand.states[:-1] = []
    target = RESET_POSE + 0.2
    for _ in range(10):
        hand.step(target)
    assert len(hand.states) == 11
    apart = np.diff([stamp_ns(message) for message in hand.states]) / 1e9
    assert np.median(apart) == pytest.approx(CONTROL_PERIOD, rel=0.2)
    state = hand_state_from_msg(hand.states[-1])
    np.testing.assert_allclose(state.joint_position, target, atol=0.15)


def test_commands_that_answer_nothing_are_refused(hand):
    assert hand.reset().success
    hand.command(stamp=hand.stamp_ns - 1)
    hand.report("refused: wrong stamp", "1")


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 50.0, -50.0])
def test_what_is_unsafe_is_clamped(hand, wrong):
    assert hand.reset().success
    for _ in range(8):
        hand.step(wrong)
        found = hand_state_from_msg(hand.states[-1]).joint_position
        assert (found <= POSITION_HIGH + 0.3).all()
        assert (found >= POSITION_LOW - 0.3).all()
    reason = "position" if np.isfinite(wrong) else "not_finite"
    hand.report(f"clamped: {reason}", "8")


def test_a_stop_latches_and_is_told(hand, ros):
    stopped = ros.collect(Bool, names.STOPPED, names.STOPPED_QOS)
    assert hand.reset().success
    assert ros.call(Trigger, names.STOP).success
    assert_fingers(hand, torque=0)
    ros.wait_for(lambda: stopped and stopped[-1].data, what="the stop")
    hand.command()
    hand.report("refused: stopped", "1")
    assert not ros.send_goal(ResetHand, names.RESET_HAND, reset_goal(0.0)).accepted
    assert ros.call(Trigger, names.CLEAR_STOP).success
    ros.wait_for(lambda: not stopped[-1].data, what="the end of the stop")
    assert hand.reset().success
    assert_fingers(hand, torque=1)


def begin_reset(hand, ros):
    """Begin a reset and return its goal, with the hand on its way."""
    feedback = []
    goal = ros.send_goal(ResetHand, names.RESET_HAND, reset_goal(0.0), feedback)
    assert goal.accepted
    ros.wait_for(lambda: feedback, what="the first stage")
    return goal


def test_a_stop_in_the_middle_of_a_reset_ends_it(hand, ros):
    goal = begin_reset(hand, ros)
    assert ros.call(Trigger, names.STOP).success
    assert_fingers(hand, torque=0)
    if hand.torque is not None:  # the twin's is over at once
        assert "was stopped" in ros.result(goal.get_result_async()).result.message
    ros.spin(0.3)
    assert_fingers(hand, torque=0)
    assert ros.call(Trigger, names.CLEAR_STOP).success
    assert hand.reset().success


def test_a_reset_that_is_cancelled_leaves_the_hand_ready_for_the_next(hand, ros):
    goal = begin_reset(hand, ros)
    ros.result(goal.cancel_goal_async())
    ros.result(goal.get_result_async())
    assert_fingers(hand, torque=1)
    assert hand.reset().success


def test_deactivated_it_is_limp_and_activated_it_goes_on(hand, ros):
    def change(transition):
        request = ChangeState.Request(transition=Transition(id=transition))
        assert ros.call(ChangeState, "hand/change_state", request).success

    change(Transition.TRANSITION_DEACTIVATE)
    assert_fingers(hand, torque=0)
    change(Transition.TRANSITION_ACTIVATE)
    assert hand.reset().success
    assert_fingers(hand, torque=1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_ends_with_torque_off(hand, number):
    assert hand.reset().success
    hand.process.process.send_signal(number)
    assert hand.process.wait() == 0
    assert "torque off" in hand.process.output
    assert_fingers(hand, torque=0)
