"""The records of an MCAP file, taken strictly: a record that is not exactly as told is damage."""

# The format: https://mcap.dev/spec. Only chunks, attachments and the summary have checksums, so
# that what stands outside of them is held to its shape: each length has to fit the others.

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any, BinaryIO, NamedTuple

import zstandard
from mcap.data_stream import ReadDataStream, RecordBuilder
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import (
    Channel,
    Chunk,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    McapRecord,
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
)
from mcap.stream_reader import get_chunk_data_stream

MAGIC = b"\x89MCAP0\r\n"
RECORD = struct.Struct("<BQ")  # opcode, length of what follows
MESSAGE = struct.Struct("<BQHIQQ")  # record head, channel, sequence, log time, publish time
FOOTER_SIZE = RECORD.size + 20 + len(MAGIC)

_CHUNK = struct.Struct("<QQQII")  # start, end, size, checksum, length of the compression's name
_INDEX = struct.Struct("<HI")  # channel, length of the entries
_INDEX_ENTRY_SIZE = 16
_LENGTH = struct.Struct("<I")
_LONG_LENGTH = struct.Struct("<Q")
_TIMES_SIZE = 16

# Small records, whose bytes have to be the ones that their content is written as.
_SMALL: dict[int, Any] = {
    Opcode.HEADER: Header,
    Opcode.SCHEMA: Schema,
    Opcode.CHANNEL: Channel,
    Opcode.METADATA: Metadata,
    Opcode.DATA_END: DataEnd,
}

_PRIVATE = 0x80
"""Records from this opcode on belong to whoever writes them."""


class DamageError(ValueError):
    """Bytes that are no record as the format has it."""


class Summary(NamedTuple):
    """What the end of a properly ended file says about it."""

    statistics: Statistics | None
    chunks: list[ChunkIndex]
    schemas: dict[int, Schema]
    channels: dict[int, Channel]
    metadata: list[MetadataIndex]
    has_checksum: bool


def check_record(opcode: int, payload: bytes, is_closed: bool) -> None:
    """Raise DamageError unless the bytes are a whole record of the data section.

    Chunks are looked at when they are unpacked. A private record is believed only where the
    summary counts the chunks that a flipped opcode would hide.
    """
    if opcode in _SMALL:
        parse(opcode, payload)
    elif opcode == Opcode.MESSAGE_INDEX:
        _check_index(payload)
    elif opcode == Opcode.MESSAGE:
        if len(payload) < MESSAGE.size - RECORD.size:
            raise DamageError(f"a message of {len(payload)} bytes")
    elif opcode == Opcode.ATTACHMENT:
        _check_attachment(payload)
    elif opcode != Opcode.CHUNK and not (opcode >= _PRIVATE and is_closed):
        raise DamageError(f"no record of kind 0x{opcode:02x} belongs there")


def parse(opcode: int, payload: bytes) -> Any:
    """Return a small record; raises DamageError unless it reads and writes as the same bytes."""
    return _parse(_SMALL[opcode], payload)


def parse_chunk(payload: bytes) -> Chunk:
    """Return a chunk still packed; raises DamageError where its lengths do not fit."""
    try:
        start, end, size, checksum, name_length = _CHUNK.unpack_from(payload)
        at = _CHUNK.size + name_length
        (length,) = _LONG_LENGTH.unpack_from(payload, at)
        compression = payload[_CHUNK.size : at].decode()
    except (struct.error, UnicodeDecodeError) as error:
        raise DamageError(f"no chunk: {error}") from None
    at += _LONG_LENGTH.size
    if len(payload) != at + length:
        raise DamageError(f"{len(payload) - at} bytes packed, expected {length}")
    return Chunk(
        compression=compression,
        data=payload[at:],
        message_start_time=start,
        message_end_time=end,
        uncompressed_crc=checksum,
        uncompressed_size=size,
    )


def unpack_chunk(chunk: Chunk) -> bytes:
    """Return the records in a chunk; raises DamageError for a wrong size or checksum."""
    if chunk.compression not in ("", "lz4", "zstd"):
        raise DamageError(f"unknown compression {chunk.compression!r}")
    try:
        stream, length = get_chunk_data_stream(chunk)
        data = stream.read(length)
    except (zstandard.ZstdError, McapError, RuntimeError, MemoryError, OverflowError) as error:
        raise DamageError(f"{chunk.compression}: {error}") from None
    if len(data) != chunk.uncompressed_size:
        raise DamageError(f"{len(data)} bytes unpacked, expected {chunk.uncompressed_size}")
    if chunk.uncompressed_crc not in (0, zlib.crc32(data)):
        raise DamageError("its checksum does not hold")
    return data


def index_channel(payload: bytes) -> int:
    """Return the channel of a message index."""
    return int.from_bytes(payload[:2], "little")


def index_entries(payload: bytes) -> tuple[int, list[tuple[int, int]]]:
    """Return the channel of a message index and (log time in ns, position in chunk) of each."""
    return index_channel(payload), list(struct.iter_unpack("<QQ", payload[_INDEX.size :]))


def read_summary(file: BinaryIO, start: int | None = None) -> Summary:
    """Read the end of a file whose last bytes are there; `start`: where its data ended.

    Raises DamageError where the checksum, if there is one, does not hold, or lengths do not fit.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(size - FOOTER_SIZE)
    tail = file.read()
    if RECORD.unpack_from(tail) != (Opcode.FOOTER, 20) or not tail.endswith(MAGIC):
        raise DamageError("no footer where the file ends")
    footer = Footer.read(ReadDataStream(BytesIO(tail[RECORD.size :])))
    begin = footer.summary_start or size - FOOTER_SIZE
    if not len(MAGIC) <= begin <= size - FOOTER_SIZE or start not in (None, begin):
        raise DamageError(f"the summary begins at byte {begin}, the data ends at {start}")
    file.seek(begin)
    data = file.read(size - len(MAGIC) - begin)
    if footer.summary_crc not in (0, zlib.crc32(data[:-4])):
        raise DamageError("the summary's checksum does not hold")
    return _parse_summary(data[: len(MAGIC) - FOOTER_SIZE], footer)


def split_records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield opcode and payload of records that lie one behind the other.

    Raises DamageError where the last one breaks off.
    """
    at = 0
    while at < len(data):
        if len(data) < at + RECORD.size:
            raise DamageError(f"breaks off {len(data) - at} bytes into a record")
        opcode, length = RECORD.unpack_from(data, at)
        at += RECORD.size
        if len(data) < at + length:
            raise DamageError(f"breaks off within a record of {length} bytes")
        yield opcode, data[at : at + length]
        at += length


def _parse_summary(data: bytes, footer: Footer) -> Summary:
    summary = Summary(None, [], {}, {}, [], footer.summary_crc != 0)
    for opcode, payload in split_records(data):
        if opcode == Opcode.STATISTICS:
            summary = summary._replace(statistics=_parse(Statistics, payload))
        elif opcode == Opcode.CHUNK_INDEX:
            summary.chunks.append(_parse(ChunkIndex, payload))
        elif opcode == Opcode.METADATA_INDEX:
            summary.metadata.append(_parse(MetadataIndex, payload))
        elif opcode == Opcode.SCHEMA:
            schema = parse(opcode, payload)
            summary.schemas[schema.id] = schema
        elif opcode == Opcode.CHANNEL:
            channel = parse(opcode, payload)
            summary.channels[channel.id] = channel
    return summary


def _parse(kind: Any, payload: bytes) -> Any:
    try:
        record = kind.read(ReadDataStream(BytesIO(payload)))
    except (McapError, struct.error, ValueError, MemoryError, OverflowError) as error:
        raise DamageError(f"no {kind.__name__.lower()}: {error or 'breaks off'}") from None
    if _encoded(record) != payload:
        raise DamageError(f"a {kind.__name__.lower()} whose lengths do not fit")
    return record


def _encoded(record: McapRecord) -> bytes:
    builder = RecordBuilder()
    record.write(builder)
    return builder.end()[RECORD.size :]


def _check_index(payload: bytes) -> None:
    length = len(payload) - _INDEX.size
    if length < 0 or length % _INDEX_ENTRY_SIZE or _INDEX.unpack_from(payload)[1] != length:
        raise DamageError("a message index whose lengths do not fit")


def _check_attachment(payload: bytes) -> None:
    at = _TIMES_SIZE
    try:
        for _ in range(2):  # its name and media type
            at += _LENGTH.size + _LENGTH.unpack_from(payload, at)[0]
        at += _LONG_LENGTH.size + _LONG_LENGTH.unpack_from(payload, at)[0]
    except struct.error:
        raise DamageError("an attachment whose lengths do not fit") from None
    checksum = int.from_bytes(payload[at:], "little")
    if len(payload) != at + 4 or checksum not in (0, zlib.crc32(payload[:at])):
        raise DamageError("an attachment whose checksum does not hold")
