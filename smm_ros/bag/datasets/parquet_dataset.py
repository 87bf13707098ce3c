"""Parquet: one row for each transition, in one file that every table library opens."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from smm_ros.bag.datasets.dataset import DatasetError, SegmentReading
from smm_ros.bag.datasets.dataset_table import FIELDS, TableReading, arrow_columns, plain_table
from smm_ros.bag.datasets.segment import batches

FILE = "transitions.parquet"

ABOUT, HANDS = "smm_ros", "hands"
"""Keys of the file's metadata, JSON both: what the columns are, and whose they are."""

# Columns of few different values; the numbers in the others hardly ever repeat.
_REPEATING = ["segment", "run", "hand", "episode", "skill", "policy_version"]


def write_dataset(folder: Path, reading: SegmentReading, out: Path) -> None:
    """Write all segments into a new folder, which nobody needs to know as `out` here.

    Raises what reading raises, and OSError where the file can not be written.
    """
    folder.mkdir()
    writer, segments = None, 0
    about = {ABOUT: json.dumps(reading.describe())}
    try:
        for batch in batches(reading):
            numbers = np.arange(segments, segments + len(batch))
            segments += len(batch)
            lengths = [len(segment) for segment in batch]
            segment = pa.array(np.repeat(numbers, lengths))
            table = plain_table({"segment": segment, **arrow_columns(batch)}, about)
            if writer is None:
                writer = pq.ParquetWriter(
                    folder / FILE, table.schema, compression="zstd", use_dictionary=_REPEATING
                )
            writer.write_table(table)
        if writer is not None:
            writer.add_key_value_metadata({HANDS: json.dumps(sorted(reading.report.hands))})
    finally:
        if writer is not None:
            writer.close()


def is_dataset(path: Path) -> bool:
    """Tell whether there is a Parquet file at the path, or a folder that holds some."""
    return path.is_file() or any(path.glob("*.parquet"))


def open_dataset(path: Path) -> TableReading:
    """Read one Parquet file, or those in a folder in the order of their names.

    Raises DatasetError where a file can not be read or lacks a column.
    """
    files = [path] if path.is_file() else sorted(path.glob("*.parquet"))
    if not files:
        raise DatasetError(f"no Parquet file in {path}")
    return TableReading(files, {name: name for name in FIELDS})
