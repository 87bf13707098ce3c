"""Minari datasets: the library itself reads them, and an episode is what it means there."""

import gymnasium
import minari
import numpy as np
import pytest
from minari.cli import app
from typer.testing import CliRunner

from smm_ros.bag.datasets import segment
from smm_ros.bag.datasets.dataset import DatasetError
from smm_ros.bag.datasets.export import export
from smm_ros.bag.datasets.minari_dataset import dataset_id, is_dataset, open_dataset
from smm_ros.dclaw import ENV_ID


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    return tmp_path / "datasets"


@pytest.fixture
def make(root, tmp_path, explore, write_bag):
    """Return a function that exports transitions and loads the dataset as its user does."""

    def make(records=None, name="dclaw-v0"):
        bag = write_bag(tmp_path / "bag", explore(episodes=3) if records is None else records)
        export([bag], "minari", root / name)
        return minari.load_dataset(name)

    return make


def test_minari_reads_every_episode(make, explore):
    dataset, records = make(), explore(episodes=3)
    assert (dataset.total_episodes, dataset.total_steps) == (3, 15)
    for number, episode in enumerate(dataset):
        own = records[5 * number : 5 * number + 5]
        observations = [own[0].observation, *(record.next_observation for record in own)]
        assert np.array_equal(episode.observations, observations)
        assert episode.observations.dtype == np.float32
        assert np.array_equal(episode.actions, [record.action for record in own])
        assert np.array_equal(episode.rewards, np.float32([r.log_p_shaping for r in own]))
        assert episode.truncations.tolist() == [False] * 4 + [True]
        assert not episode.terminations.any()
        for info, field in (
            ("stamp_ns", "stamp_ns"),
            ("skill", "skill"),
            ("sequence", "sequence"),
        ):
            found = episode.infos[info]
            assert len(found) == len(episode.observations)
            assert found[:-1].tolist() == [getattr(record, field) for record in own]
        for space, values in (
            (dataset.observation_space, episode.observations),
            (dataset.action_space, episode.actions),
        ):
            assert all(space.contains(value) for value in values)


def test_episodes_can_be_filtered_and_sampled(make):
    dataset = make()
    odd = dataset.filter_episodes(lambda episode: episode.infos["skill"][0] == 1)
    assert [int(episode.infos["episode"][0]) for episode in odd] == [1]
    assert len(dataset.sample_episodes(2)) == 2


def test_the_environment_of_a_dclaw_is_recovered(make):
    dataset = make()
    assert dataset.env_spec.id == ENV_ID
    with dataset.recover_environment() as env:
        assert env.observation_space == dataset.observation_space
        assert env.action_space == dataset.action_space


def test_another_hand_has_no_environment(make, explore):
    dataset = make(explore(obs_size=3, action_size=2))
    assert dataset.env_spec is None
    assert dataset.observation_space == gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float32)


def test_a_part_of_an_episode_is_truncated_where_it_breaks_off(make, explore):
    records = explore(episodes=1, steps=6)
    dataset = make(records[:3] + records[4:])
    assert [episode.truncations.tolist() for episode in dataset] == [
        [False, False, True],
        [False, True],
    ]
    back = list(open_dataset(dataset.storage.data_path).records(0))
    assert [record.truncated for record in back] == [False] * 4 + [True]


def test_episodes_say_whose_they_are(root, tmp_path, explore, write_bag, monkeypatch):
    monkeypatch.setattr(segment, "ROWS", 7)  # several batches
    records = explore("left") + explore("right")
    bag = write_bag(tmp_path / "bag", records, ["left", "right"])
    export([bag], "minari", root / "hands-v3")
    dataset = minari.load_dataset("hands-v3")
    metadata = dataset.storage.get_episode_metadata(dataset.episode_indices)
    assert [one["hand"] for one in metadata] == ["left"] * 2 + ["right"] * 2 + ["left", "right"]
    about = dataset.storage.metadata["smm_ros"]
    assert about["observation_names"][-1] == "valve_velocity"


def test_minari_lists_and_shows_it(make):
    make(name="lab/dclaw-v0")
    listed = CliRunner().invoke(app, ["list", "local"], env={"COLUMNS": "200"})
    assert "lab/dclaw-v0" in listed.output
    shown = CliRunner().invoke(app, ["show", "lab/dclaw-v0"], env={"COLUMNS": "200"})
    assert ENV_ID in shown.output
    assert shown.exit_code == 0


def test_the_id_is_the_path_below_the_folder_of_all_datasets(root, tmp_path):
    assert dataset_id(root / "lab" / "dclaw-v1") == "lab/dclaw-v1"
    assert dataset_id(tmp_path / "elsewhere" / "dclaw-v1") == "dclaw-v1"
    for name in ("dclaw", "dclaw-v", "with space-v0", "-v1"):
        with pytest.raises(DatasetError, match="NAME-vNUMBER"):
            dataset_id(root / name)


def test_a_damaged_dataset_is_said(make, tmp_path):
    data = make().storage.data_path
    assert is_dataset(data)
    assert is_dataset(data.parent)
    assert not is_dataset(tmp_path / "bag")
    file = data / "main_data.hdf5"
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)
    with pytest.raises(DatasetError, match="can not read"):
        list(open_dataset(data.parent).records(0))
    (data / "metadata.json").write_text("{}")
    with pytest.raises(DatasetError, match="can not read"):
        open_dataset(data.parent)
