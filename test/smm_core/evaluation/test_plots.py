"""Pictures: which are drawn of which results, and that something is in them."""

from pathlib import Path

import matplotlib
import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from smm_core.config import ConfigError
from smm_core.evaluation.comparison import CompareConfig, Comparison
from smm_core.evaluation.episode import Episode, reached
from smm_core.evaluation.goals import Search
from smm_core.evaluation.marginals import Bins, BinsConfig, Marginal
from smm_core.evaluation.plots import FOUND_COLORS, NOT_FOUND, draw
from smm_core.evaluation.run_result import RunResult

PLANE = BinsConfig(
    names=("x", "y", "z"), entries=(0, 1, 2), low=(-3.0,) * 3, high=(3.0,) * 3, bin_width=(0.25,)
)
ANGLE = BinsConfig(names=("angle",), circular=(0, 1), bin_width=(0.2,))


def run(seed, bins, skills=1, goals=False, walls=None, log_target=None):
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
    return RunResult(
        Path("a"), seed, "average", figures, episodes, marginal, search, walls, log_target
    )


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


@pytest.fixture
def figures(tmp_path, monkeypatch):
    """Return a function that draws groups of runs and returns the figures by name, unwritten."""

    def of(groups, **options):
        found = {}
        monkeypatch.setattr(
            Figure, "savefig", lambda self, path, **settings: found.update({path.stem: self})
        )
        draw(Comparison(groups, CompareConfig()), tmp_path, **options)
        return found

    return of


def panels(figure):
    """Return the panels of a figure by their titles."""
    return {axes.get_title(): axes for axes in figure.axes if axes.get_title()}


SLOPED = np.log(np.arange(1, 25)[:, None, None] / 300 / 24**2) + np.zeros((24, 24, 24))
"""A target over PLANE that rises along x."""


def test_maps_show_the_target_first_and_all_on_one_scale(figures):
    groups = {
        label: [run(seed, Bins(PLANE, 3), log_target=SLOPED.ravel()) for seed in range(2)]
        for label in ("smm", "sac")
    }
    found = panels(figures(groups, plane=("x", "z"))["marginals"])
    assert list(found) == ["p*", "smm (2 runs)", "sac (2 runs)"]
    meshes = [axes.collections[0] for axes in found.values()]
    rising = np.tile(np.arange(1, 25) / 300 / 24, (24, 1))
    np.testing.assert_allclose(meshes[0].get_array(), rising)
    assert all(mesh.norm is meshes[0].norm for mesh in meshes)
    turned = panels(figures(groups, plane=("z", "x"))["marginals"])["p*"].collections[0]
    np.testing.assert_allclose(turned.get_array(), rising.T)


def test_targets_that_differ_are_told_apart_and_unknown_ones_left_out(figures):
    bins, other = Bins(PLANE, 3), np.roll(SLOPED, 5, 0)
    groups = {
        "smm": [run(0, bins, log_target=SLOPED.ravel())],
        "bare": [run(0, bins)],
        "far": [run(0, bins, log_target=other.ravel())],
        "near": [run(0, bins, log_target=SLOPED.ravel())],
    }
    found = panels(figures(groups)["marginals"])
    maps = [f"{label} (1 run)" for label in groups]
    assert list(found) == ["p* of smm", "p* of far", *maps]
    # Of six panels in rows of four the last two of the first row have none below them.
    has_labels = [axes.get_xlabel() == "x" for axes in found.values()]
    assert has_labels == [False, False, True, True, True, True]


def test_the_tails_of_a_target_do_not_stretch_the_scale(figures):
    steep = np.where(SLOPED.max() > SLOPED, -30.0, 0.0)
    steep -= np.log(np.exp(steep).sum())
    groups = {"smm": [run(0, Bins(PLANE, 3), log_target=steep.ravel())]}
    mesh = panels(figures(groups)["marginals"])["p*"].collections[0]
    assert 1e-3 < mesh.norm.vmin < 0.01  # one of 240 states


def test_walls_are_drawn_in_the_plane_that_they_are_of(figures):
    walls = np.array([[-2, -1], [2, -1], [0, 1.0]])
    groups = {"smm": [run(0, Bins(PLANE, 3), walls=walls)]}
    for plane, columns in (("xy", [0, 1]), ("yx", [1, 0]), ("xz", None)):
        (axes,) = panels(figures(groups, plane=tuple(plane))["marginals"]).values()
        drawn = [patch.get_xy()[:3] for patch in axes.patches]
        assert len(drawn) == (columns is not None)
        assert all(np.array_equal(corners, walls[:, columns]) for corners in drawn)


def heights(axes):
    """Return the heights of the dashed or dotted lines over each bar."""
    lines = [c for c in axes.collections if c.get_linestyle()[0][1] is not None]
    return [float(c.get_segments()[0][0, 1]) for c in lines]


def test_the_lines_over_entropies_are_of_bins_that_the_target_allows(figures):
    bins = Bins(ANGLE, 3)
    log_target = np.full(bins.size, -np.inf)
    log_target[:4] = np.log([0.1, 0.2, 0.3, 0.4])
    groups = {"smm": [run(0, bins, log_target=log_target)], "bare": [run(1, bins)]}
    (axes,) = figures(groups)["figures"].axes
    of_target = -np.exp(log_target[:4]) @ log_target[:4]
    assert heights(axes) == pytest.approx([np.log(4), of_target])
    assert "dashed: uniform where p* > 0, dotted: p*" in axes.get_title()
    (axes,) = figures({"bare": [run(1, bins)]})["figures"].axes
    assert heights(axes) == pytest.approx([np.log(bins.size)])
    assert axes.get_title().endswith("(dashed: uniform)")


def test_bars_of_no_height_have_no_room_below_them(figures):
    none = [RunResult(Path("a"), seed, "average", {"halls_reached": 0.0}, []) for seed in (0, 1)]
    (axes,) = figures({"sac": none})["figures"].axes
    assert axes.get_ylim() == (0, 1)


# Machado, Oliveira and Fernandes (2009): how linear RGB looks without one kind of cones.
EYES = {
    "all": np.eye(3),
    "no red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.mark.parametrize("eyes", EYES)
def test_goals_not_found_have_a_color_of_their_own(eyes):
    found = matplotlib.colormaps[FOUND_COLORS](np.linspace(0, 1, 64))[:, :3]
    colors = np.vstack([found, to_rgb(NOT_FOUND)])
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    seen = (linear @ np.transpose(EYES[eyes])).clip(0, 1)
    seen = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    assert np.linalg.norm(seen[:-1] - seen[-1], axis=1).min() > 0.25


def test_the_line_around_the_angles_is_the_target_where_it_is_known(figures):
    bins = Bins(ANGLE, 3)
    target = np.arange(1.0, bins.size + 1) / np.arange(1, bins.size + 1).sum()
    for log_target, name, share in (
        (np.log(target), "p*", target),
        (None, "uniform", np.full(bins.size, 1 / bins.size)),
    ):
        (axes,) = figures({"smm": [run(0, bins, log_target=log_target)]})["angles"].axes
        (line,) = [p for p in axes.patches if p.get_label() == name]
        np.testing.assert_allclose(line.get_data().values, share)
