"""Which transitions of a hand are new, which came before, and where its numbers begin again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

import numpy as np

from smm_ros.records import TransitionRecord

ALL_BELOW, EACH = 256, 64
"""Numbers that are remembered with what they were: all at the beginning, then each such one."""
MOST = 20_000
"""Numbers remembered at most of a run; then every other one is forgotten."""


class Place(NamedTuple):
    """A place among all transitions of a hand."""

    run: int = 0
    """How often the numbers had begun again."""
    sequence: int = 0


@dataclass
class _Stream:
    """What has gone by of one hand."""

    next: Place
    first: int = 0
    """Number of the first transition of this run; those below have not gone by."""
    newest_ns: int = -1
    """Stamp of the last transition; -1 where nothing has gone by yet."""
    known: dict[int, int] = field(default_factory=dict)
    """Checksums of transitions of this run, by their numbers."""
    each: int = EACH

    def remember(self, sequence: int, record: Callable[[], TransitionRecord]) -> None:
        """Keep what a number was, if it is one of those that are remembered."""
        if sequence < ALL_BELOW or sequence % self.each == 0:
            self.known[sequence] = _checksum(record())
            if len(self.known) > MOST:
                self.each *= 2
                kept = (n for n in self.known if n < ALL_BELOW or n % self.each == 0)
                self.known = {number: self.known[number] for number in kept}

    def is_double(
        self, sequence: int, stamp_ns: int, record: Callable[[], TransitionRecord]
    ) -> bool:
        """Tell whether a number that is behind the last one is of this run."""
        if sequence < self.first:
            return False
        known = self.known.get(sequence)
        if known is not None:
            return known == _checksum(record())
        return self.newest_ns < 0 or stamp_ns <= self.newest_ns


class TransitionRuns:
    """Follows the transitions of every hand, whose numbers ascend by one in each of its runs.

    Runs follow each other where the publisher is started anew and counts from 0 again, into the
    same bag or on the same topic. A number that goes back begins another run, unless it is a
    double: the very transition that had the number, sent, recorded or given once more. That is
    told by the content, since the twin's stamps begin again too; where the content of a number is
    not remembered, by a newer stamp. Memory does not grow beyond `MOST` numbers of each hand.
    """

    def __init__(self, after: Mapping[str, Place] | None = None) -> None:
        """`after`: by hand, the place to go on from; those before it are not new."""
        self.next: dict[str, Place] = dict(after or {})
        """By hand, the place behind the last new transition."""
        self.gaps: Counter[str] = Counter()
        """By hand, transitions missing before those that were new; a later run's first is its
        beginning, the first run's is number 0."""
        self.doubles: Counter[str] = Counter()
        """By hand, transitions that came again, or too late."""
        self._streams = {hand: _Stream(place) for hand, place in self.next.items()}

    def begin_again(self) -> None:
        """Get to see everything from the first transition on, up to where it was and beyond."""
        self._streams.clear()

    def go_on(self) -> None:
        """Wait no longer for what was seen before, should it not have come again."""
        for hand, place in self.next.items():
            if hand not in self._streams or self._streams[hand].next < place:
                self._streams[hand] = _Stream(place)

    def take(
        self, hand: str, sequence: int, stamp_ns: int, record: Callable[[], TransitionRecord]
    ) -> bool:
        """Note the next transition of a hand; tell whether it is new.

        `record` gives all of it, and is asked only now and then.
        """
        stream = self._streams.get(hand)
        if stream is None:
            stream = self._streams[hand] = _Stream(Place(), sequence)
        if sequence < stream.next.sequence:
            if stream.is_double(sequence, stamp_ns, record):
                self.doubles[hand] += 1
                return False
            begun = _Stream(Place(stream.next.run + 1, sequence), sequence)
            stream = self._streams[hand] = begun
        run = stream.next.run
        stream.next, stream.newest_ns = Place(run, sequence + 1), stamp_ns
        stream.remember(sequence, record)
        expected = self.next.get(hand, Place())
        if (run, sequence) < expected:
            return False
        if run == expected.run and sequence != expected.sequence:
            self.gaps[hand] += sequence - expected.sequence
        self.next[hand] = stream.next
        return True

    def take_record(self, record: TransitionRecord) -> bool:
        """Note a transition by its record, as `take` does."""
        return self.take(record.hand, record.sequence, record.stamp_ns, lambda: record)


def _checksum(record: TransitionRecord) -> int:
    """Return a number that tells a transition from others, wherever the record comes from."""
    place = (record.stamp_ns, record.episode, record.step, record.skill, record.policy_version)
    numbers = (record.observation, record.action, record.next_observation, record.log_p_shaping)
    ends = (record.terminated, record.truncated)
    content = repr([int(number) for number in (*place, *ends)]).encode()
    return crc32(content + b"".join(np.asarray(n, np.float32).tobytes() for n in numbers))
