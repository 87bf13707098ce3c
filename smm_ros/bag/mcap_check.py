"""Whether all that an MCAP file says about itself is true."""

from __future__ import annotations

import zlib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from mcap.opcode import Opcode
from mcap.records import ChunkIndex

from smm_ros.bag.finding import Findings
from smm_ros.bag.mcap_records import MESSAGE, RECORD, index_entries, parse
from smm_ros.bag.mcap_salvage import McapSalvage
from smm_ros.bag.mcap_search import SoundRecord

_CURE = "`smm bag repair` writes it anew; the messages themselves are whole"
_BLOCK = 2**20


class _Chunk(NamedTuple):
    """What the summary should say of a chunk."""

    length: int
    start_ns: int
    end_ns: int


class McapCheck:
    """Watches the records of one file pass, and compares at the end; `shown` is its name."""

    def __init__(self, shown: Path, findings: Findings) -> None:
        """Start with no record seen."""
        self._shown, self._findings = shown, findings
        self._chunks: dict[int, _Chunk] = {}
        self._entries: dict[int, list[tuple[int, int]]] = {}
        self._counts: Counter[int] = Counter()
        self._without_checksum = 0
        self._data_end: SoundRecord | None = None

    def see(self, scan: McapSalvage, record: SoundRecord) -> None:
        """Look at one record; those of a damaged stretch are not shown."""
        if record.opcode == Opcode.CHUNK:
            self._see_chunk(record)
        elif record.opcode == Opcode.MESSAGE_INDEX:
            self._see_index(record)
        elif record.opcode == Opcode.MESSAGE:
            self._counts[int.from_bytes(record.payload[:2], "little")] += 1
            self._without_checksum += 1
        elif record.opcode == Opcode.DATA_END:
            self._data_end = record
            self._see_end(scan, record)

    def _see_chunk(self, record: SoundRecord) -> None:
        chunk = record.chunk
        assert chunk is not None
        self._entries = entries_of(record.data)
        times = [time for entries in self._entries.values() for time, _ in entries]
        start, end = min(times, default=0), max(times, default=0)
        if times and (chunk.message_start_time, chunk.message_end_time) != (start, end):
            told = f"{chunk.message_start_time} to {chunk.message_end_time}"
            self._untrue(record, "chunk times", f"says {told} ns, its messages {start} to {end}")
        self._chunks[record.offset] = _Chunk(
            record.end - record.offset, chunk.message_start_time, chunk.message_end_time
        )
        self._counts.update({channel: len(e) for channel, e in self._entries.items()})
        self._without_checksum += chunk.uncompressed_crc == 0

    def _see_index(self, record: SoundRecord) -> None:
        channel, entries = index_entries(record.payload)
        if sorted(entries) != sorted(self._entries.get(channel, [])):
            text = f"the index of channel {channel} is not that of the chunk before it"
            self._untrue(record, "message index", text)

    def _see_end(self, scan: McapSalvage, record: SoundRecord) -> None:
        if self._without_checksum:
            self._findings.warn(
                "checksums",
                self._shown,
                "",
                f"{self._without_checksum:,} of its chunks or messages are without a checksum: a "
                "wrong bit in them goes unnoticed",
                "`smm bag repair` writes a copy with checksums, of what is there now",
            )
        told = parse(record.opcode, record.payload).data_section_crc
        if told and told != _checksum(scan.path, record.offset):
            self._untrue(record, "data checksum", "the checksum of all data does not hold")

    def end(self, scan: McapSalvage) -> None:
        """Compare the summary with what passed; to be called behind the last record."""
        if scan.summary_fault:
            self._findings.error("summary", self._shown, "", scan.summary_fault, _CURE)
        if scan.summary is None or scan.losses:
            return  # that something is missing is told already
        statistics = scan.summary.statistics
        if statistics is not None:
            told = {c: n for c, n in statistics.channel_message_counts.items() if n}
            if told != +self._counts or statistics.message_count != self._counts.total():
                self._findings.error(
                    "summary",
                    self._shown,
                    "",
                    f"the summary counts {statistics.message_count:,} messages, there are "
                    f"{self._counts.total():,}",
                    _CURE,
                )
        self._compare_places(scan.summary.chunks)

    def _compare_places(self, places: list[ChunkIndex]) -> None:
        told = {
            p.chunk_start_offset: _Chunk(p.chunk_length, p.message_start_time, p.message_end_time)
            for p in places
        }
        if told and told != self._chunks:
            wrong = sorted(dict(told.items() ^ self._chunks.items()))
            self._findings.error(
                "chunk index",
                self._shown,
                f"byte {wrong[0]}",
                f"the summary is wrong about {len(wrong)} of {len(self._chunks)} chunks",
                _CURE,
            )

    def _untrue(self, record: SoundRecord, kind: str, text: str) -> None:
        self._findings.error(kind, self._shown, f"byte {record.offset}", text, _CURE)


def entries_of(data: bytes) -> dict[int, list[tuple[int, int]]]:
    """Return (log time in ns, position) of each message in an unpacked chunk, by channel."""
    found: dict[int, list[tuple[int, int]]] = {}
    position = 0
    while position + RECORD.size <= len(data):
        opcode, length = RECORD.unpack_from(data, position)
        if opcode == Opcode.MESSAGE and position + MESSAGE.size <= len(data):
            _, _, channel, _, log, _ = MESSAGE.unpack_from(data, position)
            found.setdefault(channel, []).append((log, position))
        position += RECORD.size + length
    return found


def _checksum(path: Path, size: int) -> int:
    checksum = 0
    with path.open("rb") as file:
        while size > 0 and (block := file.read(min(size, _BLOCK))):
            checksum = zlib.crc32(block, checksum)
            size -= len(block)
    return checksum
