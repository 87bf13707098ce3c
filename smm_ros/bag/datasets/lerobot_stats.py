"""Statistics of episodes as LeRobot keeps them, to scale features by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Stats = dict[str, NDArray[np.float64]]
"""By name, one number for each column of a table."""

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}


def episode_stats(table: NDArray[np.float64]) -> Stats:
    """Return the statistics of the columns of an episode's table (n, columns)."""
    quantiles = np.quantile(table, list(QUANTILES.values()), axis=0)
    return {
        "min": table.min(axis=0),
        "max": table.max(axis=0),
        "mean": table.mean(axis=0),
        "std": table.std(axis=0),
        **dict(zip(QUANTILES, quantiles, strict=True)),
    }


class StatsSum:
    """Statistics of all episodes together, from those of each.

    Mean and standard deviation are exact (Chan, Golub & LeVeque 1979, eq. 2.1); quantiles are
    the means of the episodes' quantiles, by length, as LeRobot's own `aggregate_stats` has them.
    """

    def __init__(self) -> None:
        self.count = 0
        self._sums: Stats = {}
        self._squares: NDArray[np.float64] = np.zeros(0)

    def add(self, stats: Stats, count: int) -> None:
        """Add an episode of `count` rows."""
        means = ("mean", *QUANTILES)
        if not self.count:
            self._sums = {name: stats[name] * count for name in means}
            self._sums |= {"min": stats["min"], "max": stats["max"]}
            self._squares = stats["std"] ** 2 * count
            self.count = count
            return
        apart = self._sums["mean"] / self.count - stats["mean"]
        both = self.count + count
        self._squares = (
            self._squares + stats["std"] ** 2 * count + apart**2 * (self.count * count / both)
        )
        for name in means:
            self._sums[name] = self._sums[name] + stats[name] * count
        self._sums["min"] = np.minimum(self._sums["min"], stats["min"])
        self._sums["max"] = np.maximum(self._sums["max"], stats["max"])
        self.count = both

    def total(self) -> Stats:
        """Return the statistics of everything added."""
        means = {name: self._sums[name] / self.count for name in ("mean", *QUANTILES)}
        std = np.sqrt(self._squares / self.count)
        return {"min": self._sums["min"], "max": self._sums["max"], "std": std, **means}


def stacked(stats: Sequence[Stats]) -> Stats:
    """Return each statistic of several episodes as one array (episodes, columns)."""
    return {name: np.stack([one[name] for one in stats]) for name in stats[0]}
