"""A chunk of messages for an MCAP file, put together in memory."""

# The chunks are put together here on mcap's public records: rosbags' writer (172 k messages/s of
# 1 kB) and mcap's (123 k) offer no public way to end a chunk in time; this writes 250 k.

from __future__ import annotations

import zlib
from collections.abc import Sequence

from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import Chunk, ChunkIndex, McapRecord, MessageIndex

from smm_ros.bag.mcap_records import MESSAGE, RECORD


class PendingChunk:
    """Messages gathered in memory until they are appended to a file together."""

    def __init__(self) -> None:
        """Start empty."""
        self._parts: list[bytes] = []
        self.index: dict[int, list[tuple[int, int]]] = {}
        self.size = 0
        self.num_messages = 0

    def add(self, channel: int, log_time_ns: int, publish_time_ns: int, data: bytes) -> None:
        """Add one serialised message; times in ns."""
        length = MESSAGE.size - RECORD.size + len(data)
        head = MESSAGE.pack(
            Opcode.MESSAGE, length, channel, self.num_messages, log_time_ns, publish_time_ns
        )
        self.index.setdefault(channel, []).append((log_time_ns, self.size))
        self._parts += (head, data)
        self.size += len(head) + len(data)
        self.num_messages += 1

    def record(self, head: bytes = b"") -> Chunk:
        """Return the chunk record of `head` and everything added."""
        data = b"".join([head, *self._parts])
        times = [time for entries in self.index.values() for time, _ in entries]
        return Chunk(
            compression="",
            data=data,
            message_end_time=max(times),
            message_start_time=min(times),
            uncompressed_crc=zlib.crc32(data),
            uncompressed_size=len(data),
        )


def encode_indexes(
    place: ChunkIndex, index: dict[int, list[tuple[int, int]]], shift: int
) -> bytes:
    """Return the index records to lie behind the chunk, and note in `place` where each is.

    The positions in `index` are `shift` bytes further on in the chunk.
    """
    builder = RecordBuilder()
    start = place.chunk_start_offset + place.chunk_length
    place.message_index_offsets = {}
    for channel, entries in index.items():
        place.message_index_offsets[channel] = start + builder.count
        shifted = [(time, position + shift) for time, position in entries]
        MessageIndex(channel_id=channel, records=shifted).write(builder)
    place.message_index_length = builder.count
    return builder.end()


def encode(records: Sequence[McapRecord]) -> bytes:
    """Return records as they lie in a file, one behind the other."""
    builder = RecordBuilder()
    for record in records:
        record.write(builder)
    return builder.end()
