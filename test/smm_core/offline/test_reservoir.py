"""An even sample: bounded, fair, and the same however the rows come."""

import numpy as np
import pytest

from smm_core.offline.reservoir import Reservoir


def rows(count):
    return np.arange(count, dtype=np.float32)[:, None]


def test_as_long_as_there_is_room_all_rows_are_kept_in_their_order():
    reservoir = Reservoir(10, 1, (0,))
    reservoir.add(rows(7))
    np.testing.assert_array_equal(reservoir.rows, rows(7))
    assert reservoir.seen == 7


@pytest.mark.parametrize("parts", [[1000], [1] * 1000, [3, 500, 0, 497]])
def test_the_sample_does_not_depend_on_how_many_rows_come_at_a_time(parts):
    whole, split = Reservoir(50, 1, (3,)), Reservoir(50, 1, (3,))
    whole.add(rows(1000))
    for part in np.split(rows(1000), np.cumsum(parts)[:-1]):
        split.add(part)
    np.testing.assert_array_equal(split.rows, whole.rows)
    assert len(split.rows) == 50


def test_every_row_is_kept_with_the_same_probability():
    kept = np.zeros(40)
    for seed in range(2000):
        reservoir = Reservoir(10, 1, (seed,))
        reservoir.add(rows(40))
        found = reservoir.rows[:, 0].astype(int)
        assert len(set(found)) == 10
        kept[found] += 1
    # 500 expected each, 19 the standard deviation.
    assert np.abs(kept - 500).max() < 90


def test_other_seeds_keep_other_rows():
    samples = []
    for seed in range(2):
        reservoir = Reservoir(10, 1, (seed,))
        reservoir.add(rows(1000))
        samples.append(reservoir.rows.copy())
    assert not np.array_equal(*samples)
