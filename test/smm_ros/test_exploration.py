import matplotlib.image
import numpy as np
import pytest

from smm_ros.exploration import MAX_ENTROPY, Exploration, draw


def explored(angles):
    return Exploration("test", "#1f6fb4", np.asarray(angles, float))


def test_all_angles_alike_are_the_maximum_and_one_alone_is_nothing():
    centres = np.deg2rad(np.arange(-175, 180, 10))
    assert explored([centres]).figures()["share_of_maximum"] == pytest.approx(1)
    assert explored([centres]).figures()["kl_to_uniform"] == pytest.approx(0)
    assert explored(np.zeros((3, 50))).figures()["entropy"] == 0


def test_the_range_of_an_episode_counts_turns_across_the_seam():
    there_and_back = np.concatenate([np.linspace(0, 1.5, 40), np.linspace(1.5, 0.5, 30)])
    wrapped = np.angle(np.exp(2j * np.pi * there_and_back))
    still = np.zeros(70)
    exploration = explored([wrapped, still])
    np.testing.assert_allclose(exploration.turns, [1.5, 0.0], atol=1e-9)
    assert exploration.figures()["episodes_of_half_a_turn"] == 0.5


def test_the_picture_is_a_png_of_both(tmp_path):
    rng = np.random.default_rng(0)
    both = [explored(rng.normal(0, width, (20, 50))) for width in (0.3, 1.0)]
    path = tmp_path / "folder" / "exploration.png"
    draw(both, (np.arange(10), np.linspace(0, MAX_ENTROPY, 10)), path)
    height, width, _ = matplotlib.image.imread(path).shape
    assert width > height > 400
