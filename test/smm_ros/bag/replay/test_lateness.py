"""Quantiles of delays, from counts in bins."""

import numpy as np
import pytest

from smm_ros.bag.replay.lateness import Lateness


def test_quantiles_are_right_to_ten_microseconds():
    delays = np.random.default_rng(0).exponential(0.002, 5000)
    late = Lateness()
    for delay in delays:
        late.add(delay)
    for share in (0.5, 0.9, 0.99):
        exact = np.quantile(delays, share, method="inverted_cdf")
        assert late.quantile(share) == pytest.approx(exact, abs=1.1e-5)
    assert late.longest == delays.max()
    assert late.count == 5000


def test_beyond_a_second_the_longest_is_known():
    late = Lateness()
    assert late.quantile(0.99) == 0.0
    late.add(3.0)
    late.add(70.0)
    assert late.quantile(0.5) == late.longest == 70.0
