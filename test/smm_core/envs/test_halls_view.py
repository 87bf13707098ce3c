import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from smm_core.envs.halls import Halls
from smm_core.envs.halls_view import FLOOR, GOAL, POINT, WALL, draw_visits, heat_maps, picture


def colors(image):
    """Return how many pixels have each colour."""
    values, counts = np.unique(image.reshape(-1, 3), axis=0, return_counts=True)
    return {tuple(v): int(n) for v, n in zip(values.tolist(), counts, strict=True)}


@pytest.mark.parametrize(("num_halls", "length"), [(3, 10.0), (7, 50.0)])
def test_a_picture_shows_walls_floor_goals_and_the_point(num_halls, length):
    image = picture(Halls(num_halls, length), np.zeros(2))
    assert set(colors(image)) == {WALL, FLOOR, GOAL, POINT}
    assert max(image.shape[:2]) <= 481


def test_the_point_is_drawn_where_it_is():
    halls = Halls(3, 10.0)
    rows, columns = np.nonzero((picture(halls, np.array([8.0, 0.0])) == POINT).all(-1))
    middle = (picture(halls, np.zeros(2)) == POINT).all(-1).nonzero()
    assert rows.mean() == pytest.approx(middle[0].mean(), abs=1)
    assert columns.mean() > middle[1].mean() + 50


def test_a_heat_map_holds_every_visit_in_its_bin():
    halls = Halls(3, 10.0)
    visits = np.array([[0.1, 0.1]] * 3 + [[8.1, 0.1]])
    image = draw_visits(Figure().subplots(), halls, visits)
    shares = np.ma.filled(image.get_array(), 0.0)
    assert sorted(shares[shares > 0].tolist()) == [0.25, 0.75]


def test_heat_maps_are_written_one_panel_for_each_skill(tmp_path):
    rng, halls = np.random.default_rng(0), Halls(3, 10.0)
    skills = {f"skill {z}": rng.normal(size=(50, 2)) for z in range(5)}
    one = matplotlib.image.imread(heat_maps(halls, {"all": skills["skill 0"]}, tmp_path / "1.png"))
    five = matplotlib.image.imread(heat_maps(halls, skills, tmp_path / "new" / "5.png"))
    # Four panels side by side, the fifth below.
    assert five.shape[0] == 2 * one.shape[0]
    assert five.shape[1] > 3 * one.shape[1]


def test_a_skill_that_was_nowhere_has_an_empty_map(tmp_path):
    visits = {"none": np.zeros((0, 2)), "some": np.zeros((3, 2))}
    assert heat_maps(Halls(3, 10.0), visits, tmp_path / "maps.png").exists()


def test_what_can_not_be_drawn_is_named(tmp_path):
    with pytest.raises(ValueError, match="visits is empty"):
        heat_maps(Halls(), {}, tmp_path / "maps.png")
    with pytest.raises(ValueError, match=r"positions have shape \(3,\), expected \(N, 2\)"):
        heat_maps(Halls(), {"bad": np.zeros(3)}, tmp_path / "maps.png")
