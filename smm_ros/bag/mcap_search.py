"""Whole records in an MCAP file that may be torn or damaged: the one at a place, or the next."""

from __future__ import annotations

import re
from typing import BinaryIO, NamedTuple

from mcap.opcode import Opcode
from mcap.records import Chunk

from smm_ros.bag.mcap_records import RECORD, DamageError, check_record, parse_chunk, unpack_chunk

# A chunk's opcode and a length below 2^40; whether it is one is seen from what follows.
_CHUNK_BEGIN = re.compile(rb"\x06(?=.{5}\x00\x00\x00)", re.DOTALL)
_NAME_LENGTH_AT = 28  # behind two times, the size and the checksum
_LONGEST_HEAD = RECORD.size + _NAME_LENGTH_AT + 4 + 4 + 8
_BLOCK = 2**20


class TornError(DamageError):
    """A record whose end is not there: still being written, or cut off."""


class SoundRecord(NamedTuple):
    """A record that is whole; `chunk` and `data`, its content unpacked, for chunks only."""

    opcode: int
    offset: int
    payload: bytes
    chunk: Chunk | None = None
    data: bytes = b""

    @property
    def end(self) -> int:
        """Offset behind the record."""
        return self.offset + RECORD.size + len(self.payload)


def record_at(file: BinaryIO, offset: int, size: int, is_closed: bool = False) -> SoundRecord:
    """Return the record at `offset` of a file of `size` bytes, ended properly or not.

    Raises DamageError where there is no whole one, TornError where its end is missing.
    """
    file.seek(offset)
    head = file.read(RECORD.size)
    if len(head) < RECORD.size:
        raise TornError("incomplete record")
    opcode, length = RECORD.unpack(head)
    if opcode == 0:
        raise TornError("zeros that were never written over")
    if length > size - offset - RECORD.size:
        raise TornError("incomplete record, or its length is wrong")
    payload = file.read(length)
    check_record(opcode, payload, is_closed)
    if opcode != Opcode.CHUNK:
        return SoundRecord(opcode, offset, payload)
    chunk = parse_chunk(payload)
    return SoundRecord(opcode, offset, payload, chunk, unpack_chunk(chunk))


def is_record(file: BinaryIO, offset: int, size: int) -> bool:
    """Tell whether there is a whole record at `offset`."""
    try:
        record_at(file, offset, size)
    except DamageError:
        return False
    return True


def record_end(file: BinaryIO, offset: int) -> int:
    """Return where the record at `offset` ends by its own word."""
    file.seek(offset)
    head = file.read(RECORD.size).ljust(RECORD.size, b"\xff")
    length: int = RECORD.unpack(head)[1]
    return offset + RECORD.size + length


def notes_behind(file: BinaryIO, offset: int, size: int) -> bool:
    """Tell whether whole records with one of metadata follow what is damaged at `offset`."""
    at = record_end(file, offset)
    while at < size:
        try:
            record = record_at(file, at, size)
        except DamageError:
            return False
        if record.opcode == Opcode.METADATA:
            return True
        at = record.end
    return False


def next_chunk(file: BinaryIO, offset: int, size: int) -> int:
    """Return where the next whole chunk begins, or the size where there is none."""
    # Read in blocks: the file may be cut while it is looked at, which a mapping does not survive.
    while offset < size:
        file.seek(offset)
        block = file.read(_BLOCK + RECORD.size - 1)
        for match in _CHUNK_BEGIN.finditer(block):
            at = offset + match.start()
            file.seek(at)
            if _may_be_chunk(file.read(_LONGEST_HEAD)) and is_record(file, at, size):
                return at
        offset += _BLOCK
    return size


def _may_be_chunk(head: bytes) -> bool:
    """Tell whether the lengths at the start of a chunk fit each other."""
    start = RECORD.size + _NAME_LENGTH_AT
    name_length = int.from_bytes(head[start : start + 4], "little")
    if name_length not in (0, 3, 4):
        return False
    at = start + 4 + name_length
    packed = int.from_bytes(head[at : at + 8], "little")
    length = RECORD.unpack_from(head)[1]
    return bool(at + 8 + packed == RECORD.size + length)
