"""LeRobot's dataset format v3.0: one episode for each segment, frames in Parquet, JSON beside.

The layout of the folder and the meaning of each file are those that `LeRobotDataset` of lerobot
0.4.4 reads (lerobot/datasets/lerobot_dataset.py and utils.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smm_ros.bag.datasets.dataset import DatasetError, SegmentReading
from smm_ros.bag.datasets.dataset_table import (
    FIELDS,
    TableReading,
    arrow_columns,
    fixed_lists,
    plain_table,
)
from smm_ros.bag.datasets.lerobot_stats import Stats, StatsSum, episode_stats, stacked
from smm_ros.bag.datasets.segment import Layout, Segment, batches
from smm_ros.dclaw.spec import CONTROL_PERIOD

VERSION = "v3.0"
INFO = "meta/info.json"
ABOUT = "smm_ros"
"""Key of info.json under which the dataset says what it is."""

TASK = "explore"
"""What LeRobot calls the task, the same in every frame."""

NAMES = {name: name for name in FIELDS} | {
    "observation": "observation.state",
    "next_observation": "next.observation.state",
    "log_p_shaping": "next.reward",
    "terminated": "next.terminated",
    "truncated": "next.truncated",
}
"""What the fields of a transition are called as features."""

_FILES = "chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_DATA, _EPISODES = f"data/{_FILES}", f"meta/episodes/{_FILES}"
_NUMPY_NAMES = {"float": "float32"}  # Arrow calls the other types as NumPy does
_FILES_IN_CHUNK = 1000
_FILE_MB = 100
_MB = 2**20


def write_dataset(folder: Path, reading: SegmentReading, out: Path) -> None:
    """Write all segments into a new folder, which nobody needs to know as `out` here.

    Raises what reading raises, and OSError where it can not be written.
    """
    writer = _Writer(folder, reading.layout)
    try:
        for batch in batches(reading):
            writer.add(batch)
    finally:
        writer.close()
    writer.describe(reading.describe())


def is_dataset(path: Path) -> bool:
    """Tell whether there is the folder of a LeRobot dataset at the path."""
    return (path / INFO).is_file()


def open_dataset(path: Path) -> TableReading:
    """Read the frames of a dataset that was made of bags.

    Raises DatasetError for one of another version or origin, and where it can not be read.
    """
    try:
        info = json.loads((path / INFO).read_text())
        version, is_own = info["codebase_version"], ABOUT in info
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"can not read {path / INFO}: {error!r}") from error
    if version != VERSION or not is_own:
        origin = "made of a bag" if is_own else "of another origin"
        raise DatasetError(
            f"{path} is a LeRobot dataset {version} {origin}; expected {VERSION}, written by "
            "smm bag export: another's frames do not say what each action led to"
        )
    dataset = TableReading(sorted(path.glob("data/*/*.parquet")), NAMES)
    if dataset.num_rows != info.get("total_frames"):
        raise DatasetError(
            f"{path} has {dataset.num_rows} frames, {INFO} says {info.get('total_frames')}; bring "
            "back the files that it lacks"
        )
    return dataset


class _Files:
    """Numbered Parquet files, the next begun where one is full."""

    def __init__(self, folder: Path, pattern: str) -> None:
        self._folder, self._pattern = folder, pattern
        self._number = 0
        self._writer: pq.ParquetWriter | None = None

    @property
    def place(self) -> tuple[int, int]:
        """Chunk and file to which the next table goes."""
        return divmod(self._number, _FILES_IN_CHUNK)

    def write(self, table: pa.Table) -> None:
        chunk, file = self.place
        path = self._folder / self._pattern.format(chunk_index=chunk, file_index=file)
        if self._writer is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(path, table.schema, compression="snappy")
        self._writer.write_table(table)
        if path.stat().st_size >= _FILE_MB * _MB:
            self.close()
            self._number += 1

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class _Writer:
    """Puts segments into files and keeps in mind what the dataset has to say of all of them."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        self._folder, self._layout = folder, layout
        self._data, self._episodes = _Files(folder, _DATA), _Files(folder, _EPISODES)
        self._num_frames = self._num_episodes = 0
        self._stats = StatsSum()
        self._features: dict[str, dict[str, Any]] = {}

    def add(self, segments: list[Segment]) -> None:
        """Write the frames of the segments, and a line about each."""
        frames = self._frames(segments)
        self._features = self._features or _features(frames, self._layout)
        stats = self._episode_stats(frames, segments)
        episodes = self._describe_episodes(segments) | _columns_of(stats, self._widths())
        self._data.write(plain_table(frames, {}))
        self._episodes.write(plain_table(episodes, {}))
        self._num_frames += sum(map(len, segments))
        self._num_episodes += len(segments)

    def close(self) -> None:
        """Close the files."""
        self._data.close()
        self._episodes.close()

    def describe(self, about: Mapping[str, Any]) -> None:
        """Write what LeRobot wants to know of the whole dataset."""
        meta = self._folder / "meta"
        pq.write_table(_tasks(), meta / "tasks.parquet")
        _write_json(meta / "stats.json", self._total_stats())
        info = {
            "codebase_version": VERSION,
            "robot_type": "dclaw" if self._layout.is_dclaw else None,
            "total_episodes": self._num_episodes,
            "total_frames": self._num_frames,
            "total_tasks": 1,
            "chunks_size": _FILES_IN_CHUNK,
            "data_files_size_in_mb": _FILE_MB,
            "video_files_size_in_mb": _FILE_MB,
            "fps": round(1 / CONTROL_PERIOD),
            "splits": {"train": f"0:{self._num_episodes}"},
            "data_path": _DATA,
            "video_path": None,
            "features": self._features,
            ABOUT: about,
        }
        _write_json(self._folder / INFO, info)

    def _frames(self, segments: list[Segment]) -> dict[str, pa.Array]:
        lengths = [len(segment) for segment in segments]
        ends = np.cumsum(lengths)
        within = np.concatenate([np.arange(length) for length in lengths])
        episodes = np.arange(self._num_episodes, self._num_episodes + len(segments))
        is_last = np.zeros(ends[-1], np.bool_)
        is_last[ends - 1] = True
        own = {NAMES[name]: column for name, column in arrow_columns(segments).items()}
        return own | {
            "next.done": pa.array(is_last),
            "timestamp": pa.array((within * CONTROL_PERIOD).astype(np.float32)),
            "frame_index": pa.array(within),
            "episode_index": pa.array(np.repeat(episodes, lengths)),
            "index": pa.array(np.arange(self._num_frames, self._num_frames + ends[-1])),
            "task_index": pa.array(np.zeros(ends[-1], np.int64)),
        }

    def _episode_stats(self, frames: dict[str, pa.Array], segments: list[Segment]) -> list[Stats]:
        """Return the statistics of each segment's numbers, and add them to the dataset's."""
        table = np.hstack([_numbers(frames[name]) for name in self._widths()])
        ends = np.cumsum([len(segment) for segment in segments])
        found = [episode_stats(rows) for rows in np.split(table, ends[:-1])]
        for stats, segment in zip(found, segments, strict=True):
            self._stats.add(stats, len(segment))
        return found

    def _describe_episodes(self, segments: list[Segment]) -> dict[str, pa.Array]:
        count = len(segments)
        lengths = np.array([len(segment) for segment in segments])
        ends = self._num_frames + np.cumsum(lengths)
        numbers = np.arange(self._num_episodes, self._num_episodes + count)
        places = {"data": self._data.place, "meta/episodes": self._episodes.place}
        return {
            "episode_index": pa.array(numbers),
            "tasks": pa.array([[TASK]] * count),
            "length": pa.array(lengths),
            "dataset_from_index": pa.array(ends - lengths),
            "dataset_to_index": pa.array(ends),
            **{
                f"{what}/{part}_index": pa.array(np.full(count, number))
                for what, place in places.items()
                for part, number in zip(("chunk", "file"), place, strict=True)
            },
            **{f"stats/{name}/count": fixed_lists(lengths[:, None]) for name in self._widths()},
        }

    def _total_stats(self) -> dict[str, dict[str, list[float]]]:
        total, edges = self._stats.total(), _edges(self._widths())
        return {
            name: {what: values[start:end].tolist() for what, values in total.items()}
            | {"count": [self._stats.count]}
            for name, (start, end) in edges.items()
        }

    def _widths(self) -> dict[str, int]:
        """Return how many numbers each feature has that has some."""
        is_text = {name: one["dtype"] == "string" for name, one in self._features.items()}
        return {name: one["shape"][0] for name, one in self._features.items() if not is_text[name]}


def _features(frames: Mapping[str, pa.Array], layout: Layout) -> dict[str, dict[str, Any]]:
    """Return what info.json says about each feature."""
    names = {
        "observation.state": layout.observation_names,
        "next.observation.state": layout.observation_names,
        "action": layout.action_names,
    }
    found = {}
    for name, column in frames.items():
        is_vector = pa.types.is_fixed_size_list(column.type)
        kind = column.type.value_type if is_vector else column.type
        found[name] = {
            "dtype": _NUMPY_NAMES.get(str(kind), str(kind)),
            "shape": [column.type.list_size if is_vector else 1],
            "names": names.get(name),
        }
    return found


def _numbers(column: pa.Array) -> NDArray[np.float64]:
    """Return a column of numbers, or of lists of numbers, as rows."""
    flat = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
    numbers = flat.to_numpy(zero_copy_only=False).astype(np.float64)
    return numbers.reshape(len(column), -1)


def _columns_of(stats: list[Stats], widths: Mapping[str, int]) -> dict[str, pa.Array]:
    """Return the statistics of episodes as columns, one for each feature and statistic."""
    rows = stacked(stats)
    return {
        f"stats/{name}/{what}": fixed_lists(np.ascontiguousarray(values[:, start:end]))
        for name, (start, end) in _edges(widths).items()
        for what, values in rows.items()
    }


def _edges(widths: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Return where each feature begins and ends when they stand side by side."""
    ends = np.cumsum(list(widths.values())).tolist()
    return {
        name: (end - width, end) for (name, width), end in zip(widths.items(), ends, strict=True)
    }


def _tasks() -> pa.Table:
    """Return the table of tasks, with the names as its index in pandas, where LeRobot looks."""
    table = pa.table({"task_index": pa.array([0], pa.int64()), "task": pa.array([TASK])})
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy_kind,
         "metadata": None}
        for name, kind, numpy_kind in (
            ("task_index", "int64", "int64"), ("task", "unicode", "object"),
        )
    ]  # fmt: skip
    index = {"index_columns": ["task"], "column_indexes": [], "columns": columns}
    return table.replace_schema_metadata({"pandas": json.dumps(index)})


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=4))
