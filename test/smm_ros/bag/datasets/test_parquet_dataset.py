"""Parquet datasets: plain columns, described in the file itself, read by any table library."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from smm_ros.bag.datasets import segment
from smm_ros.bag.datasets.dataset import DatasetError
from smm_ros.bag.datasets.export import export
from smm_ros.bag.datasets.parquet_dataset import is_dataset, open_dataset


@pytest.fixture
def records(explore):
    return explore(episodes=3)


@pytest.fixture
def folder(tmp_path, records, write_bag):
    export([write_bag(tmp_path / "bag", records)], "parquet", tmp_path / "set")
    return tmp_path / "set"


def test_each_transition_is_a_row_with_all_its_fields(folder, records):
    rows = pq.read_table(folder).to_pylist()
    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        for name, value in vars(record).items():
            expected = value.tolist() if isinstance(value, np.ndarray) else value
            assert row[name] == expected, name
    assert [row["segment"] for row in rows] == [0] * 5 + [1] * 5 + [2] * 5
    assert {row["run"] for row in rows} == {0}


def test_vectors_are_of_fixed_size_and_nothing_can_be_null(folder):
    schema = pq.read_schema(folder / "transitions.parquet")
    for name, size in (("observation", 12), ("action", 9), ("next_observation", 12)):
        kind = schema.field(name).type
        assert (kind.list_size, kind.value_type) == (size, pa.float32())
    assert not any(field.nullable for field in schema)


def test_the_file_says_what_it_holds(folder, tmp_path):
    metadata = pq.read_metadata(folder / "transitions.parquet").metadata
    about = json.loads(metadata[b"smm_ros"])
    assert about["observation_names"][0] == "joint_10"
    assert about["action_units"] == ["1"] * 9
    assert about["control_period"] == 0.1
    assert about["bags"] == [str(tmp_path / "bag")]
    assert json.loads(metadata[b"hands"]) == ["dclaw"]
    assert json.loads(pq.read_schema(folder / "transitions.parquet").metadata[b"smm_ros"]) == about


def test_rows_are_written_in_groups(tmp_path, explore, write_bag, monkeypatch):
    monkeypatch.setattr(segment, "ROWS", 20)
    bag = write_bag(tmp_path / "bag", explore(episodes=9))
    export([bag], "parquet", tmp_path / "set")
    metadata = pq.read_metadata(tmp_path / "set" / "transitions.parquet")
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [20, 20, 5]
    segments = pq.read_table(tmp_path / "set")["segment"].to_pylist()
    assert segments == [n for n in range(9) for _ in range(5)]


def rewritten(folder, **columns):
    """Write the file as another library may, with columns of another type."""
    table = pq.read_table(folder)
    for name, column in columns.items():
        table = table.set_column(table.column_names.index(name), name, column(table[name]))
    pq.write_table(table, folder / "transitions.parquet")


def test_lists_without_a_fixed_size_and_wider_numbers_are_read(folder, records):
    rewritten(
        folder,
        observation=lambda c: c.cast(pa.list_(pa.float32())),
        action=lambda c: c.cast(pa.large_list(pa.float32())),
        step=lambda c: c.cast(pa.int64()),
        hand=lambda c: c.dictionary_encode(),
    )
    found = list(open_dataset(folder).records(0))
    for record, expected in zip(found, records, strict=True):
        assert np.array_equal(record.observation, expected.observation)
        assert np.array_equal(record.action, expected.action)
        assert (record.hand, record.step) == (expected.hand, expected.step)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"observation": lambda c: c.cast(pa.list_(pa.float64()))}, "observation is list<.*round"),
        ({"log_p_shaping": lambda c: c.cast(pa.float64())}, "log_p_shaping is double.*rounded"),
        ({"skill": lambda c: pa.array([-1] * len(c))}, "skill is int64, expected uint32"),
        ({"skill": lambda c: pa.array([None] * len(c), pa.int64())}, "skill lacks values in 15"),
        ({"action": lambda c: pa.array([[1.0]] * 14 + [[1.0, 2.0]], pa.list_(pa.float32()))},
         r"action has rows of \[1, 2\] numbers"),
        ({"action": lambda c: pa.array([[1.0, None]] * 15, pa.list_(pa.float32()))},
         "action lacks values in 15 places"),
        ({"action": lambda c: pa.array(["text"] * len(c))}, "action is string"),
    ],
)  # fmt: skip
def test_columns_that_would_change_are_refused(folder, columns, said):
    rewritten(folder, **columns)
    with pytest.raises(DatasetError, match=said):
        list(open_dataset(folder).records(0))


def test_a_lacking_column_is_named(folder):
    path = folder / "transitions.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["stamp_ns", "action"]), path)
    with pytest.raises(DatasetError, match="lacks action, stamp_ns"):
        open_dataset(folder)


def test_one_file_is_a_dataset_too(folder, tmp_path):
    file = folder / "transitions.parquet"
    assert is_dataset(file)
    assert len(list(open_dataset(file).records(0))) == 15
    assert not is_dataset(tmp_path / "bag")
