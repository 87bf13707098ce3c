"""A smooth way from one pose to another: from rest to rest, by time alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Glide:
    """Angles over time, (N,) rad: a cubic with no speed at either end."""

    start: Array
    end: Array
    begins: float
    """s."""
    duration: float
    """s."""

    def at(self, now: float) -> Array:
        """Return the angles at a time (s): `start` before it begins, `end` after it ends."""
        share = float(np.clip((now - self.begins) / self.duration, 0.0, 1.0))
        return self.start + share * share * (3 - 2 * share) * (self.end - self.start)


def glide(start: Array, end: Array, begins: float, speed: float, least: float = 0.1) -> Glide:
    """Return the way on which the joint that goes farthest has a mean speed, rad/s.

    It takes `least` s at least. At its fastest it is half as fast again.
    """
    farthest = float(np.abs(end - start).max())
    return Glide(start, end, begins, max(least, farthest / speed))
