"""An even sample of a stream whose length is not known, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from smm_core.transitions import Floats


class Reservoir:
    """At most `capacity` rows of all those added, each of them kept with the same probability.

    Algorithm R of Vitter, Random Sampling with a Reservoir (1985). The sample depends on the
    order of the rows and the seed alone, not on how many were added at a time.
    """

    def __init__(self, capacity: int, width: int, seed: Sequence[int]) -> None:
        """`width` is that of a row; `seed` the entropy of numpy's generator."""
        self.seen = 0
        """Rows added so far."""
        self._kept = np.empty((capacity, width), np.float32)
        self._rng = np.random.default_rng(list(seed))

    @property
    def capacity(self) -> int:
        """Most rows that are kept."""
        return len(self._kept)

    @property
    def rows(self) -> Floats:
        """The rows kept, (N, width); in the order added as long as all were kept."""
        return self._kept[: min(self.seen, self.capacity)]

    def add(self, rows: NDArray[np.floating]) -> None:
        """Take in rows (N, width)."""
        number = np.arange(self.seen, self.seen + len(rows))
        drawn = (self._rng.random(len(rows)) * (number + 1)).astype(np.int64)
        place = np.where(number < self.capacity, number, drawn)
        stays = place < self.capacity
        # Of two rows for one place the later one stays, as if they had come one by one.
        self._kept[place[stays]] = rows[stays]
        self.seen += len(rows)
