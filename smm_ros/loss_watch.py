"""Finds out that transitions were lost although no later one shows the gap."""

from __future__ import annotations

import time
from collections.abc import Callable


class LossWatch:
    """Watches a trainer that lets a hand wait.

    The trainer counts a gap when the transition behind it comes. Where the last ones it allowed
    are lost, because it or the policy server was killed, none comes: each waits for the other.
    """

    def __init__(self, timeout: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`timeout`: time without progress after which transitions are lost, s."""
        self._timeout, self._clock = timeout, clock
        self._received = -1
        self._since = 0.0

    def is_lost(self, received: int, allowed: int, produced: int, waits: bool) -> bool:
        """Tell whether transitions `received` to `produced` - 1 seem lost, at most once a timeout.

        `received` and `allowed` are the trainer's next expected and first forbidden transition,
        `produced` is the hand's next one, `waits` whether it stands still.
        """
        now = self._clock()
        stuck = waits and received < produced and allowed <= produced
        if not stuck or received != self._received:
            self._received, self._since = received, now
            return False
        if now - self._since < self._timeout:
            return False
        self._since = now
        return True
