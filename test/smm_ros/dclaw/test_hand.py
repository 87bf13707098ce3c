import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smm_ros.dclaw.hand import HandState


def state_with_valve_at(angle: float) -> HandState:
    zeros = np.zeros(9)
    return HandState(0.0, zeros, zeros, zeros, angle, 0.0, 0.0)


@given(st.floats(-1e4, 1e4))
def test_the_wrapped_angle_points_where_the_unwrapped_one_does(angle):
    wrapped = state_with_valve_at(angle).valve_angle_wrapped
    assert -math.pi <= wrapped < math.pi
    assert math.isclose(math.cos(wrapped), math.cos(angle), abs_tol=1e-9)
    assert math.isclose(math.sin(wrapped), math.sin(angle), abs_tol=1e-9)


@pytest.mark.parametrize(
    ("angle", "wrapped"),
    [(0.0, 0.0), (math.pi, -math.pi), (-math.pi, -math.pi), (4.0, 4.0 - 2 * math.pi)],
)
def test_half_a_turn_either_way_is_minus_pi(angle, wrapped):
    assert state_with_valve_at(angle).valve_angle_wrapped == pytest.approx(wrapped)
