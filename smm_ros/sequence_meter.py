"""What came and what did not, counted from the numbers of each hand's transitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


class SequenceMeter:
    """Counts, per hand, what came and what is missing in an ascending sequence.

    A number that is passed over is missing; one that is told of is dropped or skipped instead.
    """

    def __init__(self) -> None:
        self.received: Counter[str] = Counter()
        self.missing: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.repeated: Counter[str] = Counter()
        self._expected: dict[str, int] = {}
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

    def expect(self, numbers: Mapping[str, int]) -> None:
        """Take the next number of each hand of which there are transitions already."""
        self._expected |= numbers

    def mark(self, hand: str, sequence: int) -> bool:
        """Note a number and tell whether it is new; a hand's first is taken as its beginning."""
        passed = self._pass(hand, sequence, 1)
        self.received[hand] += passed > 0
        self.missing[hand] += max(0, passed - 1)
        return passed > 0

    def skip(self, hand: str, sequence: int) -> bool:
        """Note a number that is not wanted, nor are those before it; tell whether it is new."""
        passed = self._pass(hand, sequence, 1)
        self.skipped[hand] += passed
        return passed > 0

    def drop(self, hand: str, sequence: int, count: int) -> None:
        """Note that so many numbers were dropped, this one the last of them."""
        passed = self._pass(hand, sequence, count)
        dropped = min(count, passed)
        self.dropped[hand] += dropped
        self.missing[hand] += passed - dropped

    def _pass(self, hand: str, sequence: int, count: int) -> int:
        """Go on behind a number; return how many lay before that, with it; 0 for an old one.

        `count`: how many there are where nothing was known of the hand.
        """
        self._heard[hand] = None
        new = sequence + 1 - self._expected.get(hand, sequence + 1 - count)
        if new <= 0:
            self.repeated[hand] += 1
            return 0
        self._expected[hand] = sequence + 1
        return new
