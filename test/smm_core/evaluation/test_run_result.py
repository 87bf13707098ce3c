"""What a run's result says of the target beside its figures."""

import math
from pathlib import Path

import numpy as np
import pytest

from smm_core.evaluation.run_result import RunResult


def test_entropies_of_the_target_are_over_the_bins_that_it_allows():
    with np.errstate(divide="ignore"):
        log_target = np.log([0.5, 0.0, 0.25, 0.25])
    found = RunResult(Path("a"), 0, "average", {}, [], log_target=log_target)
    assert found.target_entropy == pytest.approx(1.5 * math.log(2))
    assert found.uniform_entropy == pytest.approx(math.log(3))


def test_an_unknown_target_has_no_entropy():
    found = RunResult(Path("a"), 0, "average", {}, [])
    assert math.isnan(found.target_entropy)
    assert math.isnan(found.uniform_entropy)
