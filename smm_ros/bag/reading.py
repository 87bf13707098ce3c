"""Reading bags: messages and transitions as a stream, from closed, growing and torn files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

from smm_ros.bag.bag_files import ZSTD_MAGIC, BagFile, Storage, files_at, find_files, unpacked
from smm_ros.bag.definitions import decoder, type_hash
from smm_ros.bag.mcap_file import (
    REPAIR_ADVICE,
    BagError,
    FileScan,
    RawMessage,
    Tail,
    Topic,
    is_closed,
)
from smm_ros.bag.sqlite_file import SqliteScan
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import read_file_summary
from smm_ros.records import TransitionRecord
from smm_ros.sequence_meter import Numbered
from smm_ros.transition_runs import Place, TransitionRuns
from smm_ros.transition_wire import (
    TransitionWireError,
    parse_transition,
    peek_stamp,
    peek_transition,
)

__all__ = ["BagError", "BagMessage", "Reading", "TransitionReading"]

TRANSITION = "smm_ros/msg/Transition"


class BagMessage(NamedTuple):
    """One recorded message: still serialised (CDR), its topic, and its times in ns."""

    topic: Topic
    log_time_ns: int
    publish_time_ns: int
    data: bytes

    def decode(self) -> Any:
        """Return the message as a dataclass made from the definition in the bag.

        Raises BagError where the bytes are no such message, or its type is not defined.
        """
        decode = decoder(self.topic)
        try:
            return decode(self.data)
        except Exception as error:  # the code that rosbags makes of a definition raises anything
            raise BagError(
                f"a message of {self.topic.name} at {self.log_time_ns} ns is no "
                f"{self.topic.type}: {error}"
            ) from error


@dataclass
class ReadReport:
    """What was read so far, and the ends of files that could not be."""

    files: list[Path] = field(default_factory=list)
    num_messages: int = 0
    num_bytes: int = 0
    tails: list[Tail] = field(default_factory=list)
    """Files that end within a record: written right now, or left by a crash."""
    unended: list[Path] = field(default_factory=list)
    """Files without a proper end, also those that end between two records."""


class Reading:
    """A stream of messages; `report` grows as it is iterated."""

    def __init__(self, files: Sequence[BagFile], wanted: Callable[[Topic], bool]) -> None:
        self.report = ReadReport()
        self._files = files
        self._wanted = wanted

    def __iter__(self) -> Iterator[BagMessage]:
        """Yield the messages in the order they were recorded, of an sqlite3 file in that of time.

        Raises BagError where a file is damaged otherwise than by ending early.
        """
        self.report = ReadReport()
        for file in self._files:
            self.report.files.append(file.path)
            try:
                with unpacked(file) as (path, trouble):
                    yield from self._read_file(file, path)
                    if trouble:
                        raise BagError(f"{file.path} is damaged: {trouble}; {REPAIR_ADVICE}")
            except OSError as error:
                raise BagError(f"can not read {file.path}: {error.strerror}") from error

    def _read_file(self, file: BagFile, path: Path) -> Iterator[BagMessage]:
        report, scan = self.report, _scan(file, path)
        for topic, log_time_ns, publish_time_ns, data in unpack_messages(
            scan.read(self._wanted), file.path
        ):
            report.num_messages += 1
            report.num_bytes += len(data)
            yield BagMessage(topic, log_time_ns, publish_time_ns, data)
        if scan.tail is not None:
            report.tails.append(scan.tail)
        if not scan.is_ended:
            report.unended.append(file.path)


class TransitionReading:
    """A stream of transitions, each hand's in ascending order without doubles, run by run.

    Where a hand's numbers begin again, another run of it begins; see TransitionRuns.
    """

    def __init__(self, messages: Reading, runs: TransitionRuns) -> None:
        """`runs`: where each hand goes on; renewed as it is iterated."""
        self.runs = runs
        self._messages = messages

    @property
    def gaps(self) -> Counter[str]:
        """Per hand, transitions missing between those yielded, and before the first."""
        return self.runs.gaps

    @property
    def report(self) -> ReadReport:
        """What was read so far; also the messages that were not yielded."""
        return self._messages.report

    def __iter__(self) -> Iterator[TransitionRecord]:
        """Yield the transitions from the place of each hand on; once only.

        Raises BagError for damage, and for transitions of another layout than this version's.
        """
        known = set[Topic]()
        self.runs.begin_again()
        # Many may have to pass by first, which need not be parsed whole for that.
        take = self._take_peeked if self.runs.next else self._take
        for topic, _, _, data in self._messages:
            if topic not in known:
                _check_layout(topic)
                known.add(topic)
            try:
                record = take(data)
            except TransitionWireError as error:
                raise BagError(f"{self.report.files[-1]}: {error}") from error
            if record is not None:
                take = self._take
                yield record

    def _take(self, data: bytes) -> TransitionRecord | None:
        record = parse_transition(data)
        return record if self.runs.take_record(record) else None

    def _take_peeked(self, data: bytes) -> TransitionRecord | None:
        hand, sequence = peek_transition(data)
        parse = partial(parse_transition, data)
        return parse() if self.runs.take(hand, sequence, peek_stamp(data), parse) else None


def read_messages(
    paths: str | Path | Sequence[str | Path], topics: Collection[str] | None = None
) -> Reading:
    """Read the messages of bags, of all topics or the named, one bag after the other.

    A path is a folder or a single file, in MCAP or sqlite3 storage, compressed or not. Works while
    a bag is being written and after its writer was killed: everything up to the last whole chunk
    is read, and what follows is in the reading's report.

    Raises BagError when there is nothing to read at a path, or files are missing from a bag.
    """
    return Reading(find_files(paths), lambda topic: topics is None or topic.name in topics)


def read_transitions(
    paths: str | Path | Sequence[str | Path],
    after: Mapping[str, int] | TransitionRuns | None = None,
) -> TransitionReading:
    """Read the transitions of all hands, each from its next sequence number in `after` (or 0) on.

    `after` may also say by run and number where to go on, and goes on counting with what is read.
    Raises BagError when there is nothing to read at a path.
    """
    if not isinstance(after, TransitionRuns):
        after = TransitionRuns({hand: Place(0, number) for hand, number in (after or {}).items()})
    messages = Reading(find_files(paths), lambda topic: topic.type == TRANSITION)
    return TransitionReading(messages, after)


def newest_transitions(folder: Path, hands: Collection[str]) -> dict[str, Numbered]:
    """Return the last transition published by each of the hands that the bag has.

    Looks into the newest files only, as far back as it takes; an ended file is not read where its
    summary has no topic of transitions but those met. Raises BagError for damage.
    """
    found, met = dict[str, Numbered](), set[str]()
    if not folder.is_dir() or not any(folder.glob("*.mcap")):
        return found
    for file in reversed(files_at(folder, incomplete=True)):
        if found.keys() >= set(hands):
            break
        if not _may_have_others(file, met):
            continue
        newest: dict[str, Numbered] = {}
        for message in Reading([file], lambda topic: topic.type == TRANSITION):
            met.add(message.topic.name)
            try:
                hand, sequence = peek_transition(message.data)
            except TransitionWireError as error:
                raise BagError(f"{file.path}: {error}") from error
            number = Numbered(sequence, message.publish_time_ns)
            if number.publish_time_ns >= newest.get(hand, number).publish_time_ns:
                newest[hand] = number
        found = newest | found
    return found


def _may_have_others(file: BagFile, met: Collection[str]) -> bool:
    """Tell whether a file may have transitions on a topic that was not met."""
    if file.storage is not Storage.MCAP or file.is_packed or not is_closed(file.path):
        return True
    try:
        counts = read_file_summary(file.path).counts
    except BagError:
        return True
    return any(count and t.type == TRANSITION and t.name not in met for t, count in counts.items())


def unpack_messages(messages: Iterator[RawMessage], shown: Path) -> Iterator[RawMessage]:
    """Return the messages of a file; where they are packed one by one, they are unpacked.

    That is what `ros2 bag record --compression-mode message` does, to all or none of a file. No
    message in CDR begins as a packed one does.
    """
    first = next(messages, None)
    if first is None:
        return iter(())
    all_of_them = chain([first], messages)
    return _unpacking(all_of_them, shown) if first[3].startswith(ZSTD_MAGIC) else all_of_them


def _unpacking(messages: Iterator[RawMessage], shown: Path) -> Iterator[RawMessage]:
    decompressor = zstandard.ZstdDecompressor()
    for topic, log_time_ns, publish_time_ns, data in messages:
        try:
            plain = decompressor.decompress(data)
        except (zstandard.ZstdError, MemoryError) as error:
            raise BagError(
                f"{shown} is damaged: a message of {topic.name} at {log_time_ns} ns does not "
                f"unpack: {error}; {REPAIR_ADVICE}"
            ) from error
        yield topic, log_time_ns, publish_time_ns, plain


def _scan(file: BagFile, path: Path) -> FileScan | SqliteScan:
    kind = SqliteScan if file.storage is Storage.SQLITE else FileScan
    return kind(path, file.path)


def _check_layout(topic: Topic) -> None:
    """Refuse transitions that `parse_transition` would misread."""
    here = installed_topic(topic.name, topic.type).type_hash
    if (topic.type_hash or type_hash(topic)) != here:
        raise BagError(
            f"{topic.name} was recorded with another layout of {topic.type} "
            f"({topic.type_hash}; here: {here}); read it with the version that recorded it"
        )
