"""Binned marginals: analytic entropies, divergences by hand, targets over bins."""

import math
from dataclasses import replace

import numpy as np
import pytest

from smm_core.config import ConfigError
from smm_core.evaluation.marginals import Bins, BinsConfig, Marginal, entropy, kl, total_variation
from smm_core.evaluation.metrics import angle_histogram

PLANE = BinsConfig(
    names=("x", "y"), entries=(0, 2), low=(0.0, -1.0), high=(1.0, 1.0), bin_width=(0.25, 0.5)
)
ANGLE = BinsConfig(names=("angle",), circular=(1, 2), bin_width=(math.radians(10),))


def on_axis(probabilities, total):
    """Return observations that fall in bins of width 1 with exactly these shares."""
    places = np.repeat(
        np.arange(len(probabilities)), np.round(np.array(probabilities) * total).astype(int)
    )
    return (places + 0.5)[:, None].astype(np.float32)


def axis(count):
    config = BinsConfig(
        names=("x",), entries=(0,), low=(0.0,), high=(float(count),), bin_width=(1.0,)
    )
    return Bins(config, 1)


@pytest.mark.parametrize("bins", [1, 2, 36])
def test_a_uniform_histogram_has_the_entropy_log_bins(bins):
    assert entropy(np.full(bins, 7)) == pytest.approx(math.log(bins))


def test_a_point_has_no_entropy_and_nothing_has_none_to_give():
    assert entropy(np.array([0, 9, 0])) == 0
    assert math.isnan(entropy(np.zeros(3, np.int64)))


def test_the_entropy_of_unequal_shares():
    expected = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert entropy(np.array([1, 0, 3])) == pytest.approx(expected)


def test_a_grid_counts_each_state_in_its_bin_over_entries_in_any_order():
    bins = Bins(PLANE, 3)
    assert bins.shape == (4, 4)
    obs = np.array([[0.1, 9, -0.9], [0.9, 9, -0.9], [0.1, 9, 0.9], [0.6, 9, 0.1]], np.float32)
    assert bins.index(obs).tolist() == [0, 12, 3, 2 * 4 + 2]
    assert [e.tolist() for e in bins.edges][1] == pytest.approx([-1, -0.5, 0, 0.5, 1])


def test_states_at_the_bounds_are_inside_and_those_beyond_are_counted_apart():
    bins = Bins(PLANE, 3)
    obs = np.array([[0, 0, -1], [1, 0, 1], [np.float32(1.0000001), 0, 1], [1.01, 0, 0]])
    assert bins.index(obs).tolist() == [0, 15, 15, -1]
    marginal = Marginal.of(bins, obs)
    assert (marginal.total, marginal.outside, marginal.outside_share) == (3, 1, 0.25)


def test_bins_that_do_not_divide_the_range_reach_beyond_it():
    config = BinsConfig(names=("x",), entries=(0,), low=(0.0,), high=(1.0,), bin_width=(0.3,))
    assert Bins(config, 1).edges[0].tolist() == pytest.approx([0, 0.3, 0.6, 0.9, 1.2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_angles_fall_in_the_same_bins_as_in_the_angle_histogram(dtype):
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, 5000)
    angles = np.concatenate([angles, [np.pi, -np.pi]])
    obs = np.stack([np.zeros_like(angles), np.cos(angles), np.sin(angles)], 1).astype(dtype)
    marginal = Marginal.of(Bins(ANGLE, 3), obs)
    assert marginal.bins.size == 36
    assert marginal.outside == 0
    found = np.zeros(36, int)
    found[marginal.index] = marginal.counts
    assert np.abs(found - angle_histogram(np.arctan2(obs[:, 2], obs[:, 1]))).sum() <= 2


def test_a_known_distribution_has_its_entropy_and_a_uniform_one_the_largest():
    shares = [0.5, 0.25, 0.125, 0.125]
    marginal = Marginal.of(axis(4), on_axis(shares, 8000))
    assert marginal.entropy == pytest.approx(1.75 * math.log(2))
    uniform = Marginal.of(axis(4), on_axis([0.25] * 4, 8000))
    assert uniform.entropy == pytest.approx(uniform.bins.max_entropy) == pytest.approx(math.log(4))


def test_the_plug_in_entropy_is_low_by_about_the_bias_told():
    rng, bins = np.random.default_rng(0), axis(50)
    draws = [Marginal.of(bins, rng.integers(50, size=(300, 1)) + 0.5) for _ in range(400)]
    short = math.log(50) - np.mean([d.entropy for d in draws])
    told = np.mean([d.bias for d in draws])
    assert 0.06 < short < 0.1
    assert told == pytest.approx(short, rel=0.15)


def test_divergences_of_two_known_distributions():
    p, q = np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.25, 0.5])
    assert kl(p, q) == pytest.approx(math.log(2))
    assert kl(q, p) == math.inf
    assert kl(p, p) == 0
    assert total_variation(p, q) == pytest.approx(0.5)


def test_divergences_from_a_target_by_hand():
    bins = axis(2)
    log_target = bins.log_target(lambda obs: np.where(obs[:, 0] < 1, math.log(3.0), 0.0))
    assert np.exp(log_target) == pytest.approx([0.75, 0.25])
    found = Marginal.of(bins, on_axis([0.5, 0.5], 2_000_000)).divergences(log_target)
    assert found["total_variation"] == pytest.approx(0.25, abs=1e-5)
    forward = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert found["kl_target_policy"] == pytest.approx(forward, abs=1e-4)
    backward = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(2)
    assert found["kl_policy_target"] == pytest.approx(backward, abs=1e-4)


def test_states_that_match_the_target_have_no_divergence():
    bins = axis(4)
    log_target = bins.log_target(lambda obs: np.log(np.ceil(obs[:, 0])))
    found = Marginal.of(bins, on_axis([0.1, 0.2, 0.3, 0.4], 1_000_000)).divergences(log_target)
    assert all(abs(value) < 1e-4 for value in found.values())


def test_bins_never_visited_or_impossible_leave_divergences_finite():
    bins = axis(3)
    log_target = bins.log_target(lambda obs: np.where(obs[:, 0] > 1, 0.0, -np.inf))
    assert np.exp(log_target) == pytest.approx([0, 0.5, 0.5])
    found = Marginal.of(bins, on_axis([0.5, 0.5, 0], 1000)).divergences(log_target)
    assert found["total_variation"] == pytest.approx(0.5, abs=0.01)
    # Half of the target lies where one pseudo-count in 3003 is, half of the states where p* is
    # a millionth over three bins.
    missed = 0.5 * math.log(0.5 * 3003) + 0.5 * math.log(0.5 / 0.5)
    assert found["kl_target_policy"] == pytest.approx(missed, abs=0.01)
    assert found["kl_policy_target"] == pytest.approx(0.5 * math.log(0.5 * 3e6), abs=0.02)


def test_a_target_is_averaged_over_each_bin_and_normalised():
    bins = Bins(PLANE, 3)
    log_target = bins.log_target(lambda obs: np.log(obs[:, 0]) + 700.0)  # rises along x
    mass = np.exp(log_target).reshape(4, 4)
    assert mass.sum() == pytest.approx(1)
    assert mass.sum(1) == pytest.approx(np.array([1, 3, 5, 7]) / 16, abs=1e-4)


def test_a_target_that_bends_within_its_bins_has_their_masses_not_their_middles():
    mass = np.exp(axis(2).log_target(lambda obs: 2 * np.log(obs[:, 0])))
    # The integrals of x^2 are 1/3 and 7/3; by the middles the first had a tenth.
    assert mass == pytest.approx([1 / 8, 7 / 8], abs=0.003)


def test_a_target_over_angles_gets_cosine_and_sine():
    log_target = Bins(ANGLE, 3).log_target(lambda obs: 2.0 * obs[:, 1])  # von Mises
    assert log_target.argmax() in (17, 18)
    assert log_target.max() - log_target.min() == pytest.approx(4.0, abs=0.05)


def test_there_is_no_target_over_bins_that_does_not_know_all_it_needs():
    bins = Bins(PLANE, 3)
    assert bins.log_target(lambda obs: obs[:, 1].astype(float)) is None
    assert bins.log_target(lambda obs: np.full(len(obs), -np.inf)) is None
    many = BinsConfig(names=("x",), entries=(0,), low=(0.0,), high=(1e7,), bin_width=(1.0,))
    assert Bins(many, 1).log_target(lambda obs: np.zeros(len(obs))) is None


def test_some_coordinates_alone_keep_their_bins():
    both = BinsConfig(
        names=("x", "y", "angle"), entries=(0, 1), low=(0.0, 2.0), high=(1.0, 3.0),
        circular=(2, 3), bin_width=(0.1, 0.2, 0.3),
    )  # fmt: skip
    kept = both.only(("angle", "y"))
    assert kept == BinsConfig(
        names=("y", "angle"), entries=(1,), low=(2.0,), high=(3.0,), circular=(2, 3),
        bin_width=(0.2, 0.3),
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"no coordinate 'z'.*known: x, y, angle"):
        both.only(("z",))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"circular": (1,)}, "expected pairs"),
        ({"names": ("x",)}, "bins.names has 1 values, expected 2"),
        ({"low": (0.0,)}, "bins.low has 1 values, expected 2"),
        ({"bin_width": (0.1, 0.0)}, "expected positive"),
        ({"low": (2.0, -1.0)}, "low < high"),
    ],
)
def test_bins_that_do_not_fit_together_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        replace(PLANE, **changes)


def test_bins_need_entries_of_the_observation():
    with pytest.raises(ConfigError, match="entry 2 is outside the observation of 2"):
        Bins(PLANE, 2)
    with pytest.raises(ConfigError, match="the environment names none"):
        Bins(BinsConfig(), 2)
