"""Messages on their way into a bag: taken at once, written by a thread of their own."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass

from smm_core.config import Config, option
from smm_ros.bag.mcap_file import BagError
from smm_ros.tape import Drops, Message, Tape, TapeStatus

MESSAGE_BYTES = 220
"""What a message takes in memory besides its bytes."""
# How long closing may take before the process ends without it, s.
CLOSE_TIMEOUT = 1.5
# For how much of that what is waiting is tried again while the disk refuses it.
LAST_TRIES = 0.8


@dataclass(frozen=True)
class RecorderConfig(Config):
    """What to record and where to."""

    hands: tuple[str, ...] = option(("dclaw",), help="Namespaces of the hands to record.")
    bag_dir: str = option("bag", help="Folder of the bag; one that exists is continued.")
    recording: bool = option(True, help="Record from the start; false: wait for ~/start.")
    flush_period: float = option(
        0.5,
        help="Time between two writes to the file, s; what a killed recorder loses at most.",
        low=0.05,
        high=10.0,
    )
    sync: str = option(
        "episode",
        help="When the disk has to confirm what was written, so that it outlasts a power cut: "
        "at the end of each episode, with each flush, or never.",
        choices=("episode", "flush", "never"),
    )
    max_file_bytes: int = option(
        2**29, help="Size at which the next file is begun, bytes.", low=2**16, high=2**40
    )
    max_waiting_bytes: int = option(
        2**28,
        help="Memory for messages while the disk refuses them, bytes; more are dropped.",
        low=2**16,
        high=2**40,
    )


@dataclass(frozen=True)
class RecordingStatus:
    """Counts since the start; messages are received, then written, dropped or skipped."""

    received: int
    dropped: int
    """Messages that found no room in memory, or were still there when the time to end was up."""
    waiting_bytes: int
    """In memory, as messages and for keeping them."""
    fault: str
    """Why nothing can be written at the moment; empty when all is well."""
    busy: float
    """How long the thread has been at it without a pause, s; the disk may hang."""
    tape: TapeStatus


class _Order:
    """Something to be done between two messages."""

    def __init__(self, act: Callable[[], str]) -> None:
        self.act = act
        self.answer: Future[str] = Future()


class Recording:
    """Takes messages in one thread and brings them to a tape in another.

    While the bag can not be opened or written it tries again every period and keeps what comes,
    up to `max_waiting_bytes`. Orders (`sync`, `split`, `stop`, `start`) are for what came before
    them, and are answered when they are done.
    """

    def __init__(
        self,
        tape: Tape,
        flush_period: float,
        max_waiting_bytes: int,
        transition_topics: Collection[str] = (),
    ) -> None:
        """Start the thread; times in s."""
        self._tape = tape
        self._flush_period = flush_period
        self._max_waiting_bytes = max_waiting_bytes
        self._transition_topics = frozenset(transition_topics)
        self._queue: deque[Message | Drops | _Order] = deque()
        # Each attribute is changed by one thread only, so that no lock is needed.
        self._received = self._received_bytes = self._dropped = 0
        self._drops = Drops()
        self._taken_bytes = self._done_bytes = self._given_up = 0
        self._fault = ""
        self._turn_begin = 0.0
        self._tape_status = TapeStatus()
        self._error: Exception | None = None
        self._wake = threading.Event()
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
        self._thread.start()

    def put(self, message: Message) -> bool:
        """Take one message, or count it as dropped when too much is waiting; tell which."""
        self._received += 1
        if self._waiting_bytes() + _size(message) > self._max_waiting_bytes:
            self._dropped += 1
            self._drops.add(message, message.topic in self._transition_topics)
            return False
        self._tell_drops()
        self._received_bytes += _size(message)
        self._queue.append(message)
        return True

    def sync(self) -> Future[str]:
        """Bring what was taken to the disk now."""
        return self._order(self._tape.sync)

    def split(self) -> Future[str]:
        """Begin the next file; the answer says which."""
        return self._order(self._tape.split)

    def stop(self) -> Future[str]:
        """Write what was taken and end the bag; what comes after is only counted."""
        return self._order(self._tape.stop)

    def start(self) -> Future[str]:
        """Go on with the next file; the answer says which."""
        return self._order(self._tape.start)

    def status(self) -> RecordingStatus:
        """Return the counts; raises what ended the thread, should that have happened."""
        if self._error is not None:
            raise self._error
        begin = self._turn_begin
        return RecordingStatus(
            received=self._received,
            dropped=self._dropped + self._given_up,
            waiting_bytes=self._waiting_bytes(),
            fault=self._fault,
            busy=time.monotonic() - begin if begin else 0.0,
            tape=self._tape_status,
        )

    def close(self) -> str:
        """Write what is waiting and end the bag; return what went wrong, empty if nothing."""
        self._tell_drops()
        self._is_ending = True
        self._wake.set()
        self._thread.join(CLOSE_TIMEOUT)
        if self._thread.is_alive():
            return f"the disk did not take the last messages within {CLOSE_TIMEOUT} s"
        return str(self._error) if self._error is not None else self._fault

    def _order(self, act: Callable[[], str]) -> Future[str]:
        self._tell_drops()
        order = _Order(act)
        self._queue.append(order)
        self._wake.set()
        return order.answer

    def _tell_drops(self) -> None:
        """Queue what was dropped where it would have been."""
        if self._drops.messages:
            self._queue.append(self._drops)
            self._drops = Drops()

    def _waiting_bytes(self) -> int:
        return self._received_bytes - self._done_bytes

    # In the thread.

    def _run(self) -> None:
        try:
            while not self._is_ending:
                self._turn()
                self._wake.wait(self._flush_period)
                self._wake.clear()
            self._end()
        except BagError as error:
            self._fault = str(error)
        except Exception as error:  # shown by whoever asks for the status
            self._error = error
        finally:
            self._tape_status = self._tape.status()

    def _end(self) -> None:
        """Write what waits, as long as there is time to try; drop the rest, and end the bag."""
        deadline = time.monotonic() + LAST_TRIES * CLOSE_TIMEOUT
        self._turn()
        while self._fault and time.monotonic() < deadline:
            time.sleep(0.05)
            self._turn()
        self._give_up()
        self._tape.close()
        lost = self._given_up
        self._fault = f"{lost} messages were lost: {self._fault}" if lost else ""

    def _give_up(self) -> None:
        """Count what is in the queue as dropped."""
        drops = Drops()
        for entry in self._queue:
            if isinstance(entry, Message):
                drops.add(entry, entry.topic in self._transition_topics)
                self._given_up += 1
            elif isinstance(entry, Drops):  # of what came between
                self._tape.miss(drops)
                self._tape.miss(entry)
                drops = Drops()
        self._tape.miss(drops)

    def _turn(self) -> None:
        """Bring everything that waits to the file, or note why that is impossible."""
        self._turn_begin = time.monotonic()
        try:
            self._tape.open()
            self._drain()
            self._tape.flush()
            self._fault = ""
            self._done_bytes = self._taken_bytes
        except BagError as error:
            self._fault = str(error)
        self._tape_status = self._tape.status()
        self._turn_begin = 0.0

    def _drain(self) -> None:
        while self._queue:
            entry = self._queue[0]
            if isinstance(entry, _Order):  # one that fails is tried again
                self._obey(entry)
                self._queue.popleft()
                continue
            self._queue.popleft()
            if isinstance(entry, Drops):
                self._tape.miss(entry)
            else:
                self._taken_bytes += _size(entry)
                self._tape.take(entry)

    def _obey(self, order: _Order) -> None:
        answer = order.act()
        self._tape_status = self._tape.status()
        order.answer.set_result(answer)


def _size(message: Message) -> int:
    return len(message.data) + MESSAGE_BYTES
