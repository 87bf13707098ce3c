"""A bag made of messages that were read from another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from smm_ros.bag.mcap_appender import FileAppender, FileSummary
from smm_ros.bag.mcap_chunk import PendingChunk
from smm_ros.bag.mcap_file import Topic
from smm_ros.bag.metadata import METADATA, describe
from smm_ros.bag.reading import BagMessage
from smm_ros.bag.topics import dump_yaml, offered_profiles

_CHUNK_BYTES = 2**19
_MAX_FILE_BYTES = 2**29

# The words of rosbag2 version 9 for the numbers that it wrote before.
_QOS_WORDS: dict[str, dict[int, str]] = {
    "history": {0: "system_default", 1: "keep_last", 2: "keep_all", 3: "unknown"},
    "reliability": {0: "system_default", 1: "reliable", 2: "best_effort", 3: "unknown"},
    "durability": {0: "system_default", 1: "transient_local", 2: "volatile", 3: "unknown"},
    "liveliness": {0: "system_default", 1: "automatic", 3: "manual_by_topic", 4: "unknown"},
}


class BagCopy:
    """The bag being made: numbered MCAP files, each ended properly, and metadata.yaml."""

    def __init__(self, folder: Path, topics: Sequence[Topic], losses: Mapping[str, int]) -> None:
        """Begin in an empty folder; `losses`: what is known to be missing of the original.

        Raises OSError, as all methods do, when it can not be written.
        """
        self._folder = folder
        # A topic that was offered in more than one quality is one topic all the same.
        kinds: dict[Topic, Topic] = {}
        for topic in topics:
            known = replace(topic, offered_qos=_current_qos(topic.offered_qos))
            kinds.setdefault(replace(topic, offered_qos=""), known)
        self._topics = list(kinds.values())
        numbers = {kind: number for number, kind in enumerate(kinds, start=1)}
        self._channels = {topic: numbers[replace(topic, offered_qos="")] for topic in topics}
        self._finished: list[FileSummary] = []
        self._chunk = PendingChunk()
        self._losses: Mapping[str, int] | None = losses or None
        self._file = self._next_file()

    def write(self, message: BagMessage) -> None:
        """Take a message of one of the topics."""
        channel = self._channels[message.topic]
        self._chunk.add(channel, message.log_time_ns, message.publish_time_ns, message.data)
        if self._chunk.size >= _CHUNK_BYTES:
            self._flush()
            if self._file.size >= _MAX_FILE_BYTES:
                self._end_file()
                self._file = self._next_file()

    def finish(self, custom_data: Mapping[str, str]) -> list[str]:
        """End the bag; return the names of its files."""
        self._flush()
        self._end_file()
        described = {"rosbag2_bagfile_information": describe(self._finished, custom_data)}
        (self._folder / METADATA).write_text(dump_yaml(described))
        return [summary.path.name for summary in self._finished]

    def _next_file(self) -> FileAppender:
        name = f"{self._folder.name}_{len(self._finished)}.mcap"
        return FileAppender.create(self._folder / name, self._topics)

    def _flush(self) -> None:
        # The first file tells the losses of all: they are added up over files.
        self._file.append(self._chunk, self._losses if not self._finished else None)
        self._chunk = PendingChunk()

    def _end_file(self) -> None:
        summary = self._file.summary
        self._file.finish(dump_yaml(describe([summary])))
        self._finished.append(summary)


def _current_qos(text: str) -> str:
    """Return offered profiles with the words of version 9; none where the text is damaged."""
    profiles = offered_profiles(text)
    try:
        for profile in profiles:
            for name, words in _QOS_WORDS.items():
                profile[name] = words.get(profile[name], profile[name])
    except (TypeError, KeyError):
        return ""
    return dump_yaml(profiles) if profiles else ""
