"""One MCAP file of a bag, written chunk by chunk and ended properly, also after a crash."""

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mcap.opcode import Opcode
from mcap.records import (
    Channel,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    McapRecord,
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
    SummaryOffset,
)

from smm_ros.bag.losses import is_losses, losses_in, losses_record
from smm_ros.bag.mcap_chunk import PendingChunk, encode, encode_indexes
from smm_ros.bag.mcap_file import BagError, FileScan, Topic, chunk_place, describe_channel
from smm_ros.bag.mcap_records import MAGIC, DamageError

_LIBRARY = "smm_ros"
_REPEAT_AFTER = 64
"""Times their own size after which the topics are described again."""


@dataclass(frozen=True)
class FileSummary:
    """What a file holds: messages per topic, and the range of their log times in ns."""

    path: Path
    counts: Counter[Topic]
    start_ns: int
    end_ns: int
    losses: Mapping[str, int] = field(default_factory=dict)
    """What is known to be missing, by what it is and why; empty where nobody counted."""

    @property
    def num_messages(self) -> int:
        """Messages of all topics."""
        return self.counts.total()


class FileAppender:
    """A file open for appending whole chunks; a failed write leaves it as it was before."""

    def __init__(self, path: Path, file_descriptor: int) -> None:
        """Take an open file."""
        self.path = path
        self.size = 0
        self._file = file_descriptor
        self._schemas: list[Schema] = []
        self._channels: list[Channel] = []
        self._descriptions = b""
        self._described_at: list[int] = []
        self._places: list[ChunkIndex] = []
        self._counts: Counter[int] = Counter()
        self._metadata: list[MetadataIndex] = []
        self._losses: dict[str, int] = {}
        self._synced_size = 0
        self.is_ended = False
        """Whether the end is written, also where the disk has yet to confirm it."""

    @classmethod
    def create(cls, path: Path, topics: Sequence[Topic]) -> FileAppender:
        """Start a new file for these topics; their channel ids count from 1.

        Raises OSError when the file exists already or can not be written.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        appender = cls(path, os.open(path, flags, 0o644))
        for topic in topics:
            appender.add_topic(topic)
        try:
            appender._begin()
        except OSError:
            appender.close()
            path.unlink(missing_ok=True)
            raise
        return appender

    @classmethod
    def reopen(cls, path: Path) -> FileAppender:
        """Open a file that a crash left unended; what is behind its last whole record will go.

        Raises BagError when it is no beginning of a bag file, or when something whole would go,
        OSError when it can not be opened.
        """
        scan = FileScan(path)
        places, counts, index = [], Counter[int](), {}
        for place, chunk in scan.chunks():
            if place is None:
                raise BagError(f"{path} holds messages outside chunks: another tool's, left as is")
            index = _message_index(scan, chunk)
            counts.update({channel: len(entries) for channel, entries in index.items()})
            places.append(place)
        for number in {*scan.channels, *counts}:
            scan.topic(number)
        notes = [at for at in scan.metadata if is_losses(at[1])]
        try:
            losses = losses_in(record for _, record in notes)
        except DamageError as error:
            raise BagError(f"{path} is damaged: {error}; left as it is") from None
        if not places and not _is_our_start(path):
            raise BagError(f"{path} is another tool's and not to be read, left as it is")
        appender = cls(path, os.open(path, os.O_RDWR | os.O_CLOEXEC))
        appender._schemas = list(scan.schemas.values())
        appender._channels = list(scan.channels.values())
        appender._places, appender._counts = places, counts
        try:
            appender._begin_anew(index, notes, losses)
        except OSError:
            appender.close()
            raise
        return appender

    @property
    def summary(self) -> FileSummary:
        """What was appended so far."""
        return FileSummary(
            path=self.path,
            counts=Counter({t: self._counts[number] for number, t in self._topics().items()}),
            start_ns=min((place.message_start_time for place in self._places), default=0),
            end_ns=max((place.message_end_time for place in self._places), default=0),
            losses=self._losses,
        )

    def add_topic(self, topic: Topic) -> int:
        """Take one more topic, of which no message was appended; return its channel id."""
        new = topic.schema(len(self._schemas) + 1)
        same = (s for s in self._schemas if (s.name, s.data) == (new.name, new.data))
        schema = next(same, new)
        if schema is new:
            self._schemas.append(schema)
        number = len(self._channels) + 1
        self._channels.append(topic.channel(number, schema.id))
        self._descriptions = encode([*self._schemas, *self._channels])
        self._described_at = []
        return number

    def append(self, chunk: PendingChunk, losses: Mapping[str, int] | None = None) -> None:
        """Write the chunk, if anything is in it, and the losses in this file where they changed.

        Other processes can read it when this returns. Raises OSError when it is not written, and
        then the file is as before.
        """
        assert not self.is_ended, "a message behind the end of a file is read by nobody"
        if os.fstat(self._file).st_nlink == 0:
            raise FileNotFoundError(2, "deleted while it was being written", str(self.path))
        head = self._descriptions if self._needs_description() else b""
        data, places = self._encode_chunk(head, chunk) if chunk.num_messages else (b"", [])
        notes = []
        if losses is not None and losses != self._losses:
            record = losses_record(losses)
            notes.append(_metadata_place(self.size + len(data), record))
            data += encode([record])
        self._append(data)
        if places and head:
            self._described_at.append(self.size)
        self._places += places
        self._counts.update({number: len(entries) for number, entries in chunk.index.items()})
        self._metadata += notes
        if losses is not None:
            self._losses = dict(losses)

    def sync(self) -> None:
        """Wait until the disk has everything appended, so that a power cut leaves it whole.

        Raises OSError when the disk does not say so.
        """
        if self._synced_size != self.size:
            os.fdatasync(self._file)
            self._synced_size = self.size

    def finish(self, metadata: str, sync: bool = False) -> None:
        """Write the summary with rosbag2's metadata (YAML) and close the file.

        With `sync` the disk has it all when this returns. Raises OSError when it is not done; it
        can be tried again.
        """
        if not self.is_ended:
            head = encode([Metadata("rosbag2", {"serialized_metadata": metadata})])
            place = MetadataIndex(name="rosbag2", offset=self.size, length=len(head))
            head += encode([DataEnd(0)])
            summary = self._encode_summary(self.size + len(head), [*self._metadata, place])
            self._append(head + summary + MAGIC)
            self.is_ended = True
        os.ftruncate(self._file, self.size)
        if sync:
            self.sync()
        self.close()

    def close(self) -> None:
        """Close the file as it is."""
        os.close(self._file)

    def _begin(self) -> None:
        self.size = 0
        self._append(_our_start())

    def _begin_anew(
        self,
        index: dict[int, list[tuple[int, int]]],
        notes: list[tuple[int, Metadata]],
        losses: Mapping[str, int],
    ) -> None:
        """Go back to the last chunk, and write anew what belongs behind it."""
        if self._places:
            place = self._places[-1]
            self.size = place.chunk_start_offset + place.chunk_length
            # The crash may have come between the chunk and its indexes.
            self._append(encode_indexes(place, index, 0))
        else:  # the crash may have come before the first record was whole
            self._begin()
        for offset, record in notes:
            if offset < self.size:
                self._metadata.append(_metadata_place(offset, record))
        if notes:
            self.append(PendingChunk(), losses)

    def _needs_description(self) -> bool:
        """Tell whether the next chunk is to describe the topics, under its checksum.

        The first two do, and then one now and then, so that no damaged chunk costs more than
        itself in a file that was not ended.
        """
        if len(self._described_at) < 2:
            return True
        return self.size - self._described_at[-1] > _REPEAT_AFTER * len(self._descriptions)

    def _encode_chunk(self, head: bytes, chunk: PendingChunk) -> tuple[bytes, list[ChunkIndex]]:
        """Return the chunk with its indexes, to lie at the end, and its place."""
        record = chunk.record(head)
        data = encode([record])
        place = chunk_place(record, self.size, len(data))
        return data + encode_indexes(place, chunk.index, len(head)), [place]

    def _append(self, data: bytes) -> None:
        """Write all the bytes behind `size`, or none."""
        view = memoryview(data)
        try:
            while view:
                offset = self.size + len(data) - len(view)
                view = view[os.pwrite(self._file, view, offset) :]
        except OSError:
            with suppress(OSError):  # the next try starts at the same byte either way
                os.ftruncate(self._file, self.size)
            raise
        self.size += len(data)

    def _encode_summary(self, start: int, metadata: list[MetadataIndex]) -> bytes:
        """Return the summary section, to lie at byte `start`, with offsets and footer."""
        groups: list[tuple[Opcode, Sequence[McapRecord]]] = [
            (Opcode.SCHEMA, self._schemas),
            (Opcode.CHANNEL, self._channels),
            (Opcode.STATISTICS, [self._statistics(len(metadata))]),
            (Opcode.CHUNK_INDEX, self._places),
            (Opcode.METADATA_INDEX, metadata),
        ]
        data, offsets = b"", []
        for opcode, records in groups:
            group = encode(records)
            if group:
                offsets.append(SummaryOffset(opcode, start + len(data), len(group)))
            data += group
        offset_start = start + len(data)
        data += encode(offsets)
        # The checksum covers the summary and the footer up to the checksum itself.
        footer = encode([Footer(start, offset_start, 0)])
        crc = zlib.crc32(data + footer[:-4])
        return data + footer[:-4] + crc.to_bytes(4, "little")

    def _statistics(self, metadata_count: int) -> Statistics:
        summary = self.summary
        return Statistics(
            attachment_count=0,
            channel_count=len(self._channels),
            channel_message_counts={c.id: self._counts[c.id] for c in self._channels},
            chunk_count=len(self._places),
            message_count=summary.num_messages,
            message_end_time=summary.end_ns,
            message_start_time=summary.start_ns,
            metadata_count=metadata_count,
            schema_count=len(self._schemas),
        )

    def _topics(self) -> dict[int, Topic]:
        schemas = {schema.id: schema for schema in self._schemas}
        channels = {channel.id: channel for channel in self._channels}
        return {number: describe_channel(number, channels, schemas) for number in channels}


def _our_start() -> bytes:
    """Return what our files begin with."""
    return MAGIC + encode([Header("ros2", _LIBRARY)])


def _is_our_start(path: Path) -> bool:
    """Tell whether a file without a whole chunk is ours, or of no content at all."""
    ours = _our_start()
    with path.open("rb") as file:
        start = file.read(len(ours))
        has_content = any(start[len(MAGIC) :])  # not where the disk lost its first block
    return ours.startswith(start) or not has_content


def _metadata_place(offset: int, record: Metadata) -> MetadataIndex:
    return MetadataIndex(name=record.name, offset=offset, length=len(encode([record])))


def _message_index(scan: FileScan, chunk: bytes) -> dict[int, list[tuple[int, int]]]:
    """Return (log time ns, position in the chunk) of each message, by channel."""
    index: dict[int, list[tuple[int, int]]] = {}
    for message in scan.messages(chunk, lambda channel: True):
        index.setdefault(message.channel, []).append((message.log_time_ns, message.position))
    return index
