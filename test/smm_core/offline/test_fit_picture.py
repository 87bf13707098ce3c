"""The picture of a fit: drawn for every kind of state, and it shows what it should."""

import matplotlib.image
import pytest
from matplotlib.figure import Figure

from smm_core.offline.fit_picture import draw_marginals
from smm_core.offline.model_fit import fit_models

ANGLE = {"target": {"name": "uniform_circle"}}
BOX = {
    "state": {"linear": [0], "circular": [1, 2]},
    "target": {"name": "uniform_box", "box": {"low": [-1.0], "high": [1.0]}},
    "bins": 8,
}
PLAIN = {"state": {}, "target": {"name": "reward"}}


@pytest.fixture
def figures(monkeypatch):
    """Return a list of the figures that are saved."""
    saved, save = [], Figure.savefig

    def noting(figure, *args, **options):
        saved.append(figure)
        save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", noting)
    return saved


@pytest.mark.parametrize(
    ("settings", "skills", "model", "names"),
    [
        (ANGLE, 1, "histogram", ["angle"]),
        (ANGLE, 3, "vae", ["angle"]),
        (BOX, 2, "flow", ["place", "angle"]),
        (PLAIN, 1, "gaussian_mixture", ["a", "b", "c"]),
    ],
)
def test_each_coordinate_has_a_panel_with_all_that_is_known(
    make_samples, tmp_path, figures, settings, skills, model, names
):
    samples = make_samples(600, skills, model, **settings).copy()
    fit = fit_models(samples)
    draw_marginals(tmp_path / "a.png", fit.models, samples, fit.figures, names)
    assert matplotlib.image.imread(tmp_path / "a.png").std() > 0
    (figure,) = figures
    assert [axes.get_xlabel().split(" [")[0] for axes in figure.axes] == names
    for axes in figure.axes:
        _, labels = axes.get_legend_handles_labels()
        assert "recorded states" in labels
        assert sum("fitted q(s)" in label for label in labels) == 1
        assert sum("z = " in label for label in labels) == (skills if skills > 1 else 0)
        assert ("target p*(s)" in labels) == ("reward" not in settings["target"].values())


def test_the_marginals_of_data_and_density_have_mass_one(make_samples, tmp_path, figures):
    samples = make_samples(3000, 1, "histogram").copy()
    fit = fit_models(samples)
    draw_marginals(tmp_path / "a.png", fit.models, samples, fit.figures, ["angle"])
    (axes,) = figures[0].axes
    values, edges, _ = axes.patches[0].get_data()
    assert (values * (edges[1:] - edges[:-1])).sum() == pytest.approx(1.0)
    x, y = axes.lines[-1].get_data()
    assert y.mean() * (x[-1] - x[0]) == pytest.approx(1.0, abs=0.02)
