"""What came of playing one run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smm_core.evaluation.episode import Episode
from smm_core.evaluation.goals import Search
from smm_core.evaluation.marginals import Marginal


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
    """Corners of the free space, (W, 2), where the environment has a map of it."""
