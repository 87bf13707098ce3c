"""Minari: one episode for each segment, with the environment's spaces and specification."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import minari
import numpy as np
from gymnasium.spaces import Box
from minari.data_collector.episode_buffer import EpisodeBuffer
from minari.dataset.minari_dataset import parse_dataset_id
from minari.dataset.minari_storage import METADATA_FILE_NAME, MinariStorage
from numpy.typing import NDArray

from smm_ros.bag.datasets.dataset import DatasetError, DatasetReading, SegmentReading
from smm_ros.bag.datasets.foreign_minari import ForeignReading
from smm_ros.bag.datasets.segment import Layout, Segment, batches, records_of
from smm_ros.dclaw import ENV_ID
from smm_ros.records import TransitionRecord

DATA = "data"
"""Where Minari looks for the data in a dataset's folder."""

ABOUT = "smm_ros"
"""Key of the dataset's metadata under which it says what it is."""

INFOS = ("stamp_ns", "sequence", "episode", "step", "skill", "policy_version")
"""Columns that become entries of the infos."""


def write_dataset(folder: Path, reading: SegmentReading, out: Path) -> None:
    """Write all segments into a new folder that will be known as `out`.

    Raises DatasetError where the name of `out` is none for a Minari dataset, what reading
    raises, and OSError where it can not be written.
    """
    described = {
        "dataset_id": dataset_id(out),
        "minari_version": minari.__version__,
        "description": "Exploration recorded in a bag; rewards are the shaping part of log p*(s)"
        " at the state reached, in nats",
        ABOUT: reading.describe(),
    }
    folder.mkdir()
    storage = _storage(folder / DATA, reading.layout)
    storage.update_metadata(described)
    for batch in batches(reading):
        first = storage.total_episodes
        storage.update_episodes(_buffer(segment) for segment in batch)
        storage.update_episode_metadata(
            [_episode_metadata(segment) for segment in batch], range(first, first + len(batch))
        )


def dataset_id(out: Path) -> str:
    """Return the id of a dataset in the folder `out`: its path below the folder of all datasets.

    That one is MINARI_DATASETS_PATH; elsewhere it is the folder's own name.
    """
    root = os.environ.get("MINARI_DATASETS_PATH")
    is_below = root is not None and out.is_relative_to(Path(root).absolute())
    name = out.relative_to(Path(root).absolute()).as_posix() if root and is_below else out.name
    try:
        parse_dataset_id(name)
    except (ValueError, TypeError):  # the latter where there is no version
        raise DatasetError(
            f"{name!r} is no id of a Minari dataset; let --out end in NAME-vNUMBER, such as "
            "dclaw-v0"
        ) from None
    return name


def is_dataset(path: Path) -> bool:
    """Tell whether there is the folder of a Minari dataset, or of its data, at the path."""
    return any((path / part / METADATA_FILE_NAME).is_file() for part in (DATA, "."))


def open_dataset(path: Path) -> DatasetReading:
    """Read a dataset; one that no bag was exported to is read as ForeignReading says.

    Raises DatasetError where it can not be read.
    """
    data = path / DATA if (path / DATA).is_dir() else path
    try:
        dataset = minari.MinariDataset(data)
        is_own = ABOUT in dataset.storage.metadata
    except (OSError, KeyError, ValueError, AssertionError) as error:
        raise DatasetError(f"can not read the Minari dataset {path}: {error}") from error
    return MinariReading(dataset) if is_own else ForeignReading(dataset)


class MinariReading(DatasetReading):
    """The transitions of a dataset that was made of bags."""

    def __init__(self, dataset: minari.MinariDataset) -> None:
        self.notes = []
        self._dataset = dataset

    def hands(self) -> dict[int, set[str]]:
        """Return the hands of each run."""
        found: dict[int, set[str]] = {}
        for metadata in self._metadata():
            found.setdefault(int(metadata["run"]), set()).add(metadata["hand"])
        return found

    def records(self, run: int) -> Iterator[TransitionRecord]:
        """Yield the transitions of a run; raises DatasetError where they can not be read."""
        try:
            for episode, metadata in zip(self._dataset, self._metadata(), strict=True):
                if metadata["run"] == run:
                    columns = _columns(episode, bool(metadata["is_ended"]))
                    yield from records_of([metadata["hand"]] * len(episode), columns)
        except (OSError, KeyError) as error:
            raise DatasetError(f"can not read {self._dataset.id}: {error}") from error

    def _metadata(self) -> Iterator[dict[str, Any]]:
        return iter(self._dataset.storage.get_episode_metadata(self._dataset.episode_indices))


def _storage(data: Path, layout: Layout) -> MinariStorage:
    # The spaces are those of smm_ros.dclaw.env, which is not made: that needs its physics.
    return MinariStorage.new(
        data,
        observation_space=Box(-np.inf, np.inf, (layout.obs_size,), np.float32),
        action_space=Box(-1.0, 1.0, (layout.action_size,), np.float32),
        env_spec=gymnasium.spec(ENV_ID) if layout.is_dclaw else None,
        data_format="hdf5",
    )


def _buffer(segment: Segment) -> EpisodeBuffer:
    columns = segment.columns
    truncations = columns["truncated"].copy()
    if not segment.is_ended:
        truncations[-1] = True  # value goes on behind it, and nothing else does
    return EpisodeBuffer(
        observations=np.concatenate([columns["observation"], columns["next_observation"][-1:]]),
        actions=columns["action"],
        rewards=columns["log_p_shaping"],
        terminations=columns["terminated"],
        truncations=truncations,
        infos={name: _with_last_again(columns[name]) for name in INFOS},
    )


def _with_last_again(column: NDArray[Any]) -> NDArray[Any]:
    """Return what a column says of each observation, the final one included."""
    return np.concatenate([column, column[-1:]])


def _episode_metadata(segment: Segment) -> dict[str, Any]:
    return {"hand": segment.hand, "run": segment.run, "is_ended": segment.is_ended}


def _columns(episode: minari.EpisodeData, is_ended: bool) -> dict[str, NDArray[Any]]:
    """Return the columns of the segment that the episode was made of."""
    columns = {name: np.asarray(episode.infos[name])[:-1] for name in INFOS}
    truncated = np.array(episode.truncations)
    if not is_ended:
        truncated[-1] = False
    observations = np.asarray(episode.observations)
    return columns | {
        "observation": observations[:-1],
        "action": np.asarray(episode.actions),
        "next_observation": observations[1:],
        "log_p_shaping": np.asarray(episode.rewards),
        "terminated": np.asarray(episode.terminations),
        "truncated": truncated,
    }
