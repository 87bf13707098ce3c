"""One MCAP file of a bag, read from front to back; closed, still growing or torn by a crash."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, ChunkIndex, Metadata, Schema, Statistics

from smm_ros.bag.mcap_records import (
    FOOTER_SIZE,
    MAGIC,
    MESSAGE,
    RECORD,
    DamageError,
    index_channel,
    parse,
    read_summary,
)
from smm_ros.bag.mcap_search import SoundRecord, TornError, next_chunk, notes_behind, record_at

_LEAST_MESSAGE = MESSAGE.size - RECORD.size
IDL_HEAD = f"{'=' * 80}\nIDL: "
"""What stands before each part of a definition in the language of DDS, followed by its name."""


REPAIR_ADVICE = "`smm bag repair` saves what is whole, or leave out this file"


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

    @property
    def is_idl(self) -> bool:
        """Whether the definition is in the language of DDS instead of that of .msg files."""
        return self.definition.startswith(IDL_HEAD)

    def schema(self, number: int) -> Schema:
        """Return the record that holds the message definition in a file."""
        encoding = "ros2idl" if self.is_idl else "ros2msg"
        return Schema(id=number, data=self.definition.encode(), encoding=encoding, name=self.type)

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


RawMessage = tuple[Topic, int, int, bytes]
"""Topic, log time and publish time in ns, serialised message."""


class FileScan:
    """The records of one file in the order written.

    `end` is the offset of the record that the scan has come to; `tail` is set when the file ends
    with what is no whole record, which a crash, a power cut or a writer at work leaves behind.
    """

    def __init__(self, path: Path, shown: Path | None = None) -> None:
        """Take the file, `shown` in messages; nothing is opened before a method iterates."""
        self.path = path
        self.shown = shown or path
        self.end = 0
        self.tail: Tail | None = None
        self.is_ended = False
        """Whether the scan has come to the proper end of the file."""
        self.schemas: dict[int, Schema] = {}
        self.channels: dict[int, Channel] = {}
        self.metadata: list[tuple[int, Metadata]] = []
        """Each with its offset."""
        self._num_chunks = 0
        self._num_outside = 0

    def topic(self, channel_id: int) -> Topic:
        """Return the topic of a channel met so far."""
        try:
            return describe_channel(channel_id, self.channels, self.schemas)
        except DamageError as error:
            raise self._damaged(str(error)) from None

    def chunks(self) -> Iterator[tuple[ChunkIndex | None, bytes]]:
        """Yield place and unpacked bytes of each chunk, or a message outside chunks (no place).

        The offsets of a place's message indexes are filled in when the scan has passed them.
        Raises BagError for a file that is not MCAP, or is damaged elsewhere than at its end.
        """
        place = None
        for record in self._records():
            opcode, offset, payload, chunk, data = record
            if chunk is not None:
                place = chunk_place(chunk, offset, record.end - offset)
                self._num_chunks += 1
                yield place, data
            elif opcode == Opcode.MESSAGE_INDEX and place is not None:
                place.message_index_offsets[index_channel(payload)] = offset
                place.message_index_length += record.end - offset
            elif opcode == Opcode.MESSAGE:
                self._num_outside += 1
                yield None, RECORD.pack(opcode, len(payload)) + payload
            elif opcode == Opcode.METADATA:
                self.metadata.append((offset, parse(opcode, payload)))
            else:
                self._describe(opcode, payload)

    def messages(self, chunk: bytes, wanted: Callable[[int], bool]) -> Iterator[FileMessage]:
        """Yield the messages of the wanted channels in one unpacked chunk."""
        position, size = 0, len(chunk)
        unpack, message = MESSAGE.unpack_from, int(Opcode.MESSAGE)
        try:
            while position < size:
                if chunk[position] == message:
                    _, length, channel, _, log, publish = unpack(chunk, position)
                    end = position + RECORD.size + length
                    if end > size or length < _LEAST_MESSAGE:
                        raise struct.error(f"a message of {length} bytes at byte {position}")
                    if wanted(channel):
                        data = chunk[position + MESSAGE.size : end]
                        yield FileMessage(channel, log, publish, position, data)
                else:
                    opcode, length = RECORD.unpack_from(chunk, position)
                    end = position + RECORD.size + length
                    self._describe(opcode, chunk[position + RECORD.size : end])
                position = end
        except struct.error as error:
            raise self._damaged(f"a chunk breaks off within a record ({error})") from None
        if position != size:
            raise self._damaged(f"a chunk breaks off within its last record, byte {position}")

    def read(self, wanted: Callable[[Topic], bool]) -> Iterator[RawMessage]:
        """Yield the messages of the wanted topics in the order written.

        Raises BagError as `chunks` does.
        """
        topics: dict[int, Topic | None] = {}

        def is_wanted(channel: int) -> bool:
            if channel not in topics:
                topic = self.topic(channel)
                topics[channel] = topic if wanted(topic) else None
            return topics[channel] is not None

        for _, chunk in self.chunks():
            for channel, log, publish, _, data in self.messages(chunk, is_wanted):
                topic = topics[channel]
                assert topic is not None
                yield topic, log, publish, data

    def _records(self) -> Iterator[SoundRecord]:
        with self.path.open("rb") as file:
            closed = is_closed(self.path)
            if not self._read_magic(file):
                return
            self.end = len(MAGIC)
            while (size := os.fstat(file.fileno()).st_size) > self.end or closed:
                try:
                    record = record_at(file, self.end, size, closed)
                except DamageError as error:
                    return self._stop(file, size, closed, error)
                if record.opcode == Opcode.DATA_END:
                    return self._check_end(file, record.end, size, closed)
                yield record
                self.end = record.end

    def _read_magic(self, file: BinaryIO) -> bool:
        magic = file.read(len(MAGIC))
        if magic == MAGIC:
            return True
        if not MAGIC.startswith(magic):
            raise BagError(
                f"{self.shown} is not an MCAP file: it starts with {magic!r}, expected {MAGIC!r}; "
                "move it out of the bag"
            )
        self.tail = Tail(self.shown, 0, len(magic), "nothing was written yet")
        return False

    def _stop(self, file: BinaryIO, size: int, closed: bool, error: DamageError) -> None:
        """End the scan before what is no whole record; raises BagError unless it is a torn end."""
        if closed or not self._is_torn(file, size, error):
            raise self._damaged(f"{error} at byte {self.end}") from None
        self.tail = Tail(self.shown, self.end, size - self.end, str(error))

    def _is_torn(self, file: BinaryIO, size: int, error: DamageError) -> bool:
        """Tell whether a crash or a power cut can have left this, and nothing behind it counts."""
        if not isinstance(error, TornError):
            file.seek(self.end)
            # The disk may have lost parts of the last chunk, or of the indexes behind it.
            has_chunk = self._num_chunks or file.read(1) == bytes((Opcode.CHUNK,))
            if self._num_outside or not has_chunk or notes_behind(file, self.end, size):
                return False
        return next_chunk(file, self.end + 1, size) == size

    def _check_end(self, file: BinaryIO, data_end: int, size: int, closed: bool) -> None:
        """Hold what was passed against the counts in the summary: nothing may be hidden."""
        self.is_ended = closed
        try:
            if closed:
                self._check_counts(read_summary(file, data_end).statistics)
            elif next_chunk(file, data_end, size) < size:
                raise DamageError("messages lie behind the end of the data,")
        except DamageError as error:
            raise self._damaged(f"{error} at byte {self.end}") from None

    def _check_counts(self, statistics: Statistics | None) -> None:
        if statistics is None:
            return
        passed = statistics.chunk_count == self._num_chunks
        if statistics.chunk_count == 0:
            passed = statistics.message_count == self._num_outside
        if not passed:
            raise DamageError(
                f"{self._num_chunks} chunks and {self._num_outside} messages outside, but the "
                f"summary counts {statistics.chunk_count} and {statistics.message_count} in all,"
            )

    def _describe(self, opcode: int, payload: bytes) -> None:
        """Remember a description; records of other kinds say nothing about messages."""
        try:
            if opcode == Opcode.SCHEMA:
                schema = parse(opcode, payload)
                self.schemas[schema.id] = schema
            elif opcode == Opcode.CHANNEL:
                channel = parse(opcode, payload)
                self.channels[channel.id] = channel
        except DamageError as error:
            raise self._damaged(f"a topic's description does not unpack: {error}") from None

    def _damaged(self, what: str) -> BagError:
        return BagError(f"{self.shown} is damaged: {what}; {REPAIR_ADVICE}")


def describe_channel(
    number: int, channels: Mapping[int, Channel], schemas: Mapping[int, Schema]
) -> Topic:
    """Return the topic of a channel; raises DamageError where it is not described, or not CDR."""
    channel = channels.get(number)
    if channel is None:
        raise DamageError(f"channel {number} is not described")
    if channel.message_encoding != "cdr":
        raise DamageError(
            f"{channel.topic} is serialised as {channel.message_encoding!r}, expected 'cdr'"
        )
    # Messages without a schema (number 0) can be copied, but not decoded.
    schema = schemas.get(channel.schema_id)
    if schema is None and channel.schema_id:
        raise DamageError(f"the type of {channel.topic} is not described")
    try:
        return Topic.from_records(channel, schema or Schema(0, b"", "", ""))
    except UnicodeDecodeError as error:
        raise DamageError(f"the type of {channel.topic} is no text: {error}") from None


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
        if size < len(MAGIC) + FOOTER_SIZE:
            return False
        file.seek(-len(MAGIC), os.SEEK_END)
        return file.read() == MAGIC
