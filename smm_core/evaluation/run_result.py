"""What came of playing one run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smm_core.evaluation.episode import Episode
from smm_core.evaluation.goals import Search
from smm_core.evaluation.marginals import Marginal, entropy


@dataclass(frozen=True)
class RunResult:
    """What one run reached with one of its policies."""

    folder: Path
    seed: int
    """that the run was trained with"""
    policy: str
    figures: dict[str, float]
    episodes: list[Episode]
    marginal: Marginal | None = None
    search: Search | None = None
    walls: NDArray[np.float64] | None = None
    """Corners of the free space in the first two entries of the observation, (W, 2), where the
    environment has a map of it."""
    log_target: NDArray[np.float64] | None = None
    """log p* of each bin of the marginal, (bins,) nats, where it is known; -inf where no state can
    be."""

    @property
    def target_entropy(self) -> float:
        """Entropy of p* over the bins, nats; NaN where p* is not known."""
        return math.nan if self.log_target is None else entropy(np.exp(self.log_target))

    @property
    def uniform_entropy(self) -> float:
        """Entropy of what is uniform over the bins where p* > 0, nats; NaN as above."""
        if self.log_target is None:
            return math.nan
        return math.log(np.isfinite(self.log_target).sum())
