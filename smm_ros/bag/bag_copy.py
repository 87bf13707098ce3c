"""A bag made of messages that were read from another."""

from __future__ import annotations

from collections.abc import Mapping
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

    def __init__(self, folder: Path) -> None:
        """Begin in an empty folder.

        Raises OSError, as all methods do, when it can not be written.
        """
        self._folder = folder
        self._topics: list[Topic] = []
        self._channels: dict[Topic, int] = {}
        self._finished: list[FileSummary] = []
        self._chunk = PendingChunk()
        self._file = self._next_file()

    def add_topic(self, topic: Topic) -> int:
        """Take a topic, also one without a message; return its number in the copy."""
        if topic not in self._channels:
            # One that was offered in more than one quality is one topic all the same.
            kind = replace(topic, offered_qos="")
            if kind not in self._channels:
                known = replace(topic, offered_qos=_current_qos(topic.offered_qos))
                self._topics.append(known)
                self._channels[kind] = self._file.add_topic(known)
            self._channels[topic] = self._channels[kind]
        return self._channels[topic]

    def write(self, message: BagMessage) -> None:
        """Take a message."""
        channel = self.add_topic(message.topic)
        self._chunk.add(channel, message.log_time_ns, message.publish_time_ns, message.data)
        if self._chunk.size >= _CHUNK_BYTES:
            self._flush()
            if self._file.size >= _MAX_FILE_BYTES:
                self._end_file()
                self._file = self._next_file()

    def finish(self, losses: Mapping[str, int], custom_data: Mapping[str, str]) -> list[str]:
        """End the bag; return the names of its files.

        `losses`: what is known to be missing of the original.
        """
        self._flush(losses or None)  # the last file tells those of all: they are added up
        self._end_file()
        described = {"rosbag2_bagfile_information": describe(self._finished, custom_data)}
        (self._folder / METADATA).write_text(dump_yaml(described))
        return [summary.path.name for summary in self._finished]

    def _next_file(self) -> FileAppender:
        name = f"{self._folder.name}_{len(self._finished)}.mcap"
        return FileAppender.create(self._folder / name, self._topics)

    def _flush(self, losses: Mapping[str, int] | None = None) -> None:
        self._file.append(self._chunk, losses)
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
