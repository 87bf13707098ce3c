"""The guard: who is silent for how long, and what the fingers are told then."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smm_ros.dclaw.glide import Glide
from smm_ros.dclaw.hand_guard import OUTSIDE, Drive, GuardConfig, HandGuard
from smm_ros.dclaw.spec import NUM_JOINTS, POSITION_HIGH, POSITION_LOW

POSE, TARGET = np.full(NUM_JOINTS, 0.1), np.full(NUM_JOINTS, 0.3)
CONFIG = GuardConfig(hold_after=0.2, limp_after=1.0, idle_after=20.0, blind_for=0.05)


def guard(drive=Drive.HOLD):
    made = HandGuard(CONFIG)
    if drive is not Drive.LIMP:
        made.hold(POSE, 0.0)
    if drive is Drive.FOLLOW:
        assert made.follow(TARGET, 0.0)
    return made


def test_a_new_hand_is_limp_and_takes_no_target():
    new = guard(Drive.LIMP)
    assert not new.follow(TARGET, 0.0)
    assert not new.glide(Glide(POSE, TARGET, 0.0, 1.0), 0.0)
    new.stay(POSE, 0.0)
    assert new.measured(POSE, 0.1) is None
    assert new.reason == "torque was not switched on yet"


def test_a_pose_is_held_while_nobody_has_steered_but_not_for_ever():
    one = guard()
    for now in (0.01, 1.0, 20.0):
        np.testing.assert_array_equal(one.measured(POSE + 0.01, now), POSE)
    assert one.drive is Drive.HOLD
    assert one.measured(POSE, 20.1) is None
    assert one.reason == "no command for 20 s"


def test_a_joint_outside_its_limits_is_brought_back_without_a_jump():
    one = HandGuard(CONFIG)
    pose = POSE.copy()
    pose[2] = POSITION_HIGH[2] + 0.25
    one.hold(pose, 0.0)
    goals = np.array([one.measured(pose, now) for now in np.arange(0.0, 2.0, 0.01)])
    np.testing.assert_array_equal(goals[0], pose)
    assert np.abs(np.diff(goals, axis=0)).max() < 0.01
    assert goals[-1][2] == POSITION_HIGH[2]
    one.stay(pose, 2.0)
    np.testing.assert_array_equal(one.measured(pose, 2.0), pose)


def test_who_steers_has_to_go_on_or_the_hand_holds_and_then_lets_go():
    one = guard(Drive.FOLLOW)
    np.testing.assert_array_equal(one.measured(POSE, 0.2), TARGET)
    here = POSE + 0.05
    np.testing.assert_array_equal(one.measured(here, 0.21), here)
    assert one.drive is Drive.HOLD
    np.testing.assert_array_equal(one.measured(POSE, 0.9), here)
    assert one.measured(POSE, 1.01) is None
    assert one.drive is Drive.LIMP
    assert one.reason == "no command for 1 s"
    assert not one.follow(TARGET, 1.1)
    one.hold(POSE, 1.2)
    assert one.follow(TARGET, 1.3)


def test_a_late_command_is_followed_while_the_hand_still_holds():
    one = guard(Drive.FOLLOW)
    one.measured(POSE, 0.5)
    assert one.follow(TARGET, 0.6)
    np.testing.assert_array_equal(one.measured(POSE, 0.7), TARGET)
    assert one.measured(POSE, 1.5) is not None


def test_a_way_is_gone_and_its_end_is_held_while_somebody_looks_after_it():
    one = guard(Drive.FOLLOW)
    one.glide(Glide(POSE, TARGET, 0.0, 1.0), 0.0)
    np.testing.assert_allclose(one.measured(POSE, 0.5), (POSE + TARGET) / 2)
    for now in (0.9, 1.8, 2.7):
        one.attend(now)
        np.testing.assert_allclose(one.measured(POSE, now + 0.5), TARGET)
    assert one.drive is Drive.GLIDE
    assert one.measured(POSE, 3.8) is None


def test_a_way_that_is_broken_off_ends_where_the_hand_is():
    one = guard(Drive.FOLLOW)
    one.glide(Glide(POSE, TARGET, 0.0, 1.0), 0.0)
    here = one.measured(POSE, 0.5)
    one.stay(here, 0.5)
    np.testing.assert_array_equal(one.measured(here, 0.9), here)
    assert one.measured(here, 1.6) is None  # who broke it off is waited for no longer than that


def test_blindness_makes_limp_after_a_while_and_says_so_once():
    one = guard(Drive.FOLLOW)
    one.measured(POSE, 0.1)
    assert not one.missed(0.14, "motor 12 is silent")
    assert one.missed(0.151, "motor 12 is silent")
    assert (one.drive, one.reason) == (Drive.LIMP, "motor 12 is silent")
    assert not one.missed(0.2, "motor 12 is silent")


def test_a_measurement_in_between_ends_blindness():
    one = guard()
    for k in range(1, 20):
        assert not one.missed(0.04 * k, "")
        one.measured(POSE, 0.04 * k)


def test_the_first_reason_for_being_limp_is_kept():
    one = guard()
    one.limp("overload")
    one.limp("switched off")
    assert one.reason == "overload"


angles = st.lists(
    st.floats(-1e9, 1e9), min_size=NUM_JOINTS, max_size=NUM_JOINTS
).map(np.array)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from("htgsmbl"), angles, st.floats(0, 2)), max_size=30))
def test_whatever_happens_goals_are_finite_and_hardly_outside_the_limits(story):
    one, now = HandGuard(CONFIG), 0.0
    for what, pose, later in story:
        now += later
        if what == "h":
            one.hold(pose, now)
        elif what == "t":
            one.follow(pose, now)
        elif what == "g":
            one.glide(Glide(POSE, pose, now, 0.5), now)
        elif what == "s":
            one.stay(pose, now)
        elif what == "b":
            one.missed(now, "blind")
        elif what == "l":
            one.limp("limp")
        goals = one.measured(pose, now)
        assert (goals is None) == (one.drive is Drive.LIMP)
        if goals is not None:
            assert np.isfinite(goals).all()
            # On the way of a hand that was found outside, no further out than it may be found.
            assert (goals >= POSITION_LOW - OUTSIDE).all()
            assert (goals <= POSITION_HIGH + OUTSIDE).all()
            if one.drive is Drive.FOLLOW:
                assert ((goals >= POSITION_LOW) & (goals <= POSITION_HIGH)).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hold_after": 0.0}, "hold_after is 0.0, expected a time above 0, up to 2 s"),
        ({"blind_for": math.inf}, "blind_for is inf"),
        ({"limp_after": 1e9}, "limp_after is 1000000000.0, expected a time above 0, up to 10 s"),
        ({"limp_after": 0.1}, "limp_after is 0.1, expected at least hold_after 0.15"),
        ({"idle_after": 0.5}, "idle_after is 0.5, expected at least limp_after 1"),
    ],
)
def test_times_that_are_none_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        GuardConfig(**values)
