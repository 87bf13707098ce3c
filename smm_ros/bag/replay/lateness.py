"""How late things were, of any number of them in the same little memory."""

from __future__ import annotations

import numpy as np

_WIDTH = 1e-5
_BINS = 100_000


class Lateness:
    """Counts delays in bins of 10 us up to 1 s; beyond that only the longest is known."""

    def __init__(self) -> None:
        self.count = 0
        self.longest = 0.0
        """s."""
        self._counts = np.zeros(_BINS + 1, np.int64)

    def add(self, delay: float) -> None:
        """Count a delay, s."""
        self.count += 1
        self.longest = max(self.longest, delay)
        self._counts[min(max(int(delay / _WIDTH), 0), _BINS)] += 1

    def quantile(self, share: float) -> float:
        """Return the delay that this share of all are within, s, to 10 us; 0 without any."""
        if not self.count:
            return 0.0
        index = int(np.searchsorted(np.cumsum(self._counts), share * self.count))
        return min((index + 1) * _WIDTH, self.longest) if index < _BINS else self.longest
