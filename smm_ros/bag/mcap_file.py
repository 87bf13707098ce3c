"""One MCAP file of a bag, read from front to back; closed, still growing or torn by a crash."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, ChunkIndex, Schema
from mcap.stream_reader import get_chunk_data_stream

MAGIC = b"\x89MCAP0\r\n"
RECORD = struct.Struct("<BQ")  # opcode, length of what follows
MESSAGE = struct.Struct("<BQHIQQ")  # record head, channel, sequence, log time, publish time


class BagError(Exception):
    """A bag that can not be read or written as asked."""


@dataclass(frozen=True)
class Topic:
    """A topic as a bag describes it; `offered_qos` is the YAML list of rosbag2 version 9."""

    name: str
    type: str
    definition: str
    type_hash: str
    offered_qos: str

    @classmethod
    def from_records(cls, channel: Channel, schema: Schema) -> Topic:
        """Read a topic from the records that describe it in a file."""
        return cls(
            name=channel.topic,
            type=schema.name,
            definition=schema.data.decode(),
            type_hash=channel.metadata.get("topic_type_hash", ""),
            offered_qos=channel.metadata.get("offered_qos_profiles", ""),
        )

    def schema(self, number: int) -> Schema:
        """Return the record that holds the message definition in a file."""
        return Schema(id=number, data=self.definition.encode(), encoding="ros2msg", name=self.type)

    def channel(self, number: int, schema_id: int) -> Channel:
        """Return the record that describes the topic in a file."""
        metadata = {
            "offered_qos_profiles": self.offered_qos,
            "topic_type_hash": self.type_hash,
        }
        return Channel(
            id=number,
            topic=self.name,
            message_encoding="cdr",
            metadata=metadata,
            schema_id=schema_id,
        )


@dataclass(frozen=True)
class Tail:
    """Bytes at the end of a file that hold no whole record, and why they were left unread."""

    path: Path
    offset: int
    num_bytes: int
    reason: str


class FileMessage(NamedTuple):
    """A message where it lies: `position` counts bytes in its chunk; times in ns."""

    channel: int
    log_time_ns: int
    publish_time_ns: int
    position: int
    data: bytes


class FileScan:
    """The records of one file in the order written.

    `end` is the offset behind the last whole record passed so far; `tail` is set when the file
    ends in the middle of a record, which is what a crash or a writer at work leaves behind.
    """

    def __init__(self, path: Path) -> None:
        """Take the file; nothing is opened before a method iterates."""
        self.path = path
        self.end = 0
        self.tail: Tail | None = None
        self.schemas: dict[int, Schema] = {}
        self.channels: dict[int, Channel] = {}

    def topic(self, channel_id: int) -> Topic:
        """Return the topic of a channel met so far."""
        try:
            channel = self.channels[channel_id]
            return Topic.from_records(channel, self.schemas[channel.schema_id])
        except (KeyError, UnicodeDecodeError) as error:
            raise self._damaged(f"channel {channel_id} is not described ({error!r})") from None

    def chunks(self) -> Iterator[tuple[ChunkIndex | None, bytes]]:
        """Yield place and unpacked bytes of each chunk, or a message outside chunks (no place).

        The offsets of a place's message indexes are filled in when the scan has passed them.
        Raises BagError for a file that is not MCAP, or is damaged elsewhere than at its end.
        """
        place = None
        for opcode, offset, payload in self._records():
            if opcode == Opcode.CHUNK:
                place, data = self._unpack(offset, payload)
                yield place, data
            elif opcode == Opcode.MESSAGE_INDEX and place is not None:
                place.message_index_offsets[int.from_bytes(payload[:2], "little")] = offset
                place.message_index_length += RECORD.size + len(payload)
            elif opcode == Opcode.MESSAGE:
                yield None, RECORD.pack(opcode, len(payload)) + payload
            else:
                self._describe(opcode, payload)

    def messages(self, chunk: bytes, wanted: Callable[[int], bool]) -> Iterator[FileMessage]:
        """Yield the messages of the wanted channels in one unpacked chunk."""
        position = 0
        try:
            while position < len(chunk):
                opcode, length = RECORD.unpack_from(chunk, position)
                end = position + RECORD.size + length
                if opcode == Opcode.MESSAGE:
                    _, _, channel, _, log, publish = MESSAGE.unpack_from(chunk, position)
                    if wanted(channel):
                        data = chunk[position + MESSAGE.size : end]
                        yield FileMessage(channel, log, publish, position, data)
                else:
                    self._describe(opcode, chunk[position + RECORD.size : end])
                position = end
        except struct.error as error:
            raise self._damaged(f"a chunk breaks off within a record ({error})") from None

    def _records(self) -> Iterator[tuple[int, int, bytes]]:
        with self.path.open("rb") as file:
            closed = is_closed(self.path)
            if not self._read_magic(file):
                return
            while True:
                self.end = file.tell()
                head = file.read(RECORD.size)
                if len(head) < RECORD.size:
                    return self._stop(file, closed, "incomplete record" if head else "")
                opcode, length = RECORD.unpack(head)
                if opcode in (Opcode.DATA_END, Opcode.FOOTER):
                    return None
                left = os.fstat(file.fileno()).st_size - file.tell()
                if opcode == 0 or length > left:  # 0: a block the file system never filled
                    return self._stop(file, closed, "incomplete record")
                yield opcode, self.end, file.read(length)

    def _read_magic(self, file: BinaryIO) -> bool:
        magic = file.read(len(MAGIC))
        if magic == MAGIC:
            return True
        if not MAGIC.startswith(magic):
            raise BagError(
                f"{self.path} is not an MCAP file: it starts with {magic!r}, expected {MAGIC!r}; "
                "move it out of the bag"
            )
        self._stop(file, False, "nothing was written yet")
        return False

    def _stop(self, file: BinaryIO, closed: bool, reason: str) -> None:
        if closed:
            raise self._damaged(f"{reason or 'no end of data'} at byte {self.end}")
        if reason:
            num_bytes = os.fstat(file.fileno()).st_size - self.end
            self.tail = Tail(self.path, self.end, num_bytes, reason)

    def _unpack(self, offset: int, payload: bytes) -> tuple[ChunkIndex, bytes]:
        try:
            chunk = Chunk.read(ReadDataStream(BytesIO(payload)))
            stream, size = get_chunk_data_stream(chunk, validate_crc=True)
            return chunk_place(chunk, offset, RECORD.size + len(payload)), stream.read(size)
        except (McapError, struct.error, ValueError) as error:
            raise self._damaged(f"the chunk at byte {offset} does not unpack: {error}") from None

    def _describe(self, opcode: int, payload: bytes) -> None:
        """Remember a description; records of other kinds say nothing about messages."""
        stream = ReadDataStream(BytesIO(payload))
        try:
            if opcode == Opcode.SCHEMA:
                schema = Schema.read(stream)
                self.schemas[schema.id] = schema
            elif opcode == Opcode.CHANNEL:
                channel = Channel.read(stream)
                self.channels[channel.id] = channel
        except (McapError, struct.error, ValueError) as error:
            raise self._damaged(f"a topic's description does not unpack: {error}") from None

    def _damaged(self, what: str) -> BagError:
        return BagError(f"{self.path} is damaged: {what}; repair or leave out this file")


def chunk_place(chunk: Chunk, offset: int, length: int) -> ChunkIndex:
    """Return the entry of a summary for the chunk record at `offset`, without message indexes."""
    return ChunkIndex(
        chunk_length=length,
        chunk_start_offset=offset,
        compression=chunk.compression,
        compressed_size=len(chunk.data),
        message_end_time=chunk.message_end_time,
        message_index_length=0,
        message_index_offsets={},
        message_start_time=chunk.message_start_time,
        uncompressed_size=chunk.uncompressed_size,
    )


def is_closed(path: Path) -> bool:
    """Tell whether a file was ended properly: summary written, magic bytes last."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size < 2 * len(MAGIC) + RECORD.size:
            return False
        file.seek(-len(MAGIC), os.SEEK_END)
        return file.read() == MAGIC
