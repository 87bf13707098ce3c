"""A rosbag2 folder being written: numbered MCAP files and their metadata.yaml."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from smm_ros.bag.bag_files import file_number
from smm_ros.bag.folder_hold import FolderHold, sync_folder
from smm_ros.bag.losses import add_losses, read_losses
from smm_ros.bag.mcap_appender import FileAppender, FileSummary
from smm_ros.bag.mcap_chunk import PendingChunk
from smm_ros.bag.mcap_file import BagError, Topic, describe_channel, is_closed
from smm_ros.bag.mcap_records import DamageError, Summary, read_summary
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
        durable: bool = True,
    ) -> None:
        """Make the folder, end files left unended, start the next file and metadata.yaml.

        `durable`: what is ended, and the folder's list of files, outlast a power cut; between
        that `flush` decides. Raises BagError when another process writes here, when the folder
        holds a bag of another storage, or when it can not be written.
        """
        self.folder = folder
        self.notes: list[str] = []
        """What is amiss in the folder, such as files that the metadata can not list."""
        self._topics = list(topics)
        self._channels = {topic.name: number for number, topic in enumerate(topics, start=1)}
        self._max_file_bytes = max_file_bytes
        self._chunk_bytes = chunk_bytes
        self._durable = durable
        self._chunk = PendingChunk()
        self._losses: dict[str, int] = {}
        self._file: FileAppender | None = None
        self._finished: list[FileSummary] = []
        self._is_described = False
        self._folder = FolderHold(folder)
        try:
            with self._explained():
                self._start()
        except BagError:
            self._abandon_file()
            self._folder.release()
            raise

    @property
    def file_name(self) -> str:
        """Name of the file that is written now; empty between two."""
        return self._file.path.name if self._file is not None else ""

    @property
    def num_messages(self) -> int:
        """Messages in the files, those of earlier writers too."""
        return sum(summary.num_messages for summary in self._summaries())

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

    def lose(self, losses: Mapping[str, int]) -> None:
        """Add to the counts of what is missing, by what it is and why, told with the next flush.

        A count of 0 says that it is counted and that nothing was lost.
        """
        self._losses = add_losses([self._losses, losses])

    def flush(self, sync: bool = False) -> None:
        """Bring everything taken to the file, readable from now on, and split a full file.

        With `sync` the disk has it when this returns, so that it outlasts a power cut. Raises
        BagError when it fails; what was taken is kept for the next try.
        """
        with self._explained():
            self._append()
            if self._file is not None and self._file.size >= self._max_file_bytes:
                self._split()
            if self._file is not None and sync:
                self._file.sync()
            if not self._is_described:
                self._describe()

    def split(self) -> None:
        """Bring everything taken to the file, end it, and begin the next.

        Raises BagError when it fails; it can be tried again.
        """
        with self._explained():
            self._append()
            self._split()

    def end(self) -> None:
        """Bring everything taken to the file, end it, and write the final metadata.

        Raises BagError when it fails; it can be tried again.
        """
        with self._explained():
            self._append()
            self._finish_file()
            self._describe()

    def close(self) -> None:
        """End the bag and let go of the folder.

        Raises BagError when that fails; the file then stays as a crash would leave it.
        """
        try:
            self.end()
        finally:
            self._abandon_file()
            self._folder.release()

    def _start(self) -> None:
        self._hold()
        if not self._folder.has_lock:
            self.notes.append(f"no locks in {self.folder}: let only one recorder write there")
        _check_storage(self.folder)
        for path in bag_files(self.folder):
            try:
                self._finished.append(self._ended(path))
            except BagError as error:
                self.notes.append(str(error))
        try:
            self._next_file()
        except OSError:
            if self._file is None:
                raise  # a metadata.yaml that can not be written yet is tried again by `flush`

    def _ended(self, path: Path) -> FileSummary:
        """Return what a file holds; one that a crash left unended is ended."""
        if is_closed(path):
            return read_file_summary(path)
        if not self._folder.has_lock:
            raise BagError(
                f"{path} was not ended and may be written by another, as there are no locks; left "
                "as it is, `smm bag repair` ends a copy"
            )
        return _mend(path, self._durable)

    def _hold(self) -> None:
        """Make the folder where there is none, or none any more, and keep others out of it."""
        if self._folder.make() and self._durable:
            sync_folder(self.folder.parent)

    def _append(self) -> None:
        if self._file is not None and self._file.is_ended:
            self._finish_file()  # its end is written, but the disk did not confirm it
        if self._file is None and self._chunk.num_messages:
            self._next_file()
        if self._file is not None:
            self._file.append(self._chunk, self._losses)
            self._chunk = PendingChunk()

    def _split(self) -> None:
        self._finish_file()
        self._next_file()

    def _next_file(self) -> None:
        self._hold()
        self._finished = [summary for summary in self._finished if summary.path.exists()]
        numbers = [file_number(path) for path in bag_files(self.folder)]
        path = self.folder / f"{self.folder.name}_{max(numbers, default=-1) + 1}.mcap"
        self._file = FileAppender.create(path, self._topics)
        self._is_described = False
        self._describe()

    def _finish_file(self) -> None:
        if self._file is not None:
            summary = self._file.summary
            text = dump_yaml(describe([summary], _as_texts(summary.losses)))
            self._file.finish(text, self._durable)
            self._finished.append(summary)
            self._file = None
            told = summary.losses
            self._losses = {name: n - told.get(name, 0) for name, n in self._losses.items()}
            self._is_described = False

    def _abandon_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _summaries(self) -> list[FileSummary]:
        return [*self._finished, *([] if self._file is None else [self._file.summary])]

    def _describe(self) -> None:
        """Put metadata.yaml in place, whole or not at all."""
        summaries = self._summaries()
        losses = add_losses([*(s.losses for s in self._finished), self._losses])
        described = {"rosbag2_bagfile_information": describe(summaries, _as_texts(losses))}
        partial = self.folder / f"{METADATA}.partial"
        with partial.open("w") as file:
            file.write(dump_yaml(described))
            if self._durable:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(self.folder / METADATA)
        if self._durable:
            sync_folder(self.folder)
        self._is_described = True

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what to do about what the disk refuses; leave a file that was deleted."""
        try:
            yield
        except FileNotFoundError as error:
            self._abandon_file()
            raise BagError(_advice(self.folder, error)) from error
        except OSError as error:
            raise BagError(_advice(self.folder, error)) from error


def bag_files(folder: Path) -> list[Path]:
    """Return the MCAP files of a bag in the order of their numbers."""
    return sorted(folder.glob("*.mcap"), key=lambda path: (file_number(path), path.name))


def read_file_summary(path: Path) -> FileSummary:
    """Read what a properly ended file holds; raises BagError when its summary is damaged."""
    with path.open("rb") as file:
        try:
            summary = read_summary(file)
            counts = _counts(summary)
            losses = read_losses(file, summary.metadata)
        except DamageError as error:
            raise BagError(f"{path} has a damaged summary: {error}; left as it is") from error
    statistics = summary.statistics
    if statistics is None or counts.total() != statistics.message_count:
        raise BagError(f"{path} has no full summary of its messages; left as it is")
    times = statistics.message_start_time, statistics.message_end_time
    return FileSummary(path, counts, *times, losses)


def _counts(summary: Summary) -> Counter[Topic]:
    told = summary.statistics.channel_message_counts if summary.statistics else {}
    counts = Counter[Topic]()
    for number in summary.channels:
        topic = describe_channel(number, summary.channels, summary.schemas)
        counts[topic] += told.get(number, 0)
    return counts


def _mend(path: Path, durable: bool) -> FileSummary:
    """End a file that a crash left unended."""
    appender = FileAppender.reopen(path)
    summary = appender.summary
    try:
        appender.finish(dump_yaml(describe([summary], _as_texts(summary.losses))), durable)
    except OSError:
        appender.close()
        raise
    return summary


def _as_texts(losses: Mapping[str, int]) -> dict[str, str]:
    """Return the losses as the custom data of rosbag2, which is text."""
    return {name: str(count) for name, count in losses.items()}


def _check_storage(folder: Path) -> None:
    if any(folder.glob("*.db3")):
        raise BagError(
            f"bag {folder} is in sqlite3 storage, which can not be continued in MCAP; "
            "name another folder"
        )


def _advice(folder: Path, error: OSError) -> str:
    return (
        f"can not write bag {folder}: {error.strerror}"
        f"{f' ({error.filename})' if error.filename else ''}; free space, make it writable, or "
        "name another folder"
    )
