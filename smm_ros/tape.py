"""What is recorded and what is not: a bag that can be stopped, split and started again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from smm_ros.bag.losses import add_losses
from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.writer import BagWriter
from smm_ros.sequence_meter import Numbered, SequenceMeter
from smm_ros.transition_wire import TransitionWireError, parse_transition

FIND_TRIES = 3
"""How often to look for the newest transitions of a bag that can not be read."""


class Message(NamedTuple):
    """One serialised message; times in ns."""

    topic: str
    log_time_ns: int
    publish_time_ns: int
    data: bytes


@dataclass
class Drops:
    """Messages that found no room in memory, one behind the other."""

    messages: int = 0
    transitions: dict[str, tuple[Numbered, int]] = field(default_factory=dict)
    """By hand: the last one dropped, and how many."""

    def add(self, message: Message, is_transition: bool) -> None:
        """Count a message."""
        self.messages += 1
        if is_transition:
            try:
                hand, number = _numbered(message)
            except TransitionWireError:
                return
            _, count = self.transitions.get(hand, (number, 0))
            self.transitions[hand] = (number, count + 1)


@dataclass(frozen=True)
class TapeStatus:
    """What has become of the messages taken so far; counts since the start of the process."""

    is_recording: bool = False
    file: str = ""
    """Name of the file that is written, empty where none is."""
    written: int = 0
    written_bytes: int = 0
    skipped: int = 0
    """Went by while recording was stopped."""
    unreadable: int = 0
    """Came as transitions and are none, or none of this version; they are left out."""
    hands: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By hand: "transitions", of these "gaps", "dropped", "skipped" and "repeated", and how often
    their numbers began again, "restarts"."""
    free_bytes: int = 0
    """Left on the disk."""
    longest_sync: float = 0.0
    """Longest time the disk took to confirm an episode, s."""
    notes: tuple[str, ...] = ()
    """What was found amiss in the folder."""

    @property
    def gaps(self) -> int:
        """Transitions of all hands that never arrived."""
        return sum(counts["gaps"] for counts in self.hands.values())


class Tape:
    """Writes messages to a bag while it is to record, and counts what is not in the bag.

    Everything here may wait for the disk. What raises BagError has kept what it was given and
    can be called again.
    """

    def __init__(
        self,
        folder: Path,
        open_bag: Callable[[], BagWriter],
        read_newest: Callable[[], Mapping[str, Numbered]] = dict,
        transition_topics: Collection[str] = (),
        is_recording: bool = True,
        sync: str = "episode",
    ) -> None:
        """`read_newest`: by hand, the last transition that the bag has.

        `sync`: when the disk has to confirm: for each "episode", each "flush", or "never".
        """
        self._folder = folder
        self._open_bag, self._read_newest = open_bag, read_newest
        self._transition_topics = frozenset(transition_topics)
        self._is_recording = is_recording
        self._sync = sync
        self._writer: BagWriter | None = None
        self._tries_left = FIND_TRIES
        self._meter = SequenceMeter()
        self._dropped = self._skipped = self._skipped_before = self._unreadable = 0
        self._taken = self._taken_bytes = self._written = self._written_bytes = 0
        self._told: dict[str, int] = {}
        self._longest_sync = 0.0
        self._left_out: tuple[str, ...] = ()
        self._doubt: tuple[str, ...] = ()

    def open(self) -> None:
        """Find out what the bag has, and open it where it is to be written."""
        if self._is_recording and self._writer is None:
            self._writer = self._open_bag()
            self._left_out = tuple(self._writer.notes)
        if self._tries_left:
            self._find_newest()

    def take(self, message: Message) -> None:
        """Write a message, unless recording is stopped or the bag has it already."""
        if message.topic in self._transition_topics and not self._is_new(message):
            return
        if self._writer is None:
            self._skipped += 1
            return
        topic, log_time_ns, publish_time_ns, data = message
        self._taken += 1
        self._taken_bytes += len(data)
        self._writer.write(topic, log_time_ns, data, publish_time_ns)

    def _find_newest(self) -> None:
        """Find out which transitions the bag has; after some tries in vain, go on without."""
        self._tries_left -= 1
        try:
            self._meter.expect_after(self._read_newest())
        except (BagError, OSError) as error:
            if self._tries_left:
                raise BagError(f"can not tell which transitions are recorded: {error}") from error
            self._doubt = (f"may record transitions twice: {error}",)
        self._tries_left = 0

    def _is_new(self, transition: Message) -> bool:
        """Count a transition, and tell whether it can be read and the bag does not have it."""
        try:
            hand, number = _numbered(transition)
        except TransitionWireError:  # in the bag it would keep others from being read
            self._unreadable += 1
            return False
        # A recorder that is found late, or started again, is sent what it missed and what it has.
        return (self._meter.mark if self._is_recording else self._meter.skip)(hand, number)

    def miss(self, drops: Drops) -> None:
        """Count what found no room in memory."""
        self._dropped += drops.messages
        for hand, (number, count) in drops.transitions.items():
            self._meter.drop(hand, number, count)

    def flush(self) -> None:
        """Bring everything taken to the file."""
        self._flush(sync=self._sync == "flush")

    def sync(self) -> str:
        """Bring everything taken to the file and, at the end of an episode, to the disk."""
        self._flush(sync=self._sync != "never")
        return ""

    def split(self) -> str:
        """End the file and begin the next; return what was done."""
        if self._writer is None:
            return "nothing to split"
        self._tell_losses()
        ended = self._writer.file_name or "the file"  # which a try before this one has ended
        self._writer.split()
        self._note_written()
        return f"{ended} is ended, {self._writer.file_name} begun"

    def stop(self) -> str:
        """End the bag, so that every tool reads it; what comes from now on is not recorded."""
        if self._writer is None:
            self._is_recording = False
            return "nothing was recorded"
        self._tell_losses()
        ended = self._writer.file_name or "the file"
        self._writer.end()
        self._note_written()
        text = f"{ended} is ended; {self._writer.num_messages} messages in {self._folder}"
        self._writer.close()
        self._writer, self._is_recording = None, False
        self._skipped_before = self._skipped
        return text

    def start(self) -> str:
        """Go on in the same folder with the next file; return what was done."""
        self._is_recording = True
        self.open()
        assert self._writer is not None
        missed = self._skipped - self._skipped_before
        return f"recording to {self._writer.file_name}; {missed} messages went by unrecorded"

    def close(self) -> None:
        """End the bag; when that fails it ends as after a crash."""
        if self._writer is not None:
            self._tell_losses()
            self._writer.close()
            self._note_written()
            self._writer = None

    def status(self) -> TapeStatus:
        """Return the counts."""
        meter = self._meter
        hands = {
            hand: {
                "transitions": meter.received[hand],
                **meter.losses(hand),
                "repeated": meter.repeated[hand],
                "restarts": meter.restarts[hand],
            }
            for hand in meter.hands
        }
        return TapeStatus(
            is_recording=self._is_recording,
            file=self._writer.file_name if self._writer is not None else "",
            written=self._written,
            written_bytes=self._written_bytes,
            skipped=self._skipped,
            unreadable=self._unreadable,
            hands=hands,
            free_bytes=_free_bytes(self._folder),
            longest_sync=self._longest_sync,
            notes=self._left_out + self._doubt,
        )

    def _flush(self, sync: bool) -> None:
        if self._writer is None:
            return
        self._tell_losses()
        begin = time.monotonic()
        self._writer.flush(sync)
        if sync:
            self._longest_sync = max(self._longest_sync, time.monotonic() - begin)
        self._note_written()

    def _note_written(self) -> None:
        self._written, self._written_bytes = self._taken, self._taken_bytes

    def _tell_losses(self) -> None:
        """Give the writer what is missing since the last time."""
        assert self._writer is not None
        losses = self._losses()
        before = {name: -count for name, count in self._told.items()}
        self._writer.lose(add_losses([losses, before]))
        self._told = losses

    def _losses(self) -> dict[str, int]:
        losses = {"dropped": self._dropped, "skipped": self._skipped}
        if self._unreadable:
            losses["unreadable"] = self._unreadable
        for hand in self._meter.hands:
            losses |= {f"{hand}/{why}": n for why, n in self._meter.losses(hand).items()}
        return losses


def _numbered(message: Message) -> tuple[str, Numbered]:
    record = parse_transition(message.data)
    return record.hand, Numbered(record.sequence, message.publish_time_ns)


def _free_bytes(folder: Path) -> int:
    """Return how much fits on the disk of a folder that may not be there yet; 0 if unknown."""
    for place in (folder, *folder.parents):
        with suppress(OSError):
            disk = os.statvfs(place)
            return disk.f_bavail * disk.f_frsize
    return 0
