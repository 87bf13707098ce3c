"""Intervals of few runs, and the paper's test: against theory and by hand."""

import math
import warnings

import numpy as np
import pytest
from scipy import stats

from smm_core.evaluation.intervals import bootstrap_interval, one_sided_p


@pytest.mark.parametrize(("runs", "least"), [(4, 0.82), (10, 0.91), (20, 0.91)])
def test_an_interval_holds_the_mean_about_as_often_as_it_says(runs, least):
    """Asked for 95 %; few values can not say how far the mean may be outside them."""
    values = np.random.default_rng(0).normal(3.0, 2.0, (runs, 500))
    low, high = bootstrap_interval(values, resamples=1000)
    assert least < ((low <= 3.0) & (high >= 3.0)).mean() < 0.985


def test_a_higher_confidence_is_wider_and_the_same_seed_repeats():
    values = np.random.default_rng(1).normal(size=12)
    wide, narrow = bootstrap_interval(values, 0.99), bootstrap_interval(values, 0.8)
    assert wide[0] < narrow[0] < values.mean() < narrow[1] < wide[1]
    assert bootstrap_interval(values, 0.99) == wide


def test_equal_values_leave_no_doubt_and_one_value_says_nothing():
    low, high = bootstrap_interval(np.full(4, 0.25))
    assert (float(low), float(high)) == (0.25, 0.25)
    low, high = bootstrap_interval(np.ones((1, 3)))
    assert np.isnan(low).all()
    assert low.shape == high.shape == (3,)


def test_curves_get_a_band():
    curves = np.stack([np.linspace(0, slope, 5) for slope in (1.0, 2.0, 3.0)])
    low, high = bootstrap_interval(curves)
    assert low[0] == high[0] == 0
    assert (np.diff(low) > 0).all()
    assert (low[1:] < curves.mean(0)[1:]).all()
    assert (high[1:] > curves.mean(0)[1:]).all()


def test_students_test_by_hand():
    a, b = np.array([5.0, 6.0, 7.0]), np.array([3.0, 4.0, 8.0, 5.0])
    pooled = (2 * a.var(ddof=1) + 3 * b.var(ddof=1)) / 5
    t = (a.mean() - b.mean()) / math.sqrt(pooled * (1 / 3 + 1 / 4))
    assert one_sided_p(a, b, greater=True) == pytest.approx(stats.t.sf(t, 5))
    assert one_sided_p(a, b, greater=False) == pytest.approx(stats.t.cdf(t, 5))


def test_welchs_test_by_hand():
    a, b = np.array([5.0, 6.0, 7.0]), np.array([3.0, 4.0, 8.0, 5.0])
    errors = np.array([a.var(ddof=1) / 3, b.var(ddof=1) / 4])
    t = (a.mean() - b.mean()) / math.sqrt(errors.sum())
    freedom = errors.sum() ** 2 / (errors**2 / [2, 3]).sum()
    assert one_sided_p(a, b, True, "welch") == pytest.approx(stats.t.sf(t, freedom))


def test_there_is_no_test_of_one_run_or_without_any_variation():
    assert math.isnan(one_sided_p(np.ones(1), np.zeros(4), True))
    assert math.isnan(one_sided_p(np.ones(4), np.zeros(4), True))
    assert math.isnan(one_sided_p(np.array([0.3, 0.1 + 0.2]), np.zeros(4), True))


def test_one_side_alone_may_be_all_alike_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = one_sided_p(np.ones(2), np.array([0.2, 0.4]), True)
    t = 0.7 / math.sqrt(0.01 * (1 / 2 + 1 / 2))  # of the pooled variance, (0 + 0.02) / 2
    assert found == pytest.approx(stats.t.sf(t, 2))
