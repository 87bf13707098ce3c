import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message

from smm_ros import conversions
from smm_ros.dclaw.hand import HandState
from smm_ros.dclaw.spec import JOINT_NAMES
from smm_ros.records import (
    EpisodeRecord,
    HandProgress,
    JointTarget,
    PolicyRecord,
    ResetOutcome,
    StatusRecord,
    TransitionRecord,
)
from smm_ros.reports import Level, Report

STAMP_NS = 12_300_000_001

EPISODE = EpisodeRecord(
    STAMP_NS, "dclaw", 3, 1, 9, 50, -7.5, 0.1, 7.0, -0.2, 7.1, 4, 2, interrupted=True
)
POLICY = PolicyRecord(
    STAMP_NS, 7, "ab" * 32, 12, 9, 4, 5000, (5, 6, 7), (0.25, 0.25, 0.5), (0.25,) * 4,
    bytes(range(256)) * 3,
)  # fmt: skip
STATUS = StatusRecord(
    STAMP_NS, 100, 90, 1000, 12.5, 11.5, 3, 99, 1000,
    (HandProgress("left", 5, 50, 0), HandProgress("right", 2**40, 2**40 + 1, 3)),
    {"entropy/density": 1.5, "loss": float("nan")}, "/run/step_100", done=False,
)  # fmt: skip
OUTCOME = ResetOutcome(False, "stuck", 3, STAMP_NS)


def over_the_wire(message):
    """Return what a subscriber would get."""
    return deserialize_message(serialize_message(message), type(message))


def hand_state(**changes) -> HandState:
    joints = np.linspace(-1.0, 1.0, 9)
    values = {
        "stamp": 2.5,
        "joint_position": joints,
        "joint_velocity": 2 * joints,
        "joint_effort": 3 * joints,
        "valve_angle": 9.5,
        "valve_velocity": -0.5,
        "valve_effort": 0.25,
    }
    return HandState(**values | changes)


def transition(**changes) -> TransitionRecord:
    values = {
        "stamp_ns": STAMP_NS,
        "hand": "dclaw",
        "sequence": 2**50,
        "episode": 3,
        "step": 49,
        "skill": 2,
        "policy_version": 8,
        "observation": np.arange(12, dtype=np.float32) / 7,
        "action": np.linspace(-1, 1, 9, dtype=np.float32),
        "next_observation": np.arange(12, dtype=np.float32) / 3,
        "log_p_shaping": -0.5,
        "terminated": False,
        "truncated": True,
    }
    return TransitionRecord(**values | changes)


@given(st.integers(0, 2**31 * 10**9 - 1))
def test_a_stamp_keeps_every_nanosecond(nanoseconds):
    assert conversions.time_to_ns(conversions.ns_to_time(nanoseconds)) == nanoseconds


@given(st.integers(0, 10**7))
def test_control_periods_are_whole_nanoseconds_for_as_long_as_a_hand_runs(steps):
    assert conversions.seconds_to_ns(steps * 40 * 0.0025) == steps * 100_000_000


def test_hand_state_survives_the_wire_with_the_valve_unwrapped():
    state = hand_state()
    back = conversions.hand_state_from_msg(over_the_wire(conversions.hand_state_to_msg(state)))
    for name in ("joint_position", "joint_velocity", "joint_effort"):
        np.testing.assert_array_equal(getattr(back, name), getattr(state, name))
    assert (back.stamp, back.valve_angle, back.valve_velocity, back.valve_effort) == (
        2.5, 9.5, -0.5, 0.25,
    )  # fmt: skip


def test_joints_in_another_order_are_put_right():
    message = conversions.hand_state_to_msg(hand_state())
    for field in ("name", "position", "velocity", "effort"):
        setattr(message, field, list(getattr(message, field))[::-1])
    back = conversions.hand_state_from_msg(message)
    np.testing.assert_array_equal(back.joint_position, hand_state().joint_position)
    assert back.valve_angle == 9.5


def test_joint_state_without_velocities_is_refused():
    message = conversions.hand_state_to_msg(hand_state())
    message.velocity = []
    with pytest.raises(conversions.ConversionError, match="0 entries in velocity, expected 10"):
        conversions.hand_state_from_msg(message)


@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf")])
def test_target_survives_the_wire_even_where_it_is_not_finite(value):
    position = np.full(9, value)
    message = over_the_wire(conversions.target_to_msg(JointTarget(STAMP_NS, position)))
    back = conversions.target_from_msg(message)
    assert back.stamp_ns == STAMP_NS
    np.testing.assert_array_equal(back.position, position)


def test_target_names_in_another_order_are_put_right():
    message = conversions.target_to_msg(JointTarget(0, np.arange(9.0)))
    message.joint_names = list(reversed(JOINT_NAMES))
    np.testing.assert_array_equal(
        conversions.target_from_msg(message).position, np.arange(9.0)[::-1]
    )


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("points", [], "0 points, expected one"),
        ("joint_names", ["thumb"], "is for thumb; expected joint_10"),
        ("joint_names", [], "is for no joints"),
        ("joint_names", ["joint_10"] * 9, "expected joint_10, joint_11"),
    ],
)
def test_command_that_is_not_one_point_for_the_nine_joints_is_refused(field, value, error):
    message = conversions.target_to_msg(JointTarget(0, np.zeros(9)))
    setattr(message, field, value)
    with pytest.raises(conversions.ConversionError, match=error):
        conversions.target_from_msg(message)


def test_command_with_too_few_positions_is_refused():
    message = conversions.target_to_msg(JointTarget(0, np.zeros(9)))
    message.points[0].positions = [0.0] * 8
    with pytest.raises(conversions.ConversionError, match="8 positions, expected 9"):
        conversions.target_from_msg(message)


def test_transition_survives_the_wire():
    record = transition()
    back = conversions.transition_from_msg(over_the_wire(conversions.transition_to_msg(record)))
    for name in TransitionRecord.__annotations__:
        np.testing.assert_array_equal(getattr(back, name), getattr(record, name), err_msg=name)
    assert back.observation.dtype == np.float32


def test_converted_transition_does_not_share_memory_with_the_message():
    message = conversions.transition_to_msg(transition())
    record = conversions.transition_from_msg(message)
    message.observation[0] = 99.0
    assert record.observation[0] == 0.0


def test_learner_sees_the_transition_as_one_run():
    step = transition().as_transition()
    assert (step.obs.shape, step.action.shape, step.next_obs.shape) == ((1, 12), (1, 9), (1, 12))
    assert (step.reward.tolist(), step.skill.tolist()) == ([-0.5], [2])
    assert (step.terminated.tolist(), step.truncated.tolist()) == ([False], [True])


@pytest.mark.parametrize(
    ("record", "to_msg", "from_msg"),
    [
        (EPISODE, conversions.episode_to_msg, conversions.episode_from_msg),
        (POLICY, conversions.policy_to_msg, conversions.policy_from_msg),
        (OUTCOME, conversions.reset_outcome_to_msg, conversions.reset_outcome_from_msg),
    ],
    ids=["episode", "policy", "reset outcome"],
)
def test_record_survives_the_wire(record, to_msg, from_msg):
    assert from_msg(over_the_wire(to_msg(record))) == record


def test_status_survives_the_wire():
    message = over_the_wire(conversions.status_to_msg(STATUS))
    back = conversions.status_from_msg(message)
    # repr, because a loss may be NaN, which equals nothing.
    assert repr(back) == repr(STATUS)
    assert back.progress_of("right").gaps == 3
    assert back.progress_of("middle") is None


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("gaps", [0], "2 hands but 2, 2, 1 numbers"),
        ("metric_names", ["one"], "1 metric names for 2 values"),
    ],
)
def test_status_with_lists_of_different_lengths_is_refused(field, value, error):
    message = conversions.status_to_msg(STATUS)
    setattr(message, field, value)
    with pytest.raises(conversions.ConversionError, match=error):
        conversions.status_from_msg(message)


def test_report_becomes_one_diagnostic_status():
    report = Report("dclaw: hand", Level.WARN, "slow", {"rate (Hz)": 9.87654321, "gaps": 2})
    message = over_the_wire(conversions.report_to_msg(report, STAMP_NS))
    (status,) = message.status
    assert (status.level, status.name, status.message) == (b"\x01", "dclaw: hand", "slow")
    assert [(v.key, v.value) for v in status.values] == [("rate (Hz)", "9.87654"), ("gaps", "2")]
