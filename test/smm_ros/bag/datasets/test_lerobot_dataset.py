"""LeRobot datasets: the library itself reads them, and everything is in its place."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from smm_ros.bag.datasets import lerobot_dataset as lerobot_module
from smm_ros.bag.datasets import segment
from smm_ros.bag.datasets.dataset import DatasetError
from smm_ros.bag.datasets.export import export
from smm_ros.bag.datasets.lerobot_dataset import open_dataset


@pytest.fixture
def records(explore):
    return explore(episodes=3)


@pytest.fixture
def folder(tmp_path, records, write_bag):
    export([write_bag(tmp_path / "bag", records)], "lerobot", tmp_path / "set")
    return tmp_path / "set"


@pytest.fixture
def lerobot(monkeypatch, tmp_path):
    """The library, which keeps a cache of its own and must not ask the network."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    reason = "LeRobot is not installed here: it requires an older torch"
    return pytest.importorskip("lerobot.datasets.lerobot_dataset", reason=reason)


def test_lerobot_reads_every_frame(lerobot, folder, records):
    dataset = lerobot.LeRobotDataset("smm_ros/test", root=folder)
    assert (len(dataset), dataset.num_episodes, dataset.fps) == (15, 3, 10)
    assert dataset.meta.names["action"][0] == "joint_10"
    for number, record in enumerate(records):
        frame = dataset[number]
        assert np.array_equal(frame["observation.state"], record.observation)
        assert np.array_equal(frame["action"], record.action)
        assert np.array_equal(frame["next.observation.state"], record.next_observation)
        assert frame["next.reward"] == np.float32(record.log_p_shaping)
        assert frame["next.done"] == record.truncated == frame["next.truncated"]
        assert (frame["index"], frame["frame_index"]) == (number, record.step)
        assert frame["episode_index"] == record.episode
        assert frame["timestamp"] == pytest.approx(0.1 * record.step)
        assert (frame["hand"], frame["task"]) == ("dclaw", "explore")


def test_lerobot_finds_the_frames_before_and_after_within_an_episode(lerobot, folder, records):
    around = {"observation.state": [-0.1, 0.0, 0.1]}
    dataset = lerobot.LeRobotDataset("smm_ros/test", root=folder, delta_timestamps=around)
    frame = dataset[5]  # the first of the second episode
    assert frame["observation.state_is_pad"].tolist() == [True, False, False]
    assert np.array_equal(frame["observation.state"][2], records[6].observation)


def test_lerobot_takes_single_episodes(lerobot, folder):
    dataset = lerobot.LeRobotDataset("smm_ros/test", root=folder, episodes=[1])
    assert {int(frame["episode_index"]) for frame in dataset} == {1}


def test_lerobot_adds_up_the_episodes_statistics_to_those_of_the_whole(lerobot, folder):
    stats = pytest.importorskip("lerobot.datasets.compute_stats")
    rows = pq.read_table(folder / "meta/episodes").to_pylist()
    names = [name for name in rows[0] if name.startswith("stats/")]
    of_each = []
    for row in rows:
        of_one = {}
        for name in names:
            _, feature, what = name.split("/")
            of_one.setdefault(feature, {})[what] = np.array(row[name])
        of_each.append(of_one)
    expected = stats.aggregate_stats(of_each)
    found = lerobot.LeRobotDataset("smm_ros/test", root=folder).meta.stats
    assert found.keys() == expected.keys()
    for feature, values in expected.items():
        for what, value in values.items():
            np.testing.assert_allclose(found[feature][what], value, rtol=1e-6, atol=1e-9)


def test_info_counts_and_describes(folder, tmp_path):
    info = json.loads((folder / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0"
    assert (info["total_frames"], info["total_episodes"], info["fps"]) == (15, 3, 10)
    assert info["features"]["observation.state"]["shape"] == [12]
    assert info["features"]["hand"]["dtype"] == "string"
    assert info["splits"] == {"train": "0:3"}
    assert info["smm_ros"]["bags"] == [str(tmp_path / "bag")]
    frames = pq.read_table(folder / "data")
    assert set(frames.column_names) == set(info["features"])


def test_files_are_split_and_each_episode_says_where_it_is(
    tmp_path, explore, write_bag, monkeypatch
):
    monkeypatch.setattr(segment, "ROWS", 20)
    monkeypatch.setattr(lerobot_module, "_FILE_MB", 0.004)
    monkeypatch.setattr(lerobot_module, "_FILES_IN_CHUNK", 2)
    bag = write_bag(tmp_path / "bag", explore(episodes=24))
    export([bag], "lerobot", tmp_path / "set")
    rows = pq.read_table(tmp_path / "set/meta/episodes").to_pylist()
    assert [row["episode_index"] for row in rows] == list(range(24))
    assert len({(row["data/chunk_index"], row["data/file_index"]) for row in rows}) > 2
    for row in rows:
        place = f"chunk-{row['data/chunk_index']:03d}/file-{row['data/file_index']:03d}.parquet"
        table = pq.read_table(tmp_path / "set/data" / place).to_pylist()
        frames = [f["index"] for f in table if f["episode_index"] == row["episode_index"]]
        assert frames == list(range(row["dataset_from_index"], row["dataset_to_index"]))
    assert len(list(open_dataset(tmp_path / "set").records(0))) == 120


def test_a_lacking_file_is_noticed(tmp_path, explore, write_bag, monkeypatch):
    monkeypatch.setattr(segment, "ROWS", 20)
    monkeypatch.setattr(lerobot_module, "_FILE_MB", 0.004)
    export([write_bag(tmp_path / "bag", explore(episodes=12))], "lerobot", tmp_path / "set")
    (tmp_path / "set/data/chunk-000/file-001.parquet").unlink()
    with pytest.raises(DatasetError, match="says 60; bring back"):
        open_dataset(tmp_path / "set")


def test_another_s_dataset_is_refused(folder):
    path = folder / "meta/info.json"
    info = json.loads(path.read_text())
    path.write_text(json.dumps(info | {"codebase_version": "v2.1"}))
    with pytest.raises(DatasetError, match=r"v2\.1 made of a bag; expected v3\.0"):
        open_dataset(folder)
    del info["smm_ros"]
    path.write_text(json.dumps(info))
    with pytest.raises(DatasetError, match=r"v3\.0 of another origin"):
        open_dataset(folder)
    path.write_text("{")
    with pytest.raises(DatasetError, match="can not read"):
        open_dataset(folder)
