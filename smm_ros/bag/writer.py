"""A rosbag2 folder being written: numbered MCAP files and their metadata.yaml."""

from __future__ import annotations

import fcntl
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mcap.exceptions import McapError
from mcap.reader import make_reader

from smm_ros.bag.mcap_appender import FileAppender, FileSummary, PendingChunk
from smm_ros.bag.mcap_file import BagError, Topic, is_closed
from smm_ros.bag.metadata import METADATA, describe
from smm_ros.bag.topics import dump_yaml


class BagWriter:
    """Writes messages to one bag folder, which it goes on with when it exists already.

    A file that a crash left unended is ended first; files are only ever added. `write` gathers
    messages in memory, `flush` brings them to the file: a killed process loses what came since.
    """

    def __init__(
        self,
        folder: Path,
        topics: Sequence[Topic],
        max_file_bytes: int = 2**29,
        chunk_bytes: int = 2**19,
    ) -> None:
        """Make the folder, end files left unended, start the next file and metadata.yaml.

        Raises BagError when another process writes here, when the folder holds a bag of another
        storage, or when it can not be written.
        """
        self.folder = folder
        self.left_out: list[str] = []
        """Files found in the folder that the metadata can not list, each with the reason."""
        self._topics = list(topics)
        self._channels = {topic.name: number for number, topic in enumerate(topics, start=1)}
        self._max_file_bytes = max_file_bytes
        self._chunk_bytes = chunk_bytes
        self._chunk = PendingChunk()
        self._file: FileAppender | None = None
        self._finished: list[FileSummary] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(folder)
            self._start()
        except OSError as error:
            raise BagError(_advice(folder, error)) from error

    @property
    def pending_bytes(self) -> int:
        """Bytes written that are not in a file yet."""
        return self._chunk.size

    def write(
        self, topic: str, log_time_ns: int, data: bytes, publish_time_ns: int | None = None
    ) -> None:
        """Take one serialised message (CDR); a full chunk goes to the file at once.

        Raises BagError when that fails; the message is kept and `flush` tries again.
        """
        channel = self._channels[topic]
        self._chunk.add(
            channel, log_time_ns, log_time_ns if publish_time_ns is None else publish_time_ns, data
        )
        if self._chunk.size >= self._chunk_bytes:
            self.flush()

    def flush(self) -> None:
        """Bring everything taken to the file, readable from now on, and split a full file.

        Raises BagError when it fails; what was taken is kept for the next try.
        """
        try:
            if self._file is None:
                self._next_file()
            assert self._file is not None
            if self._chunk.num_messages:
                self._file.append(self._chunk)
                self._chunk = PendingChunk()
            if self._file.size >= self._max_file_bytes:
                self._finish_file()
                self._next_file()
        except FileNotFoundError as error:
            self._abandon_file()
            raise BagError(_advice(self.folder, error)) from error
        except OSError as error:
            raise BagError(_advice(self.folder, error)) from error

    def close(self) -> None:
        """Flush, end the file and write the final metadata.

        Raises BagError when that fails; the file then stays as a crash would leave it.
        """
        try:
            self.flush()
            self._finish_file()
            self._write_metadata()
        except OSError as error:
            raise BagError(_advice(self.folder, error)) from error
        finally:
            self._abandon_file()
            os.close(self._lock)

    def _start(self) -> None:
        _check_storage(self.folder)
        for path in bag_files(self.folder):
            try:
                self._finished.append(read_summary(path) if is_closed(path) else _mend(path))
            except BagError as error:
                self.left_out.append(str(error))
        self._next_file()

    def _next_file(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        numbers = [_number(path) for path in bag_files(self.folder)]
        path = self.folder / f"{self.folder.name}_{max(numbers, default=-1) + 1}.mcap"
        self._file = FileAppender.create(path, self._topics)
        self._write_metadata()

    def _finish_file(self) -> None:
        if self._file is not None:
            summary = self._file.summary
            self._file.finish(dump_yaml(describe([summary])))
            self._finished.append(summary)
            self._file = None

    def _abandon_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write_metadata(self) -> None:
        current = [] if self._file is None else [self._file.summary]
        described = {"rosbag2_bagfile_information": describe([*self._finished, *current])}
        partial = self.folder / f"{METADATA}.partial"
        partial.write_text(dump_yaml(described))
        partial.replace(self.folder / METADATA)


def bag_files(folder: Path) -> list[Path]:
    """Return the MCAP files of a bag in the order of their numbers."""
    return sorted(folder.glob("*.mcap"), key=lambda path: (_number(path), path.name))


def read_summary(path: Path) -> FileSummary:
    """Read what a properly ended file holds; raises BagError when its summary is damaged."""
    with path.open("rb") as file:
        try:
            summary = make_reader(file).get_summary()
        except (McapError, ValueError) as error:
            raise BagError(f"{path} has a damaged summary ({error}), left as it is") from error
    if summary is None or summary.statistics is None:
        raise BagError(f"{path} has no summary of its messages, left as it is")
    statistics = summary.statistics
    counts: Counter[Topic] = Counter()
    for number, channel in summary.channels.items():
        topic = Topic.from_records(channel, summary.schemas[channel.schema_id])
        counts[topic] += statistics.channel_message_counts.get(number, 0)
    return FileSummary(path, counts, statistics.message_start_time, statistics.message_end_time)


def _mend(path: Path) -> FileSummary:
    """End a file that a crash left unended."""
    appender = FileAppender.reopen(path)
    summary = appender.summary
    appender.finish(dump_yaml(describe([summary])))
    return summary


def _lock(folder: Path) -> int:
    """Keep other writers out of the folder for as long as this process lives."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise BagError(
            f"bag {folder} is being written by another process; stop that one, or name another "
            "folder"
        ) from None
    return descriptor


def _check_storage(folder: Path) -> None:
    if any(folder.glob("*.db3")):
        raise BagError(
            f"bag {folder} is in sqlite3 storage, which can not be continued in MCAP; "
            "name another folder"
        )


def _number(path: Path) -> int:
    match = re.search(r"_(\d+)$", path.stem)
    return int(match[1]) if match else -1


def _advice(folder: Path, error: OSError) -> str:
    return (
        f"can not write bag {folder}: {error.strerror}"
        f"{f' ({error.filename})' if error.filename else ''}; free space, make it writable, or "
        "name another folder"
    )
