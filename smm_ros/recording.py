"""Messages on their way into a bag: taken at once, written by a thread of their own."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from smm_core.config import Config, option
from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.writer import BagWriter

# How long closing may take before the process ends without it, s.
CLOSE_TIMEOUT = 1.5


@dataclass(frozen=True)
class RecorderConfig(Config):
    """What to record and where to."""

    hands: tuple[str, ...] = option(("dclaw",), help="Namespaces of the hands to record.")
    bag_dir: str = option("bag", help="Folder of the bag; one that exists is continued.")
    flush_period: float = option(
        0.5,
        help="Time between two writes to the file, s; what a killed recorder loses at most.",
        low=0.05,
        high=10.0,
    )
    max_file_bytes: int = option(
        2**29, help="Size at which the next file is begun, bytes.", low=2**16, high=2**40
    )
    max_waiting_bytes: int = option(
        2**28,
        help="Messages kept in memory while the disk refuses them, bytes; more are dropped.",
        low=2**16,
        high=2**40,
    )


@dataclass(frozen=True)
class RecordingStatus:
    """Counts since the start; messages are received, then written or dropped."""

    received: int
    written: int
    written_bytes: int
    dropped: int
    waiting_bytes: int
    fault: str
    """Why nothing can be written at the moment; empty when all is well."""
    notes: tuple[str, ...]
    """What was found amiss in the folder."""


class Recording:
    """Takes messages in one thread and writes them to a bag in another.

    While the bag can not be opened or written it tries again every period and keeps what comes,
    up to `max_waiting_bytes`.
    """

    def __init__(
        self, open_bag: Callable[[], BagWriter], flush_period: float, max_waiting_bytes: int
    ) -> None:
        """Start the thread; times in s."""
        self._open_bag = open_bag
        self._flush_period = flush_period
        self._max_waiting_bytes = max_waiting_bytes
        self._writer: BagWriter | None = None
        self._queue: deque[tuple[str, int, int, bytes]] = deque()
        # Each counter is changed by one thread only, so that no lock is needed.
        self._received = self._received_bytes = self._dropped = 0
        self._taken = self._taken_bytes = self._written = self._written_bytes = 0
        self._fault = ""
        self._notes: tuple[str, ...] = ()
        self._error: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
        self._thread.start()

    def put(self, topic: str, log_time_ns: int, publish_time_ns: int, data: bytes) -> None:
        """Take one serialised message, or count it as dropped when too much is waiting."""
        self._received += 1
        if self._waiting_bytes() + len(data) > self._max_waiting_bytes:
            self._dropped += 1
            return
        self._received_bytes += len(data)
        self._queue.append((topic, log_time_ns, publish_time_ns, data))

    def status(self) -> RecordingStatus:
        """Return the counts; raises what ended the thread, should that have happened."""
        if self._error is not None:
            raise self._error
        return RecordingStatus(
            received=self._received,
            written=self._written,
            written_bytes=self._written_bytes,
            dropped=self._dropped,
            waiting_bytes=self._waiting_bytes(),
            fault=self._fault,
            notes=self._notes,
        )

    def close(self) -> str:
        """Write what is waiting and end the bag; return what went wrong, empty if nothing."""
        self._stop.set()
        self._thread.join(CLOSE_TIMEOUT)
        if self._thread.is_alive():
            return f"the disk did not take the last messages within {CLOSE_TIMEOUT} s"
        return str(self._error) if self._error is not None else self._fault

    def _waiting_bytes(self) -> int:
        return self._received_bytes - self._written_bytes

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._flush_period):
                self._turn()
            self._turn()
            if self._writer is not None:
                self._writer.close()
        except BagError as error:
            self._fault = str(error)
        except Exception as error:  # shown by whoever asks for the status
            self._error = error

    def _turn(self) -> None:
        """Bring everything that waits to the file, or note why that is impossible."""
        try:
            if self._writer is None:
                self._writer = self._open_bag()
                self._notes = tuple(self._writer.left_out)
            if self._fault:  # before taking more: what was taken has to fit first
                self._writer.flush()
            self._drain(self._writer)
            self._writer.flush()
            self._fault = ""
        except BagError as error:
            self._fault = str(error)
        else:
            self._written, self._written_bytes = self._taken, self._taken_bytes

    def _drain(self, writer: BagWriter) -> None:
        while self._queue:
            topic, log_time_ns, publish_time_ns, data = self._queue.popleft()
            self._taken += 1
            self._taken_bytes += len(data)
            writer.write(topic, log_time_ns, data, publish_time_ns)


class SequenceMeter:
    """Counts, per hand, what came and what is missing in an ascending sequence."""

    def __init__(self, expected: Mapping[str, int] | None = None) -> None:
        """`expected`: the next number of each hand of which there are transitions already."""
        self.received: Counter[str] = Counter()
        self.missing: Counter[str] = Counter()
        self.repeated: Counter[str] = Counter()
        self._expected = dict(expected or {})

    def mark(self, hand: str, sequence: int) -> bool:
        """Note a number and tell whether it is new; a hand's first is taken as its beginning."""
        expected = self._expected.get(hand, sequence)
        if sequence < expected:
            self.repeated[hand] += 1
            return False
        self.received[hand] += 1
        self.missing[hand] += sequence - expected
        self._expected[hand] = sequence + 1
        return True
