"""Which topics bags hold and from when to when, told as fast as the files allow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from smm_ros.bag.bag_files import BagFile, Storage, find_files
from smm_ros.bag.mcap_file import BagError, Topic, is_closed
from smm_ros.bag.reading import read_messages
from smm_ros.bag.writer import read_file_summary


@dataclass
class Contents:
    """What bags hold together."""

    topics: dict[str, list[Topic]] = field(default_factory=dict)
    """By name; several where its type, layout or quality of service has changed."""
    counts: Counter[str] = field(default_factory=Counter)
    """Messages by the topic's name."""
    start_ns: int = 0
    end_ns: int = 0
    """Smallest and largest log time."""


def read_contents(paths: Sequence[Path]) -> Contents:
    """Return what bags hold: from their summaries, or by reading files that have none.

    Raises BagError for damage, and where there is no message at all.
    """
    contents, start, end = Contents(), 2**63, -1
    for file in find_files(list(paths)):
        for topic, count, start_ns, end_ns in _parts(file):
            known = contents.topics.setdefault(topic.name, [])
            if topic not in known:
                known.append(topic)
            contents.counts[topic.name] += count
            if count:
                start, end = min(start, start_ns), max(end, end_ns)
    if end < 0:
        raise BagError(f"there is no message in {', '.join(map(str, paths))}")
    contents.start_ns, contents.end_ns = start, end
    return contents


def _parts(file: BagFile) -> Iterator[tuple[Topic, int, int, int]]:
    """Yield each topic with its number of messages and a range of times that is in the file."""
    if file.storage is Storage.MCAP and not file.is_packed and is_closed(file.path):
        try:
            summary = read_file_summary(file.path)
        except BagError:  # another tool's, without one
            summary = None
        if summary is not None:
            for topic, count in summary.counts.items():
                yield topic, count, summary.start_ns, summary.end_ns
            return
    for message in read_messages(file.path):
        yield message.topic, 1, message.log_time_ns, message.log_time_ns
