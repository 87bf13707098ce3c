import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from smm_ros.dclaw import spec
from smm_ros.dclaw.safety_clamp import MAX_STEP, SafetyClamp

any_target = arrays(np.float64, 9, elements=st.floats(allow_nan=True, allow_infinity=True))
anywhere = arrays(np.float64, 9, elements=st.floats(-10, 10))
inside = arrays(np.float64, 9, elements=st.floats(0, 1)).map(
    lambda share: spec.POSITION_LOW + share * (spec.POSITION_HIGH - spec.POSITION_LOW)
)


@given(any_target, anywhere)
def test_whatever_is_asked_the_target_is_finite_and_inside_the_position_limits(target, measured):
    safe = SafetyClamp()(target, measured).target
    assert np.isfinite(safe).all()
    assert (safe >= spec.POSITION_LOW).all()
    assert (safe <= spec.POSITION_HIGH).all()


@given(any_target, inside)
def test_from_inside_the_limits_no_target_is_further_than_the_velocity_limit_allows(
    target, measured
):
    safe = SafetyClamp()(target, measured).target
    step = spec.COMMAND_VELOCITY_LIMIT * spec.CONTROL_PERIOD
    assert np.abs(safe - measured).max() <= step + 1e-12


@given(any_target, anywhere)
def test_from_outside_the_limits_the_target_steps_back_or_is_the_nearest_limit(target, measured):
    safe = SafetyClamp()(target, measured).target
    nearest = np.clip(measured, spec.POSITION_LOW, spec.POSITION_HIGH)
    far = np.abs(measured - nearest) > MAX_STEP
    np.testing.assert_array_equal(safe[far], nearest[far])
    assert (np.abs(safe - measured)[~far] <= MAX_STEP + 1e-12).all()


@given(any_target, anywhere)
def test_a_clamped_target_passes_the_clamp_unchanged(target, measured):
    clamp = SafetyClamp()
    once = clamp(target, measured)
    twice = clamp(once.target, measured)
    np.testing.assert_array_equal(twice.target, once.target)
    assert twice.reasons == ()


@given(inside, arrays(np.float64, 9, elements=st.floats(-0.99 * MAX_STEP, 0.99 * MAX_STEP)))
def test_a_safe_target_passes_unchanged_and_uncounted(measured, step):
    target = np.clip(measured + step, spec.POSITION_LOW, spec.POSITION_HIGH)
    clamp = SafetyClamp()
    clamped = clamp(target, measured)
    np.testing.assert_array_equal(clamped.target, target)
    assert clamped.reasons == ()
    assert set(clamp.counts.values()) == {0}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_joint_whose_target_is_no_number_is_held_and_the_others_still_move(bad):
    clamp, measured = SafetyClamp(), np.array(spec.RESET_POSE)
    target = measured + 0.1
    target[4] = bad
    clamped = clamp(target, measured)
    expected = measured + 0.1
    expected[4] = measured[4]
    expected = np.minimum(expected, spec.POSITION_HIGH)
    np.testing.assert_allclose(clamped.target, expected, atol=1e-15)
    assert clamp.counts == {"not_finite": 1, "position": 0, "velocity": 0}


def test_each_reason_is_counted_once_for_a_command():
    clamp = SafetyClamp()
    clamped = clamp(np.full(9, 100.0), np.zeros(9))
    np.testing.assert_allclose(clamped.target, [0.48, 8.0 * 0.1, 8.0 * 0.1] * 3)
    assert clamped.reasons == ("position", "velocity")
    clamp(np.full(9, 0.3), np.full(9, -0.4))
    assert clamp.counts == {"not_finite": 0, "position": 1, "velocity": 1}
    clamp(np.full(9, 0.45), np.full(9, -0.4))
    assert clamp.counts == {"not_finite": 0, "position": 1, "velocity": 2}


def test_without_a_measurement_nothing_is_sent():
    with pytest.raises(ValueError, match="measured joint angles must be finite"):
        SafetyClamp()(np.zeros(9), np.full(9, np.nan))


@pytest.mark.parametrize("size", [8, 10])
def test_a_target_for_other_than_nine_joints_is_refused(size):
    with pytest.raises(ValueError, match=rf"target must have shape \(9,\), got \({size},\)"):
        SafetyClamp()(np.zeros(size), np.zeros(9))
