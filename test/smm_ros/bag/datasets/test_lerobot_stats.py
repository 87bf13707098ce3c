"""Statistics of episodes, and of all together."""

import numpy as np
import pytest

from smm_ros.bag.datasets.lerobot_stats import StatsSum, episode_stats, stacked


@pytest.fixture
def episodes():
    rng = np.random.default_rng(0)
    scales = np.array([1.0, 1e-3, 1e6, 0.0])
    return [rng.normal(loc=5 * n, size=(n + 1, 4)) * scales for n in range(6)]


def test_the_whole_has_the_moments_of_all_rows(episodes):
    total = StatsSum()
    for rows in episodes:
        total.add(episode_stats(rows), len(rows))
    found, rows = total.total(), np.concatenate(episodes)
    assert total.count == len(rows)
    np.testing.assert_allclose(found["mean"], rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found["std"], rows.std(axis=0), rtol=1e-12)
    assert np.array_equal(found["min"], rows.min(axis=0))
    assert np.array_equal(found["max"], rows.max(axis=0))


def test_one_row_is_its_own_statistics():
    found = episode_stats(np.array([[3.0, -1.0]]))
    for name in ("min", "max", "mean", "q01", "q50", "q99"):
        assert found[name].tolist() == [3.0, -1.0]
    assert found["std"].tolist() == [0.0, 0.0]


def test_quantiles_are_in_order(episodes):
    found = stacked([episode_stats(rows) for rows in episodes])
    names = ["min", "q01", "q10", "q50", "q90", "q99", "max"]
    assert (np.diff([found[name] for name in names], axis=0) >= 0).all()
