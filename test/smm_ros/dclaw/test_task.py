import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from smm_ros.dclaw import spec, task
from smm_ros.dclaw.hand import HandState, HandStates
from smm_ros.dclaw.safety_clamp import SafetyClamp

REST = HandState(
    stamp=0.0,
    joint_position=np.array(spec.RESET_POSE),
    joint_velocity=np.zeros(9),
    joint_effort=np.zeros(9),
    valve_angle=0.5,
    valve_velocity=-2.0,
    valve_effort=0.0,
)

actions = arrays(np.float32, 9, elements=st.floats(-1, 1, width=32))
poses = arrays(np.float64, 9, elements=st.floats(-2, 2))


def at(pose: np.ndarray, **others: object) -> HandState:
    return dataclasses.replace(REST, joint_position=pose, **others)


def test_the_observation_is_laid_out_as_named():
    obs = task.observation(at(np.arange(9.0)))
    assert obs.dtype == np.float32
    assert obs.shape == (len(task.OBS_NAMES),) == (12,)
    np.testing.assert_array_equal(obs[:9], np.arange(9))
    assert obs[task.VALVE_COS] == np.float32(np.cos(0.5))
    assert obs[task.VALVE_SIN] == np.float32(np.sin(0.5))
    assert obs[11] == -2.0


def test_whole_turns_of_the_valve_are_not_observed():
    turned = dataclasses.replace(REST, valve_angle=REST.valve_angle + 2 * np.pi)
    np.testing.assert_allclose(task.observation(turned), task.observation(REST), atol=1e-6)


def test_an_action_names_a_pose_between_the_position_limits():
    near = at(np.array(spec.POSITION_HIGH) - 0.01)
    np.testing.assert_allclose(task.target_from_action(np.ones(9), near), spec.POSITION_HIGH)
    middle = at(np.zeros(9))
    np.testing.assert_allclose(task.target_from_action(np.zeros(9), middle), 0.0)


@given(actions, poses)
def test_a_target_passes_the_safety_clamp_unchanged(action, pose):
    target = task.target_from_action(action, at(pose))
    np.testing.assert_array_equal(SafetyClamp()(target, pose).target, target)


@given(actions, poses)
def test_the_action_of_a_target_asks_for_that_target_again(action, pose):
    state = at(pose)
    target = task.target_from_action(action, state)
    applied = task.action_from_target(target)
    assert applied.dtype == np.float32
    assert (np.abs(applied) <= 1).all()
    np.testing.assert_allclose(task.target_from_action(applied, state), target, atol=1e-6)


@given(actions, poses)
def test_an_action_that_was_followed_is_returned_as_it_was(action, pose):
    state = at(pose)
    target = task.target_from_action(action, state)
    np.testing.assert_array_equal(task.action_applied(action, target, target), action)


def test_an_action_that_is_no_number_holds_the_joint_and_is_not_returned():
    action = np.full(9, np.nan, np.float32)
    target = task.target_from_action(action, REST)
    held = SafetyClamp()(target, REST.joint_position).target
    np.testing.assert_array_equal(held, REST.joint_position)
    applied = task.action_applied(action, target, held)
    np.testing.assert_allclose(task.target_from_action(applied, REST), held, atol=1e-6)


@given(poses, arrays(np.float64, 9, elements=st.floats(-5, 5)))
def test_shaping_is_at_its_highest_zero_for_a_hand_at_rest_in_its_reset_pose(pose, velocity):
    assert task.log_p_shaping(REST) == 0.0
    assert task.log_p_shaping(at(pose, joint_velocity=velocity)) <= 0.0


def test_shaping_falls_with_speed_and_with_distance_by_its_weights():
    fast = at(spec.RESET_POSE, joint_velocity=np.full(9, spec.VELOCITY_LIMIT))
    assert np.isclose(task.log_p_shaping(fast), -task.VELOCITY_WEIGHT)
    far = at(spec.RESET_POSE + (spec.POSITION_HIGH - spec.POSITION_LOW) / 2)
    assert np.isclose(task.log_p_shaping(far), -task.POSE_WEIGHT)


def test_shaping_does_not_depend_on_the_valve():
    turned = dataclasses.replace(REST, valve_angle=3.0, valve_velocity=9.0)
    assert task.log_p_shaping(turned) == task.log_p_shaping(REST)


def test_many_hands_at_once_are_told_the_numbers_of_each():
    rng = np.random.default_rng(0)
    poses, speeds = rng.uniform(-2, 2, (2, 64, 9))
    angles, turning = rng.uniform(-7, 7, (2, 64))
    taken = rng.uniform(-1.5, 1.5, (64, 9)).astype(np.float32)
    many = HandStates(poses, speeds, angles, turning)
    target = task.target_from_action(taken, many)
    sent = np.where(rng.random((64, 1)) < 0.5, target, poses)
    applied = task.action_applied(taken, target, sent)
    for i in range(64):
        one = at(poses[i], joint_velocity=speeds[i], valve_angle=float(angles[i]),
                 valve_velocity=float(turning[i]))  # fmt: skip
        np.testing.assert_array_equal(task.observation(many)[i], task.observation(one))
        np.testing.assert_array_equal(target[i], task.target_from_action(taken[i], one))
        assert task.log_p_shaping(many)[i] == task.log_p_shaping(one)
        alone = task.action_applied(taken[i], target[i], sent[i])
        np.testing.assert_array_equal(applied[i], alone)
    assert applied.dtype == np.float32
    assert 0 < (applied != taken).any(-1).sum() < 64
