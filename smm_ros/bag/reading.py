"""Reading bags: messages and transitions as a stream, from closed, growing and torn files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

from smm_ros.bag.mcap_file import BagError, FileScan, Tail, Topic
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import bag_files
from smm_ros.records import TransitionRecord
from smm_ros.transition_wire import TransitionWireError, parse_transition, peek_transition

__all__ = ["BagError", "BagMessage", "Reading", "TransitionReading"]

_TRANSITION = "smm_ros/msg/Transition"


class BagMessage(NamedTuple):
    """One recorded message: still serialised (CDR), its topic, and its times in ns."""

    topic: Topic
    log_time_ns: int
    publish_time_ns: int
    data: bytes

    def decode(self) -> Any:
        """Return the message as a dataclass made from the definition in the bag."""
        return _decoder(self.topic.type, self.topic.definition)(self.data)


@dataclass
class ReadReport:
    """What was read so far, and the ends of files that could not be."""

    files: list[Path] = field(default_factory=list)
    num_messages: int = 0
    num_bytes: int = 0
    tails: list[Tail] = field(default_factory=list)
    """Files that end within a record: written right now, or left by a crash."""


class Reading:
    """A stream of messages; `report` grows as it is iterated."""

    def __init__(self, files: Sequence[Path], wanted: Callable[[Topic], bool]) -> None:
        self.report = ReadReport()
        self._files = files
        self._wanted = wanted

    def __iter__(self) -> Iterator[BagMessage]:
        """Yield the messages in the order they were recorded.

        Raises BagError where a file is damaged otherwise than by ending early.
        """
        self.report = ReadReport()
        for path in self._files:
            self.report.files.append(path)
            yield from self._read_file(FileScan(path))

    def _read_file(self, scan: FileScan) -> Iterator[BagMessage]:
        report, topics = self.report, dict[int, Topic | None]()

        def is_wanted(channel: int) -> bool:
            if channel not in topics:
                topic = scan.topic(channel)
                topics[channel] = topic if self._wanted(topic) else None
            return topics[channel] is not None

        for _, chunk in scan.chunks():
            for message in scan.messages(chunk, is_wanted):
                report.num_messages += 1
                report.num_bytes += len(message.data)
                topic = topics[message.channel]
                assert topic is not None
                yield BagMessage(topic, message.log_time_ns, message.publish_time_ns, message.data)
        if scan.tail is not None:
            report.tails.append(scan.tail)


class TransitionReading:
    """A stream of transitions, each hand's in ascending order without doubles."""

    def __init__(self, messages: Reading, after: Mapping[str, int]) -> None:
        self.gaps: Counter[str] = Counter()
        """Per hand, transitions missing between those yielded, and before the first."""
        self.next_sequences: dict[str, int] = dict(after)
        """Per hand, the sequence number behind the last one yielded."""
        self._messages = messages

    @property
    def report(self) -> ReadReport:
        """What was read so far; also the messages that `after` made pass by."""
        return self._messages.report

    def __iter__(self) -> Iterator[TransitionRecord]:
        """Yield the transitions from the next sequence number of each hand on; once only.

        Raises BagError for damage, and for transitions of another layout than this version's.
        """
        expected, known = self.next_sequences, None
        for message in self._messages:
            if message.topic is not known:
                _check_layout(message.topic)
                known = message.topic
            try:
                hand, sequence = peek_transition(message.data)
                if sequence < expected.get(hand, 0):
                    continue
                record = parse_transition(message.data)
            except TransitionWireError as error:
                raise BagError(f"{self.report.files[-1]}: {error}") from error
            self.gaps[hand] += sequence - expected.get(hand, 0)
            expected[hand] = sequence + 1
            yield record


def read_messages(
    paths: str | Path | Sequence[str | Path], topics: Collection[str] | None = None
) -> Reading:
    """Read the messages of bags (folders or single MCAP files), of all topics or the named.

    Works while a bag is being written and after its writer was killed: everything up to the last
    whole chunk is read, and what follows is in the reading's report.

    Raises BagError when there is nothing to read at a path.
    """
    return Reading(_files(paths), lambda topic: topics is None or topic.name in topics)


def read_transitions(
    paths: str | Path | Sequence[str | Path], after: Mapping[str, int] | None = None
) -> TransitionReading:
    """Read the transitions of all hands, each from its next sequence number in `after` (or 0) on.

    Raises BagError when there is nothing to read at a path.
    """
    return TransitionReading(
        Reading(_files(paths), lambda topic: topic.type == _TRANSITION), after or {}
    )


def next_sequences(folder: Path, hands: Collection[str]) -> dict[str, int]:
    """Return the number after the last transition of each of the hands that the bag has.

    Looks into the newest files only, as far back as it takes. Raises BagError for damage.
    """
    found: dict[str, int] = {}
    for file in reversed(bag_files(folder)):
        if found.keys() >= set(hands):
            break
        last: dict[str, int] = {}
        for message in Reading([file], lambda topic: topic.type == _TRANSITION):
            try:
                hand, sequence = peek_transition(message.data)
            except TransitionWireError as error:
                raise BagError(f"{file}: {error}") from error
            last[hand] = max(last.get(hand, 0), sequence + 1)
        found = last | found
    return found


def _files(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    listed = [paths] if isinstance(paths, (str, Path)) else paths
    return [file for path in listed for file in _files_at(Path(path))]


def _files_at(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise BagError(f"no bag at {path}; expected the folder of a bag or one MCAP file")
    files = bag_files(path)
    if not files:
        others = ", ".join(sorted(entry.name for entry in path.iterdir()))
        found = f"holds no MCAP file, only {others}" if others else "is an empty folder"
        raise BagError(f"{path} {found}; expected {path.resolve().name}_0.mcap")
    return files


@lru_cache
def _decoder(message_type: str, definition: str) -> Callable[[bytes], Any]:
    store = get_typestore(Stores.EMPTY)
    if definition.startswith(f"{'=' * 80}\nIDL: "):
        store.register(get_types_from_idl(definition))
    else:
        store.register(get_types_from_msg(definition, message_type))
    return lambda data: store.deserialize_cdr(data, message_type)


def _check_layout(topic: Topic) -> None:
    """Refuse transitions that `parse_transition` would misread."""
    here = installed_topic(topic.name, topic.type).type_hash
    if (topic.type_hash or _hash(topic.type, topic.definition)) != here:
        raise BagError(
            f"{topic.name} was recorded with another layout of {topic.type} "
            f"({topic.type_hash}; here: {here}); read it with the version that recorded it"
        )


@lru_cache
def _hash(message_type: str, definition: str) -> str:
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg(definition, message_type))
    return store.hash_rihs01(message_type)
