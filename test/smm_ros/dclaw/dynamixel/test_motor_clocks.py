"""Whether a sample is new, by the motors' own clocks: numbers made up here, no bus."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel import units
from smm_ros.dclaw.dynamixel.motor_clocks import DRIFT, JITTER, JUMP, MotorClocks
from smm_ros.dclaw.dynamixel.motor_sample import _DTYPE, RestartedError, StaleError, decode

IDS = (11, 12)
TOOK = 0.005
"""From question to last answer, s."""


def sample(asked, measured, ahead=(0.0, 7.5), rate=1.0, volts=120, took=TOOK):
    """Return what two motors tell whose clocks are so far ahead, measured at times (s)."""
    raw = np.zeros(len(IDS), _DTYPE)
    clocks = rate * np.broadcast_to(measured, len(IDS)) + np.array(ahead)
    raw[reg.REALTIME_TICK.name] = np.floor(clocks / units.TICK).astype(int) % 32768
    raw[reg.PRESENT_INPUT_VOLTAGE.name] = volts
    return decode([one.tobytes() for one in raw], [reg.model_of(1030)] * 2, asked, asked + took)


def checked(*samples):
    clocks = MotorClocks()
    for one in samples:
        clocks.check(one, IDS)
    return clocks


@given(
    st.floats(-DRIFT, DRIFT),
    st.floats(0.0, 33.0),
    st.lists(
        st.tuples(st.floats(0.007, 0.05), st.floats(0.0, 1.0), st.floats(0.001, 0.03)),
        max_size=60,
    ),
)
def test_what_is_measured_between_question_and_answer_is_taken_at_any_drift(drift, ahead, cycles):
    clocks, now = MotorClocks(), 100.0
    for pause, share, took in cycles:
        measured = now + share * took
        one = sample(now, measured, (ahead, 7.5), 1 + drift, took=took)
        clocks.check(one, IDS)
        now += took + pause


@given(st.floats(0.0, 33.0), st.floats(TOOK + JITTER + 2 * units.TICK, JUMP - 0.005))
def test_what_is_older_than_its_question_is_refused_by_motor(ahead, age):
    fresh = [sample(now, now + 0.001, (ahead, 7.5)) for now in np.arange(100.0, 100.5, 0.01)]
    clocks = checked(*fresh)
    with pytest.raises(StaleError, match="motor 12 measures nothing new"):
        clocks.check(sample(100.5, [100.501, 100.5 - age], (ahead, 7.5)), IDS)
    clocks.check(sample(100.51, 100.511, (ahead, 7.5)), IDS)


def test_a_clock_that_stands_is_refused_again_and_again():
    clocks = checked(sample(1.0, 1.001))
    for now in (1.02, 1.03, 1.04):
        with pytest.raises(StaleError, match="motor 11 and 12|motor 11, 12"):
            clocks.check(sample(now, 1.001), IDS)
    clocks.check(sample(1.05, 1.051), IDS)


@pytest.mark.parametrize("jump", [-10.0, -1.0, -0.2, 0.2, 1.0, 10.0])
def test_a_clock_that_jumps_is_that_of_a_motor_that_started_anew(jump):
    clocks = checked(sample(1.0, 1.001, (12.0, 12.0)))
    with pytest.raises(RestartedError, match="motor 12 started anew"):
        clocks.check(sample(1.01, 1.011, (12.0, 12.0 + jump)), IDS)
    clocks.check(sample(1.02, 1.021, (12.0, 12.0 + jump)), IDS)  # known for what it is


def test_a_motor_that_tells_nothing_but_zeros_started_anew():
    with pytest.raises(RestartedError, match="motor 11, 12 started anew"):
        checked(sample(1.0, 1.001, volts=0))


def test_a_pause_is_no_restart():
    clocks = checked(sample(1.0, 1.001))
    clocks.check(sample(61.0, 61.001, rate=1 + 0.009), IDS)


def test_after_forgetting_any_clock_is_taken():
    clocks = checked(sample(1.0, 1.001))
    clocks.forget()
    clocks.check(sample(1.01, 1.011, (3.0, 4.0)), IDS)
