"""Pictures: which are drawn of which results, and that something is in them."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from smm_core.config import ConfigError
from smm_core.evaluation.comparison import CompareConfig, Comparison
from smm_core.evaluation.episode import Episode, reached
from smm_core.evaluation.goals import Search
from smm_core.evaluation.marginals import Bins, BinsConfig, Marginal
from smm_core.evaluation.plots import draw
from smm_core.evaluation.run_result import RunResult

PLANE = BinsConfig(
    names=("x", "y", "z"), entries=(0, 1, 2), low=(-3.0,) * 3, high=(3.0,) * 3, bin_width=(0.25,)
)
ANGLE = BinsConfig(names=("angle",), circular=(0, 1), bin_width=(0.2,))


def run(seed, bins, skills=1, goals=False, walls=None):
    rng = np.random.default_rng(seed)
    episodes = [
        Episode(
            n % skills, rng.normal(n % skills, 1, (21, 3)).astype(np.float32), np.zeros(20), 0, {}
        )
        for n in range(12)
    ]
    success = np.maximum.accumulate(rng.random((15, 10)) < 0.1, axis=1)
    search = Search(rng.uniform(-2, 2, (15, 2)), (0, 2), success) if goals else None
    marginal = Marginal.of(bins, reached(episodes)) if bins else None
    figures = {"state_entropy": 2.0 + seed, "outside_share": 0.0} if bins else {"valve_range": 1.0}
    return RunResult(Path("a"), seed, "average", figures, episodes, marginal, search, walls)


def drawn(tmp_path, results, **options):
    """Draw two groups of runs; return the names of the pictures, each of which shows something."""
    comparison = Comparison({"smm": results, "sac last": results[:1]}, CompareConfig())
    paths = draw(comparison, tmp_path / "plots", **options)
    for path in paths:
        image = matplotlib.image.imread(path)
        assert min(image.shape[:2]) > 200
        assert len(np.unique(image.reshape(-1, image.shape[-1])[::17], axis=0)) > 20
    return {path.stem for path in paths}


def test_a_plane_with_skills_and_goals_has_maps_goals_and_curves(tmp_path):
    bins, walls = Bins(PLANE, 3), np.array([[-2, -2], [2, -2], [0, 2.0]])
    found = drawn(tmp_path, [run(s, bins, 3, True, walls) for s in range(3)], plane=("x", "z"))
    assert found == {
        "figures", "marginals", "skills-smm", "skills-sac-last", "goals", "goals-found",
    }  # fmt: skip


def test_goals_choose_the_plane_and_another_plane_leaves_them_out(tmp_path):
    results = [run(0, Bins(PLANE, 3), 1, True)]
    assert drawn(tmp_path, results) == {"figures", "marginals", "goals", "goals-found"}
    assert "goals" not in drawn(tmp_path, results, plane=("x", "y"))


def test_groups_that_looked_for_no_goals_are_left_out_of_their_pictures(tmp_path):
    bins = Bins(PLANE, 3)
    for first, second in ((True, False), (False, True)):
        groups = {"a": [run(0, bins, 1, first)], "b": [run(1, bins, 1, second)]}
        paths = draw(Comparison(groups, CompareConfig()), tmp_path / str(first))
        assert {"goals", "goals-found"} <= {path.stem for path in paths}


def test_without_a_figure_nothing_is_drawn(tmp_path):
    bare = RunResult(Path("a"), 0, "average", {}, [])
    assert not draw(Comparison({"sac": [bare]}, CompareConfig()), tmp_path)


def test_angles_are_drawn_round_a_circle(tmp_path):
    assert drawn(tmp_path, [run(s, Bins(ANGLE, 3)) for s in range(2)]) == {"figures", "angles"}


def test_without_bins_there_are_the_figures_alone(tmp_path):
    assert drawn(tmp_path, [run(0, None)]) == {"figures"}


def test_a_plane_of_an_unknown_coordinate_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no coordinate 'w' to draw.*: x, y, z"):
        drawn(tmp_path, [run(0, Bins(PLANE, 3))], plane=("x", "w"))
    with pytest.raises(ConfigError, match="plane to draw is x, x, expected two coordinates"):
        drawn(tmp_path, [run(0, Bins(PLANE, 3))], plane=("x", "x"))
