import matplotlib.image
import numpy as np
import pytest

from smm_ros.dclaw import view


def picture(hand, folder, name="hand.png"):
    return matplotlib.image.imread(view.render(hand, folder / name, width=120, height=90))


def near(image, rgb):
    """Share of the pixels whose hue is close to a colour's, whatever the light."""
    pixels = image[..., :3].reshape(-1, 3)
    pixels = pixels / np.linalg.norm(pixels, axis=1, keepdims=True)
    return (pixels @ (np.array(rgb) / np.linalg.norm(rgb)) > 0.98).mean()


def test_the_picture_shows_valve_and_fingertips_on_a_light_ground(hand, tmp_path):
    image = picture(hand, tmp_path)
    assert image.shape[:2] == (90, 120)
    colors = {
        hand.model.material(i).name: hand.model.mat_rgba[i, :3] for i in range(hand.model.nmat)
    }
    assert near(image, colors["wing"]) > 0.02
    assert near(image, colors["tip"]) > 0.005
    assert image[0, :, :3].min() > 0.7


def test_the_picture_follows_the_valve_and_is_otherwise_the_same_again(hand, tmp_path):
    first = picture(hand, tmp_path)
    np.testing.assert_array_equal(picture(hand, tmp_path), first)
    for _ in hand.reset(1.0):
        pass
    assert np.abs(picture(hand, tmp_path) - first).max() > 0.1


def test_a_picture_leaves_the_hand_as_it_was(hand, tmp_path):
    before = hand.data.qpos.copy()
    picture(hand, tmp_path / "new_folder")
    np.testing.assert_array_equal(hand.data.qpos, before)


def test_a_picture_without_a_size_is_refused(hand, tmp_path):
    with pytest.raises(ValueError, match="picture size must be positive, got 0 x 90"):
        view.render(hand, tmp_path / "x.png", width=0, height=90)


def test_the_command_writes_the_file_it_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(view, "SUPERSAMPLING", 1)
    path = tmp_path / "hand.png"
    assert view.main([str(path)]) == 0
    assert path.stat().st_size > 1000
    assert capsys.readouterr().out.strip() == str(path)
    with pytest.raises(SystemExit) as end:
        view.main([])
    assert end.value.code == 2
