"""Glides: from rest to rest, within their ends, at the speed asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smm_ros.dclaw.glide import glide

angles = st.lists(st.floats(-3, 3), min_size=3, max_size=3).map(np.array)


@given(angles, angles, st.floats(0.1, 5))
def test_a_glide_goes_from_one_pose_to_the_other_and_no_further(start, end, speed):
    way = glide(start, end, 10.0, speed)
    np.testing.assert_allclose(way.at(9.0), start)
    np.testing.assert_allclose(way.at(way.begins + way.duration + 1), end, atol=1e-12)
    path = np.array([way.at(10.0 + way.duration * s) for s in np.linspace(0, 1, 101)])
    low, high = np.minimum(start, end) - 1e-9, np.maximum(start, end) + 1e-9
    assert ((path >= low) & (path <= high)).all()
    speeds = np.abs(np.diff(path, axis=0)).max(1) / (way.duration / 100)
    assert speeds.max() <= 1.5 * speed * 1.001
    assert speeds[[0, -1]].max() <= 0.05 * speed


def test_it_takes_the_time_of_the_joint_that_goes_farthest():
    way = glide(np.zeros(2), np.array([0.5, -2.0]), 0.0, 4.0)
    assert way.duration == pytest.approx(0.5)
    assert way.at(0.49)[1] > -2.0
    assert way.at(0.5)[1] == -2.0
    assert glide(np.zeros(2), np.zeros(2), 0.0, 4.0, least=0.3).duration == 0.3
