"""Everything that is whole in an MCAP file, whatever lies between."""

from __future__ import annotations

import os
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from mcap.opcode import Opcode
from mcap.records import Channel, Metadata, Schema

from smm_ros.bag.definitions import standard_definition, type_hash
from smm_ros.bag.figures import count_text, size_text
from smm_ros.bag.mcap_file import BagError, RawMessage, Topic, describe_channel, is_closed
from smm_ros.bag.mcap_records import (
    MAGIC,
    RECORD,
    DamageError,
    Summary,
    index_entries,
    parse,
    read_summary,
    split_records,
)
from smm_ros.bag.mcap_search import SoundRecord, is_record, next_chunk, record_at, record_end

# A schema's or a channel's opcode and a length below 2^24, near the beginning of what is lost.
_DESCRIPTION_BEGIN = re.compile(rb"[\x03\x04](?=.{3}\x00{5}).{8}", re.DOTALL)
_DESCRIPTIONS_WITHIN = 2**22
_SUMMARY_WITHIN = 2**24
_MESSAGE_HEAD = struct.Struct("<HIQQ")


@dataclass
class Loss:
    """A stretch of a file that holds nothing to be trusted."""

    place: str
    num_bytes: int
    reason: str
    num_messages: int | None = None
    """Messages in it, where the file still tells."""
    after_ns: int | None = None
    before_ns: int | None = None
    """Log times of the messages saved before and behind it."""

    def __str__(self) -> str:
        """Say what is lost, and what of it is known."""
        parts = [self.reason]
        if self.num_bytes:
            parts.append(f"{size_text(self.num_bytes)} lost")
        if self.num_messages is not None:
            parts.append(f"with {count_text(self.num_messages, 'message')}")
        if self.after_ns is not None and self.before_ns is not None:
            parts.append(f"between {self.after_ns} and {self.before_ns} ns")
        return ", ".join(parts)


class McapSalvage:
    """Reads a file from one whole record to the next, and notes what lies between as lost.

    A chunk whose checksum does not hold is left out entirely. Behind bytes that are no record the
    next chunk is looked for that is whole by its lengths and its checksum.
    """

    def __init__(self, path: Path, known: Mapping[tuple[str, str], str]) -> None:
        """Take the file; `known`: the type hash of each (topic, type), as metadata.yaml has it."""
        self.path = path
        self.losses: list[Loss] = []
        self.place = 0
        """Offset of the chunk, or of the message outside chunks, that was read last."""
        self.is_closed = is_closed(path)
        self.summary: Summary | None = None
        self.summary_fault = ""
        self.metadata: list[Metadata] = []
        """Records in which a writer has noted what it likes, such as known losses."""
        self._known = known
        self._read_summary()
        self._schemas: dict[int, Schema] = dict(self.summary.schemas) if self.summary else {}
        self._channels: dict[int, Channel] = dict(self.summary.channels) if self.summary else {}
        self._topics: dict[int, Topic | None] = {}
        self._doubtful: list[Schema | Channel] = []
        self._has_looked_ahead = False
        self._undescribed: Counter[int] = Counter()
        self._last_ns: int | None = None

    def read(self, observe: Callable[[SoundRecord], None] | None = None) -> Iterator[RawMessage]:
        """Yield all whole messages in the order written; `observe` is shown every record."""
        for record in self._records():
            if observe is not None:
                observe(record)
            if record.chunk is not None:
                self.place = record.offset
                yield from self._messages(record.data)
            elif record.opcode == Opcode.MESSAGE:
                self.place = record.offset
                yield from self._messages(RECORD.pack(5, len(record.payload)) + record.payload)
            else:
                self._describe(record.opcode, record.payload)
        for channel, count in self._undescribed.items():
            self.losses.append(
                Loss("throughout", 0, f"nothing tells the topic of channel {channel}", count)
            )

    def topic(self, channel: int) -> Topic | None:
        """Return the topic of a channel, or None where nothing trustworthy describes it."""
        if self._topics.get(channel) is None:
            topic = self._described_topic(channel)
            if topic is None and not self._has_looked_ahead:
                self._look_ahead()
                topic = self._described_topic(channel)
            self._topics[channel] = topic or self._doubtful_topic(channel)
        return self._topics[channel]

    def topics(self) -> list[Topic]:
        """Return the topics met so far, also those without a message."""
        return [topic for number in list(self._channels) if (topic := self.topic(number))]

    def _described_topic(self, channel: int) -> Topic | None:
        try:
            return describe_channel(channel, self._channels, self._schemas)
        except DamageError:
            return None

    def _look_ahead(self) -> None:
        """Learn what the chunks to come say of topics: ours describe them now and then."""
        self._has_looked_ahead = True
        for record in McapSalvage(self.path, {})._records():
            with suppress(DamageError):
                for opcode, payload in split_records(record.data):
                    if opcode == Opcode.MESSAGE:
                        break
                    self._describe(opcode, payload)

    def _read_summary(self) -> None:
        if not self.is_closed:
            return
        try:
            with self.path.open("rb") as file:
                self.summary = read_summary(file)
        except DamageError as error:
            self.summary_fault = str(error)

    def _records(self) -> Iterator[SoundRecord]:
        with self.path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not size:
                return
            offset = len(MAGIC)
            if file.read(len(MAGIC)) != MAGIC:
                offset = self._skip(file, 0, size, DamageError("not how an MCAP file starts"))
            lost: Loss | None = None
            while offset < size:
                try:
                    record = record_at(file, offset, size)
                except DamageError as error:
                    offset = self._skip(file, offset, size, error)
                    lost = self.losses[-1]
                    continue
                if record.opcode == Opcode.DATA_END:
                    yield record
                    offset = size if self.is_closed else self._behind_end(file, record.end, size)
                    continue
                if record.opcode == Opcode.CHUNK:
                    lost = None
                elif record.opcode == Opcode.MESSAGE_INDEX and lost is not None:
                    _, entries = index_entries(record.payload)
                    lost.num_messages = (lost.num_messages or 0) + len(entries)
                yield record
                offset = record.end

    def _behind_end(self, file: BinaryIO, offset: int, size: int) -> int:
        """Return where to go on behind the end of the data: there should be a summary alone."""
        file.seek(offset)
        summary, magic, rest = file.read(_SUMMARY_WITHIN).partition(MAGIC)
        if rest.startswith(MAGIC):  # its numbers of topics are not those of this one
            self._lose(offset, size - offset, "another file is put behind this one")
            return size
        if rest:
            return offset + len(summary) + len(magic)
        at = next_chunk(file, offset, size)
        if at < size:
            self._lose(offset, at - offset, "no summary where the data ends")
        return at

    def _skip(self, file: BinaryIO, offset: int, size: int, error: DamageError) -> int:
        """Note a loss at `offset`; return where to go on."""
        end = len(MAGIC) if offset == 0 else record_end(file, offset)
        if end >= size or not is_record(file, end, size):
            end = next_chunk(file, offset + 1, size)
        self._remember(file, offset, end)
        self._lose(offset, end - offset, str(error))
        return end

    def _lose(self, offset: int, num_bytes: int, reason: str) -> None:
        loss = Loss(f"byte {offset}", num_bytes, reason, after_ns=self._last_ns)
        self.losses.append(loss)

    def _messages(self, data: bytes) -> Iterator[RawMessage]:
        try:
            for opcode, payload in split_records(data):
                if opcode != Opcode.MESSAGE:
                    self._describe(opcode, payload)
                    continue
                channel, _, log, publish = _MESSAGE_HEAD.unpack_from(payload)
                topic = self.topic(channel)
                if topic is None:
                    self._undescribed[channel] += 1
                    continue
                self._passed(log)
                yield topic, log, publish, payload[_MESSAGE_HEAD.size :]
        except (DamageError, struct.error) as error:
            self._lose(self.place, len(data), f"its records do not fit together: {error}")

    def _passed(self, log_time_ns: int) -> None:
        self._last_ns = log_time_ns
        for loss in reversed(self.losses):
            if loss.before_ns is not None:
                break
            loss.before_ns = log_time_ns

    def _describe(self, opcode: int, payload: bytes) -> None:
        if opcode == Opcode.SCHEMA:
            schema = parse(opcode, payload)
            self._schemas[schema.id] = schema
        elif opcode == Opcode.CHANNEL:
            channel = parse(opcode, payload)
            self._channels[channel.id] = channel
        elif opcode == Opcode.METADATA:
            self.metadata.append(parse(opcode, payload))

    def _remember(self, file: BinaryIO, offset: int, end: int) -> None:
        """Keep the descriptions that lie in a lost stretch, should all else fail."""
        file.seek(offset)
        data = file.read(min(end - offset, _DESCRIPTIONS_WITHIN))
        for match in _DESCRIPTION_BEGIN.finditer(data):
            opcode, length = RECORD.unpack_from(data, match.start())
            with suppress(DamageError):
                self._doubtful.append(parse(opcode, data[match.end() : match.end() + length]))

    def _doubtful_topic(self, number: int) -> Topic | None:
        """Return a topic out of a lost stretch where metadata.yaml and a hash vouch for it."""
        channels = [r for r in self._doubtful if isinstance(r, Channel) and r.id == number]
        if not channels or any(each != channels[0] for each in channels):
            return None
        if channels[0].message_encoding != "cdr":
            return None
        channel, told = channels[0], channels[0].metadata.get("topic_type_hash", "")
        kinds = [kind for (name, kind) in self._known if name == channel.topic]
        if len(kinds) != 1 or not told or self._known[channel.topic, kinds[0]] != told:
            return None
        for schema in self._doubtful:
            if isinstance(schema, Schema) and schema.name == kinds[0]:
                with suppress(UnicodeDecodeError, BagError):
                    topic = replace(Topic.from_records(channel, schema), offered_qos="")
                    if type_hash(topic) == told:
                        return topic
        definition = standard_definition(kinds[0], told)
        return Topic(channel.topic, kinds[0], definition, told, "") if definition else None
