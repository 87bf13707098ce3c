"""What came and what did not, counted from the numbers of each hand's transitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple


class Numbered(NamedTuple):
    """What tells a transition of a hand from every other."""

    sequence: int
    publish_time_ns: int
    """By its publisher's clock; one that is sent again, as it was kept, has its old time."""


class SequenceMeter:
    """Counts, per hand, what came and what is missing in an ascending sequence.

    A number that is passed over is missing; one that is told of is dropped or skipped instead. A
    number that was there already is repeated when it was published before, and else begins
    another run of the hand: its publisher was started anew and counts from there on.
    """

    def __init__(self) -> None:
        self.received: Counter[str] = Counter()
        self.missing: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.repeated: Counter[str] = Counter()
        self.restarts: Counter[str] = Counter()
        """How often the numbers began again."""
        self._newest: dict[str, Numbered] = {}
        self._heard: dict[str, None] = {}

    @property
    def hands(self) -> list[str]:
        """The hands of which anything was noted, in the order they came."""
        return list(self._heard)

    def losses(self, hand: str) -> dict[str, int]:
        """Return the counts of a hand's transitions that are missing, by the reason."""
        return {
            "gaps": self.missing[hand],
            "dropped": self.dropped[hand],
            "skipped": self.skipped[hand],
        }

    def expect_after(self, newest: Mapping[str, Numbered]) -> None:
        """Take the newest of the transitions that are there already, by hand."""
        self._newest |= newest

    def mark(self, hand: str, number: Numbered) -> bool:
        """Note a number and tell whether it is new; the first of a run is its beginning."""
        passed = self._pass(hand, number, 1)
        self.received[hand] += passed > 0
        self.missing[hand] += max(0, passed - 1)
        return passed > 0

    def skip(self, hand: str, number: Numbered) -> bool:
        """Note a number that is not wanted, nor are those before it; tell whether it is new."""
        passed = self._pass(hand, number, 1)
        self.skipped[hand] += passed
        return passed > 0

    def drop(self, hand: str, number: Numbered, count: int) -> None:
        """Note that so many numbers were dropped, this one the last of them."""
        passed = self._pass(hand, number, count)
        dropped = min(count, passed)
        self.dropped[hand] += dropped
        self.missing[hand] += passed - dropped

    def _pass(self, hand: str, number: Numbered, count: int) -> int:
        """Go on behind a number; return how many lay before that, with it; 0 for an old one.

        `count`: how many there are where nothing was known of the hand.
        """
        self._heard[hand] = None
        newest = self._newest.get(hand)
        passed = count if newest is None else number.sequence - newest.sequence
        if newest is not None and passed <= 0:
            if number.publish_time_ns <= newest.publish_time_ns:
                self.repeated[hand] += 1
                return 0
            self.restarts[hand] += 1
            passed = count
        latest = max(number.publish_time_ns, newest.publish_time_ns if newest else 0)
        self._newest[hand] = Numbered(number.sequence, latest)
        return passed
