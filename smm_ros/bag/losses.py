"""What is known to be missing in a bag: told by each of its files, added up in metadata.yaml.

A file tells it in metadata records, from the newest of which the counts are taken. They are
written together with the messages, so that they survive what the messages survive.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO

from mcap.opcode import Opcode
from mcap.records import Metadata, MetadataIndex

from smm_ros.bag.mcap_records import DamageError, parse
from smm_ros.bag.mcap_search import record_at

_NAME = "smm_ros.losses"
_CHECKSUM = "crc32"


def losses_record(losses: Mapping[str, int]) -> Metadata:
    """Return the record of the losses in one file, by what is missing and why."""
    told = {name: str(count) for name, count in losses.items()}
    return Metadata(_NAME, told | {_CHECKSUM: _checksum(told)})


def losses_in(records: Iterable[Metadata]) -> dict[str, int]:
    """Return the losses that the newest of these records tells; empty where none does.

    Raises DamageError where its checksum, if there is one, does not hold.
    """
    told = [record.metadata for record in records if is_losses(record)]
    newest = dict(told[-1]) if told else {}
    checksum = newest.pop(_CHECKSUM, None)
    if checksum not in (None, _checksum(newest)):
        raise DamageError("what it says of messages that are missing does not hold its checksum")
    return {name: int(text) for name, text in newest.items() if text.isdecimal()}


def is_losses(record: Metadata | MetadataIndex) -> bool:
    """Tell whether a record is about losses."""
    return bool(record.name == _NAME)


def read_losses(file: BinaryIO, places: Sequence[MetadataIndex]) -> dict[str, int]:
    """Return the losses in an ended file that has its metadata records at these places.

    Empty where it says nothing of them; raises DamageError where that can not be read.
    """
    told = [place for place in places if is_losses(place)]
    if not told:
        return {}
    newest = max(told, key=lambda place: int(place.offset))
    record = record_at(file, newest.offset, newest.offset + newest.length)
    if record.opcode == Opcode.METADATA:
        metadata = parse(record.opcode, record.payload)
        if is_losses(metadata):
            return losses_in([metadata])
    raise DamageError(f"no record of messages that are missing at byte {newest.offset}")


def add_losses(files: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sums over files; a count that some file knows is there, zero or not."""
    sums: dict[str, int] = {}
    for losses in files:
        for name, count in losses.items():
            sums[name] = sums.get(name, 0) + count
    return sums


def _checksum(told: Mapping[str, str]) -> str:
    return hex(zlib.crc32(repr(sorted(told.items())).encode()))
