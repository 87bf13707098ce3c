"""Entropies of visited states: known values, and angles without a seam."""

import math

import numpy as np
import pytest

from smm_core.learner import Learner
from smm_core.metrics import angle_entropy, angle_histogram, coverage, entropy
from smm_core.transitions import Layout


@pytest.mark.parametrize("bins", [1, 2, 36])
def test_a_uniform_histogram_has_the_entropy_log_bins(bins):
    assert entropy(np.full(bins, 7)) == pytest.approx(math.log(bins))


def test_a_point_has_no_entropy_and_nothing_has_none_to_give():
    assert entropy(np.array([0, 9, 0])) == 0
    assert math.isnan(entropy(np.zeros(3, np.int64)))


def test_the_entropy_of_unequal_shares():
    expected = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert entropy(np.array([1, 0, 3])) == pytest.approx(expected)


def test_angles_spread_evenly_have_the_greatest_entropy():
    angles = np.linspace(-np.pi, np.pi, 3600, endpoint=False) + 1e-6
    assert angle_entropy(angles) == pytest.approx(math.log(36))
    assert angle_entropy(np.full(100, 0.1)) == 0


def test_angles_are_counted_by_where_they_point_not_by_turns():
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, 1000)
    for turns in (-3, 1, 7):
        turned = angle_histogram(angles + 2 * np.pi * turns)
        assert np.abs(turned - angle_histogram(angles)).sum() <= 2  # a rounding at an edge or so


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_sides_of_the_seam_fall_in_the_outer_bins(dtype):
    seam = np.array([np.pi, -np.pi, np.nextafter(dtype(np.pi), dtype(0))], dtype)
    counts = angle_histogram(seam, 36)
    assert counts.sum() == counts[0] + counts[-1] == 3
    assert angle_histogram(np.array([-3.1, 3.1]), 4).tolist() == [1, 0, 0, 1]


def test_coverage_is_of_the_states_reached_in_replay(small_config, make_transition):
    layout = Layout(obs_size=4, action_size=1)
    config = small_config(state={"circular": [0, 1, 2, 3]}, replay_capacity=400)
    learner = Learner(layout, config, (0, 1))
    for step in range(360):
        # Run 0 stands still and then turns; run 1 turns all the time. The second angle rests.
        turning = np.radians(step) * np.array([step >= 180, 1])
        angles = np.stack([np.cos(turning), np.sin(turning), np.ones(2), np.zeros(2)], 1)
        step = make_transition(layout, runs=2, next_obs=angles.astype(np.float32))
        learner.observe(step)
    found = coverage(learner, recent=90)
    assert set(found) == {
        f"angle_entropy_{which}{angle}" for which in ("replay", "recent") for angle in ("", "_1")
    }
    assert found["angle_entropy_replay"][1] == pytest.approx(math.log(36), abs=0.02)
    assert found["angle_entropy_replay"][0] < 2.5
    assert found["angle_entropy_recent"] == pytest.approx(math.log(9), abs=0.1)
    assert found["angle_entropy_replay_1"].tolist() == [0, 0]


def test_there_is_no_figure_without_an_angle(small_config, make_transition):
    layout = Layout(obs_size=4, action_size=1)
    learner = Learner(layout, small_config(), (0,))
    learner.observe(make_transition(layout))
    assert coverage(learner) == {}
