import numpy as np
import pytest

from smm_ros.dclaw import spec
from smm_ros.dclaw.hand import HandError
from smm_ros.dclaw.mujoco_hand import MujocoHand


def reset(hand: MujocoHand, valve_angle: float = 0.0) -> None:
    for _ in hand.reset(valve_angle):
        pass


def shake(hand: MujocoHand, num_commands: int) -> None:
    generator = np.random.default_rng(0)
    for _ in range(num_commands):
        hand.command(generator.uniform(spec.POSITION_LOW, spec.POSITION_HIGH))
        hand.advance(spec.CONTROL_PERIOD)


def test_a_reset_brings_joints_and_valve_to_rest_where_they_belong(hand):
    shake(hand, 20)
    reset(hand, valve_angle=1.5)
    state = hand.read()
    np.testing.assert_array_equal(state.joint_position, spec.RESET_POSE)
    np.testing.assert_array_equal(state.joint_velocity, 0.0)
    assert (state.valve_angle, state.valve_velocity) == (1.5, 0.0)


def test_the_motions_after_a_reset_do_not_depend_on_what_was_before(hand):
    reset(hand)
    shake(hand, 20)
    first = hand.read()
    reset(hand)
    shake(hand, 20)
    again = hand.read()
    np.testing.assert_array_equal(again.joint_position, first.joint_position)
    assert again.valve_angle == first.valve_angle


def test_the_clock_goes_by_control_periods_and_never_back(hand):
    stamps = [hand.read().stamp]
    for _ in range(3):
        hand.advance(spec.CONTROL_PERIOD)
        stamps.append(hand.read().stamp)
        reset(hand)
        stamps.append(hand.read().stamp)
    hand.close()
    hand.connect()
    stamps.append(hand.read().stamp)
    np.testing.assert_allclose(np.diff(stamps), spec.CONTROL_PERIOD)


def test_a_reset_is_done_by_iterating_it(hand):
    shake(hand, 3)
    before = hand.read()
    stages = hand.reset(0.0)
    assert hand.read().stamp == before.stamp
    assert [stage.attempt for stage in stages] == [1]
    assert hand.read().stamp > before.stamp


def test_joints_follow_a_command_that_is_in_reach(hand):
    reset(hand)
    target = spec.RESET_POSE + np.array([0.1, 0.1, -0.1] * 3)
    np.testing.assert_array_equal(hand.command(target), target)
    for _ in range(20):
        hand.advance(spec.CONTROL_PERIOD)
    # A proportional motor of 2 N m/rad sags a little under the finger's weight.
    np.testing.assert_allclose(hand.read().joint_position, target, atol=0.05)


def test_a_command_is_clamped_and_the_clamped_target_is_returned(hand):
    reset(hand)
    sent = hand.command(np.full(9, np.inf))
    np.testing.assert_array_equal(sent, spec.RESET_POSE)
    assert hand.clamp.counts["not_finite"] == 1


def test_without_torque_the_fingers_sink_and_commands_are_refused(hand):
    reset(hand)
    hand.disable()
    hand.disable()
    with pytest.raises(HandError, match="call enable"):
        hand.command(np.zeros(9))
    with pytest.raises(HandError, match="call enable"):
        hand.reset(0.0)
    hand.advance(1.0)
    state = hand.read()
    np.testing.assert_array_equal(state.joint_effort, 0.0)
    assert np.abs(state.joint_position - spec.RESET_POSE).max() > 0.3


def test_torque_comes_back_holding_the_pose_of_that_moment(hand):
    hand.disable()
    hand.advance(1.0)
    sunk = hand.read().joint_position
    hand.enable()
    hand.advance(1.0)
    np.testing.assert_allclose(hand.read().joint_position, sunk, atol=0.1)


def test_the_valve_counts_its_turns(hand):
    reset(hand, valve_angle=5.0)
    state = hand.read()
    assert state.valve_angle == 5.0
    assert state.valve_angle_wrapped == pytest.approx(5.0 - 2 * np.pi)


@pytest.mark.parametrize("angle", [np.nan, np.inf, 6.3, -6.3])
def test_the_valve_is_not_reset_to_where_it_cannot_turn(hand, angle):
    with pytest.raises(ValueError, match="valve angle must be in"):
        hand.reset(angle)


@pytest.mark.parametrize("period", [0.0, -0.1, 0.001, 0.101, np.nan, np.inf])
def test_time_passes_in_whole_physics_steps_only(hand, period):
    with pytest.raises(ValueError, match="period must be a positive multiple"):
        hand.advance(period)


@pytest.mark.parametrize("use", ["read", "enable", "model"])
def test_a_hand_that_is_not_connected_says_so(use):
    hand = MujocoHand()
    with pytest.raises(HandError, match="call connect"):
        getattr(hand, use)() if use != "model" else hand.model


def test_closing_and_torque_off_are_harmless_on_a_closed_hand():
    hand = MujocoHand()
    hand.close()
    hand.disable()


def test_noise_is_repeatable_within_its_width_and_new_in_each_period():
    noisy = MujocoHand(seed=3, observation_noise=0.05)
    noisy.connect()
    noisy.enable()
    reset(noisy)
    first = noisy.read()
    np.testing.assert_array_equal(noisy.read().joint_position, first.joint_position)
    error = np.abs(first.joint_position - spec.RESET_POSE)
    assert (error > 0).all()
    assert (error <= 0.025 * (spec.POSITION_HIGH - spec.POSITION_LOW)).all()
    reset(noisy)
    assert (noisy.read().joint_position != first.joint_position).all()
    noisy.seed(3)
    reset(noisy)
    again = noisy.read().joint_position
    noisy.seed(3)
    reset(noisy)
    np.testing.assert_array_equal(noisy.read().joint_position, again)


def test_a_simulation_that_diverged_is_a_fault_and_not_a_reading(hand):
    hand.data.qpos[0] = np.nan
    with pytest.raises(HandError, match="diverged"):
        hand.read()
    with pytest.raises(HandError, match="diverged"):
        hand.command(np.zeros(9))


def test_a_model_with_other_joints_is_refused(tmp_path):
    path = tmp_path / "other.xml"
    path.write_text("<mujoco><worldbody><geom size='1'/></worldbody></mujoco>")
    with pytest.raises(HandError, match="expected joints"):
        MujocoHand(model_path=path).connect()
    with pytest.raises(HandError, match="can not load"):
        MujocoHand(model_path=tmp_path / "none.xml").connect()
