"""Transitions as Arrow columns, and back; what Parquet and LeRobot datasets are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smm_ros.bag.datasets.dataset import DatasetError, DatasetReading
from smm_ros.bag.datasets.segment import SCALARS, VECTORS, Segment, records_of
from smm_ros.records import TransitionRecord

FIELDS = ("run", "hand", *SCALARS, *VECTORS)
"""What is kept of a transition: the fields of a TransitionRecord, and the number of its run."""

_BATCH = 2**13

_LISTS = (pa.ListType, pa.LargeListType, pa.FixedSizeListType)


def arrow_columns(segments: Sequence[Segment]) -> dict[str, pa.Array]:
    """Return the columns of the segments' transitions by their names in FIELDS."""
    lengths = [len(segment) for segment in segments]
    joined = {
        name: np.concatenate([segment.columns[name] for segment in segments])
        for name in (*SCALARS, *VECTORS)
    }
    hands = np.repeat(np.array([segment.hand for segment in segments], object), lengths)
    runs = np.repeat([segment.run for segment in segments], lengths).astype(np.uint32)
    return {
        "run": pa.array(runs),
        "hand": pa.array(hands, pa.string()),
        **{name: pa.array(joined[name]) for name in SCALARS},
        **{name: fixed_lists(joined[name]) for name in VECTORS},
    }


def fixed_lists(rows: NDArray[Any]) -> pa.Array:
    """Return an array (n, size) as n lists of fixed size."""
    item = pa.field("element", pa.from_numpy_dtype(rows.dtype), nullable=False)
    kind = pa.list_(item, rows.shape[1])
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), type=kind)


def plain_table(columns: Mapping[str, pa.Array], about: Mapping[str, str]) -> pa.Table:
    """Return the columns as a table with metadata; its schema says that none holds nulls."""
    fields = [pa.field(name, column.type, nullable=False) for name, column in columns.items()]
    return pa.Table.from_arrays(list(columns.values()), schema=pa.schema(fields, dict(about)))


class TableReading(DatasetReading):
    """The transitions in Parquet files, in the order of their rows."""

    def __init__(self, files: Sequence[Path], names: Mapping[str, str]) -> None:
        """`names`: what the columns of FIELDS are called in the files.

        Raises DatasetError where a file can not be read, or lacks one of them.
        """
        self.notes = []
        self._files, self._names = files, dict(names)
        self.num_rows = sum(map(self._check, files))

    def hands(self) -> dict[int, set[str]]:
        """Return the hands of each run."""
        found: dict[int, set[str]] = {}
        for path, batch in self._batches(["run", "hand"]):
            runs = _scalar(path, batch, "run", np.dtype(np.uint32)).tolist()
            for run, hand in set(zip(runs, _text(path, batch, "hand"), strict=True)):
                found.setdefault(run, set()).add(hand)
        return found

    def records(self, run: int) -> Iterator[TransitionRecord]:
        """Yield the transitions of a run; raises DatasetError for values of another type."""
        for path, batch in self._batches(list(FIELDS)):
            chosen = _scalar(path, batch, "run", np.dtype(np.uint32)) == run
            kept = batch.filter(pa.array(chosen))
            columns = {
                name: _scalar(path, kept, name, np.dtype(SCALARS[name])) for name in SCALARS
            }
            columns |= {name: _vector(path, kept, name) for name in VECTORS}
            yield from records_of(_text(path, kept, "hand"), columns)

    def _batches(self, wanted: Sequence[str]) -> Iterator[tuple[Path, pa.RecordBatch]]:
        for path in self._files:
            columns = [self._names[name] for name in wanted]
            try:
                with pq.ParquetFile(path) as file:
                    for batch in file.iter_batches(_BATCH, columns=columns):
                        chosen = [batch.column(name) for name in columns]
                        yield path, pa.RecordBatch.from_arrays(chosen, list(wanted))
            except (OSError, pa.ArrowException) as error:
                raise DatasetError(f"can not read {path}: {error}") from error

    def _check(self, path: Path) -> int:
        """Return how many rows a file has."""
        try:
            with pq.ParquetFile(path) as file:
                there, num_rows = set(file.schema_arrow.names), file.metadata.num_rows
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(f"can not read {path}: {error}") from error
        lacking = sorted(set(self._names.values()) - there)
        if lacking:
            raise DatasetError(
                f"{path} lacks {', '.join(lacking)}; expected the columns that smm bag "
                "export writes"
            )
        return int(num_rows)


def _text(path: Path, batch: pa.RecordBatch, name: str) -> list[str]:
    return _cast(path, batch, name, pa.string()).to_pylist()


def _scalar(path: Path, batch: pa.RecordBatch, name: str, kind: np.dtype[Any]) -> NDArray[Any]:
    column = _cast(path, batch, name, pa.from_numpy_dtype(kind))
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _vector(path: Path, batch: pa.RecordBatch, name: str) -> NDArray[np.float32]:
    """Return lists of one length as rows; other libraries write them without a fixed size."""
    column = _cast(path, batch, name, pa.list_(pa.float32()))
    lengths = set(column.value_lengths().to_pylist()) or {0}
    if len(lengths) > 1:
        raise DatasetError(f"{path}: {name} has rows of {sorted(lengths)} numbers, expected one")
    numbers = column.flatten()
    if numbers.null_count:
        raise DatasetError(f"{path}: {name} lacks values in {numbers.null_count} places")
    return np.asarray(numbers.to_numpy()).reshape(len(column), lengths.pop())


def _cast(path: Path, batch: pa.RecordBatch, name: str, kind: pa.DataType) -> pa.Array:
    """Return a column as the type expected; raises DatasetError rather than change a value."""
    column = batch.column(name)
    if column.null_count:
        raise DatasetError(f"{path}: {name} lacks values in {column.null_count} rows")
    try:
        if _is_rounded(column.type, kind):
            raise pa.ArrowInvalid("its values would be rounded")
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DatasetError(f"{path}: {name} is {column.type}, expected {kind}: {error}") from None


def _is_rounded(given: pa.DataType, kind: pa.DataType) -> bool:
    """Tell whether numbers cast to float32 are other ones before, which Arrow lets pass."""
    if pa.types.is_list(kind):
        return not isinstance(given, _LISTS) or _is_rounded(given.value_type, kind.value_type)
    return pa.types.is_float32(kind) and not pa.types.is_float32(given)
