"""Leading a hand through an episode: no ROS, no physics but joints that follow with a lag."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from smm_ros.bag.replay.episode_drive import (
    LEAD,
    NEAR,
    PATIENCE,
    DriveSettings,
    EpisodeDrive,
    Phase,
)
from smm_ros.bag.replay.recorded_episode import RecordedEpisode, Stretch
from smm_ros.dclaw import task
from smm_ros.dclaw.hand import HandState
from smm_ros.dclaw.safety_clamp import MAX_STEP
from smm_ros.dclaw.spec import CONTROL_PERIOD, POSITION_HIGH, POSITION_LOW, RESET_POSE

PERIOD_NS = round(CONTROL_PERIOD * 1e9)
PEAK = 1.5
"""A glide's greatest speed by its mean speed."""


def episode(actions, start=RESET_POSE):
    whole = stretch(actions, start)
    return RecordedEpisode("dclaw", 3, (whole,), np.linspace(0.0, 1.0, whole.num_steps + 1))


def stretch(actions, start):
    """What joints that get half way to each target do."""
    poses = [np.clip(start, POSITION_LOW, POSITION_HIGH)]
    for action in np.nan_to_num(actions):
        target = task.target_from_action(action, state_at(poses[-1]))
        poses.append((poses[-1] + target) / 2)
    return Stretch(np.asarray(actions, np.float32), np.array(poses))


def state_at(pose, stamp=0.0, valve=0.0):
    return HandState(stamp, np.asarray(pose, float), np.zeros(9), np.zeros(9), valve, 0.0, 0.0)


class Joints:
    """Go half way to each target, but for those that are held."""

    def __init__(self, pose, held=()):
        self.pose, self.held = np.array(pose, float), list(held)

    def go(self, target):
        before = self.pose.copy()
        self.pose = (self.pose + target) / 2
        self.pose[self.held] = before[self.held]


def lead(drive, joints, until=lambda drive, n: False, most=2000):
    """Answer states until it is done; return (phase, measured pose, target) of each command."""
    commands = []
    for number in range(most):
        if until(drive, number):
            break
        state = state_at(joints.pose, number * CONTROL_PERIOD, valve=0.01 * number)
        command = drive.see(number * PERIOD_NS, state)
        if command is None:
            break
        assert command.stamp_ns == number * PERIOD_NS
        commands.append((drive.phase, joints.pose.copy(), command.position))
        joints.go(command.position)
    return commands


def of(phase, commands):
    return [(pose, target) for each, pose, target in commands if each is phase]


def ways(phase, commands):
    """Return the (measured pose, target) of each time that a phase was gone through."""
    runs = itertools.groupby(commands, key=lambda command: command[0])
    return [of(phase, run) for each, run in runs if each is phase]


rng = np.random.default_rng(0)
ACTIONS = rng.uniform(-1, 1, (20, 9))


def test_the_recorded_actions_are_commanded_once_each_in_their_order():
    drive, joints = EpisodeDrive(episode(ACTIONS), DriveSettings()), Joints(RESET_POSE)
    played = of(Phase.PLAY, lead(drive, joints))
    assert len(played) == 20
    for (pose, target), action in zip(played, ACTIONS, strict=True):
        asked = task.target_from_action(action.astype(np.float32), state_at(pose))
        np.testing.assert_array_equal(target, asked)
    assert drive.phase is Phase.DONE
    assert not drive.trouble
    np.testing.assert_allclose(drive.tracking.errors, 0, atol=1e-6)
    assert drive.tracking.errors.shape == (20, 9)
    assert drive.tracking.valve_end - drive.tracking.valve_start == pytest.approx(0.2)
    assert drive.tracking.clamped == drive.tracking.late == 0


def test_it_ends_in_the_reset_pose():
    drive, joints = EpisodeDrive(episode(ACTIONS), DriveSettings()), Joints(RESET_POSE)
    commands = lead(drive, joints)
    np.testing.assert_array_equal(commands[-1][2], RESET_POSE)


def test_a_hand_that_is_there_is_not_eased_in():
    drive = EpisodeDrive(episode(ACTIONS), DriveSettings())
    commands = lead(drive, Joints(RESET_POSE + math.radians(4)))
    assert not of(Phase.EASE_IN, commands)


@pytest.mark.parametrize("speed", [0.07, 0.25, 0.5, 0.9])
def test_more_slowly_the_same_poses_are_passed_later(speed):
    gentle = episode(0.1 * ACTIONS, start=np.zeros(9))
    drive = EpisodeDrive(gentle, DriveSettings(speed=speed))
    played = of(Phase.PLAY, lead(drive, Joints(gentle.stretches[0].poses[0])))
    assert len(played) == math.ceil(20 / speed - 1e-6)
    # These joints follow as the target is laid out for; real ones only nearly.
    np.testing.assert_allclose(drive.tracking.errors, 0, atol=1e-6)
    fast = np.abs(np.diff(gentle.stretches[0].poses, axis=0)).max()
    slow = np.abs(np.diff([pose for pose, _ in played], axis=0)).max()
    assert slow <= fast * speed + 1e-6


poses = arrays(float, 9, elements=st.floats(0, 1)).map(
    lambda share: POSITION_LOW + share * (POSITION_HIGH - POSITION_LOW)
)
garbage = arrays(
    np.float32, (6, 9), elements=st.floats(width=32, allow_nan=True, allow_infinity=True)
)


@settings(max_examples=60, deadline=None)
@given(
    poses,
    poses,
    poses,
    garbage,
    st.floats(0.05, 1.0),
    st.floats(0.05, 1.5),
    st.lists(st.integers(0, 8), max_size=2),
    st.integers(0, 60),
)
def test_whatever_was_recorded_the_ways_are_slow_and_no_command_is_a_jump(
    start, first, second, actions, speed, ease, held, interrupt
):
    used = DriveSettings(speed=speed, ease_speed=ease)
    stretches = (stretch(actions, first), stretch(actions, second))
    recorded = RecordedEpisode("dclaw", 3, stretches, np.zeros(2))
    drive, joints = EpisodeDrive(recorded, used), Joints(start, held)

    def until(drive, number):
        if number == interrupt:
            drive.ease_out("interrupted")
        return False

    commands = lead(drive, joints, until)
    assert drive.phase is Phase.DONE, "it always ends"
    step = PEAK * ease * CONTROL_PERIOD + 1e-9
    for phase in (Phase.EASE_IN, Phase.EASE_OUT):
        for way in ways(phase, commands):
            targets = np.array([target for _, target in way])
            assert np.abs(targets[0] - way[0][0]).max() <= step
            assert np.abs(np.diff(targets, axis=0)).max(initial=0) <= step
            assert max(np.abs(target - pose).max() for pose, target in way) <= LEAD + step
    for _, pose, target in commands:
        assert np.isfinite(target).all()
        assert (target >= POSITION_LOW).all()
        assert (target <= POSITION_HIGH).all()
        assert np.abs(target - pose).max() <= MAX_STEP + 1e-9


def test_from_far_away_it_comes_to_the_first_pose_and_then_begins():
    drive = EpisodeDrive(episode(ACTIONS), DriveSettings())
    far = np.array([0.4, 0.9, -1.2] * 3)
    commands = lead(drive, Joints(far))
    (begin, _), *_ = of(Phase.PLAY, commands)
    assert np.abs(begin - RESET_POSE).max() <= NEAR
    eased = of(Phase.EASE_IN, commands)
    assert len(eased) > 20
    # Off the valve first: nothing is swung to the side before the fingers are up.
    swung = [pose for pose, _ in eased if np.abs(pose[::3] - 0.4).max() > 0.02]
    up = np.abs(np.array(swung)[:, 1::3] - RESET_POSE[1]).max()
    assert up < 0.1


def test_over_a_gap_it_goes_slowly_and_then_plays_on():
    far = RESET_POSE + np.tile([0.3, 1.2, -1.2], 3)
    parts = stretch(ACTIONS[:5], RESET_POSE), stretch(ACTIONS[5:], far)
    recorded = RecordedEpisode("dclaw", 3, parts, np.zeros(22))
    drive, joints = EpisodeDrive(recorded, DriveSettings()), Joints(RESET_POSE)
    commands = lead(drive, joints)
    assert [len(part) for part in ways(Phase.PLAY, commands)] == [5, 15]
    (way,) = ways(Phase.EASE_IN, commands)
    assert len(way) > 30
    (begin, _), *_ = ways(Phase.PLAY, commands)[1]
    assert np.abs(begin - far).max() <= NEAR
    assert drive.tracking.errors.shape == (20, 9)
    np.testing.assert_allclose(drive.tracking.errors[:5], 0, atol=1e-6)
    assert np.abs(drive.tracking.errors).max() <= NEAR
    assert not drive.trouble
    assert drive.phase is Phase.DONE


def test_over_a_gap_between_poses_that_are_near_it_plays_on_at_once():
    parts = stretch(ACTIONS[:5], RESET_POSE), stretch(ACTIONS[5:], np.zeros(9))
    near = Stretch(parts[1].actions, parts[1].poses + parts[0].poses[-1] - parts[1].poses[0])
    recorded = RecordedEpisode("dclaw", 3, (parts[0], near), np.zeros(22))
    drive = EpisodeDrive(recorded, DriveSettings())
    commands = lead(drive, Joints(RESET_POSE))
    assert [len(part) for part in ways(Phase.PLAY, commands)] == [20]


def test_a_joint_held_over_a_gap_ends_it():
    far = RESET_POSE + np.tile([0.3, 1.2, -1.2], 3)
    parts = stretch(np.zeros((1, 9)), RESET_POSE), stretch(ACTIONS[5:], far)
    recorded = RecordedEpisode("dclaw", 3, parts, np.zeros(18))
    drive = EpisodeDrive(recorded, DriveSettings())
    commands = lead(drive, Joints(RESET_POSE, held=[4]))
    assert len(of(Phase.PLAY, commands)) == 1
    assert "joint_21 stays" in drive.trouble
    assert "so the episode was not played on" in drive.trouble


def test_a_joint_that_does_not_follow_is_waited_for_and_then_named():
    drive = EpisodeDrive(episode(ACTIONS), DriveSettings())
    commands = lead(drive, Joints(RESET_POSE + np.eye(9)[4], held=[4]))
    assert "joint_21 stays" in drive.trouble
    assert "not begun" in drive.trouble
    assert not of(Phase.PLAY, commands)
    assert drive.phase is Phase.DONE
    assert len(commands) < 100 + 2 * PATIENCE


def test_ended_early_it_eases_out_from_where_it_is():
    drive, joints = EpisodeDrive(episode(ACTIONS), DriveSettings()), Joints(RESET_POSE)

    def until(drive, number):
        if number == 7:
            drive.ease_out("interrupted")
        return False

    commands = lead(drive, joints, until)
    assert len(of(Phase.PLAY, commands)) == 7
    assert of(Phase.EASE_OUT, commands)
    assert (drive.phase, drive.trouble) == (Phase.DONE, "interrupted")
    np.testing.assert_allclose(joints.pose, RESET_POSE, atol=0.05)


def test_a_hand_that_was_started_anew_is_left_alone():
    drive = EpisodeDrive(episode(ACTIONS), DriveSettings())
    assert drive.see(5 * PERIOD_NS, state_at(RESET_POSE)) is not None
    assert drive.see(PERIOD_NS, state_at(RESET_POSE)) is None
    assert (drive.phase, drive.trouble) == (Phase.DONE, "the hand was started anew")


@pytest.mark.parametrize("ease", [False, True])
def test_a_hand_that_showed_nothing_for_long_is_left_alone(ease):
    drive = EpisodeDrive(episode(ACTIONS), DriveSettings())
    start = RESET_POSE + ease
    assert drive.see(0, state_at(start)) is not None
    assert drive.see(10 * PERIOD_NS, state_at(start)) is not None
    assert drive.see(21 * PERIOD_NS, state_at(start)) is None
    assert (drive.phase, drive.trouble) == (Phase.DONE, "the hand showed no state for 1.1 s")


def test_late_states_and_clamped_commands_are_counted():
    wild = ACTIONS.copy()
    wild[2, 0] = np.nan
    drive = EpisodeDrive(episode(wild), DriveSettings())
    joints = Joints(RESET_POSE)
    for stamp in (0, 1, 2, 4, 5, 7):
        joints.go(drive.see(stamp * PERIOD_NS, state_at(joints.pose)).position)
    assert drive.tracking.late == 2
    assert drive.tracking.clamped == 1
