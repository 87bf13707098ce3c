"""What is known to be missing in a bag: told by each of its files, added up in metadata.yaml.

A file tells it in metadata records, from the newest of which the counts are taken. They are
written together with the messages, so that they survive what the messages survive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from mcap.exceptions import McapError
from mcap.reader import make_reader
from mcap.records import Metadata

_NAME = "smm_ros.losses"


def losses_record(losses: Mapping[str, int]) -> Metadata:
    """Return the record of the losses in one file, by what is missing and why."""
    return Metadata(_NAME, {name: str(count) for name, count in losses.items()})


def losses_in(records: Iterable[Metadata]) -> dict[str, int]:
    """Return the losses that the newest of these records tells; empty where none does."""
    told = [record.metadata for record in records if is_losses(record)]
    return {name: int(text) for name, text in told[-1].items() if text.isdecimal()} if told else {}


def is_losses(record: Metadata) -> bool:
    """Tell whether a record is about losses."""
    return bool(record.name == _NAME)


def read_losses(path: Path) -> dict[str, int]:
    """Return the losses in an ended file; empty where it says nothing of them."""
    with path.open("rb") as file:
        try:
            return losses_in(make_reader(file).iter_metadata())
        except (McapError, ValueError):  # the messages can be whole all the same
            return {}


def add_losses(files: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sums over files; a count that some file knows is there, zero or not."""
    sums: dict[str, int] = {}
    for losses in files:
        for name, count in losses.items():
            sums[name] = sums.get(name, 0) + count
    return sums
