"""When a simulated hand may move on: one control period per command, at the asked-for pace.

Pure logic over stamps (ns, the hand's clock) and wall time (s, a clock that only goes forward).
"""

from __future__ import annotations

from collections import Counter
from enum import Enum

# A state shown off its due time by less than this share of a period keeps the schedule; further
# off, the schedule starts anew: lost time is not made up for by shorter periods.
_TOLERANCE = 0.1


class Phase(Enum):
    """What the hand is doing."""

    HOLDING = "holding"
    """Nobody steers: the last target is held and time goes on as on a wall clock."""
    AWAITING = "awaiting a command"
    """The current state was shown; time stands still until a command answers it."""
    PENDING = "showing the next state"
    """A command was taken; the state it led to is shown when it is due."""
    RESETTING = "resetting"


class Pace:
    """Maps the hand's clock to wall time: when a state with some stamp is due to be shown."""

    def __init__(self, factor: float, period_ns: int) -> None:
        """`factor`: hand seconds per wall second, 0 for no pacing; `period_ns`: one step."""
        self._factor = factor
        self._tolerance = _TOLERANCE * period_ns / 1e9
        self._anchor: tuple[int, float] | None = None

    def set_factor(self, factor: float) -> None:
        """Change the pace from here on."""
        self._factor = factor
        self._anchor = None

    def due(self, stamp_ns: int) -> float:
        """Return the wall time at which the state is due; -inf for at once."""
        if self._anchor is None or self._factor == 0:
            return float("-inf")
        anchor_ns, anchor_wall = self._anchor
        return anchor_wall + (stamp_ns - anchor_ns) / 1e9 / self._factor

    def shown(self, stamp_ns: int, now: float) -> None:
        """Note that the state was shown at `now`."""
        if abs(now - self.due(stamp_ns)) > self._tolerance:
            self._anchor = (stamp_ns, now)


class LockStep:
    """Decides which commands are taken and when the hand holds on its own.

    A command is taken when it carries the stamp of the current state, once; every other one is
    refused and counted in `refused` by reason.
    """

    def __init__(self, command_timeout: float) -> None:
        """`command_timeout`: wall time in s without a command after which the hand holds."""
        self.command_timeout = command_timeout
        self.phase = Phase.HOLDING
        self.stopped = False
        self.refused: Counter[str] = Counter()
        self.taken = 0
        self.asked_at: float | None = None
        """Wall time at which the state that came of a command was shown, s.

        None where none was: an episode's first state waits for the answer to the reset.
        """
        self._current_ns: int | None = None
        self._shown_at = 0.0

    def set_command_timeout(self, timeout: float) -> None:
        """Change the wall time in s without a command after which the hand holds."""
        self.command_timeout = timeout

    def take(self, stamp_ns: int) -> str | None:
        """Take the command that answers the state with this stamp; return why not, or None."""
        reason = self._refusal(stamp_ns)
        if reason is None:
            self.phase = Phase.PENDING
            self.taken += 1
        else:
            self.refused[reason] += 1
        return reason

    def _refusal(self, stamp_ns: int) -> str | None:
        if self.stopped:
            return "stopped"
        if self.phase is Phase.RESETTING:
            return "resetting"
        if stamp_ns != self._current_ns:
            return "wrong stamp"
        if self.phase is Phase.PENDING:
            return "already answered"
        return None

    def refuse(self, reason: str) -> None:
        """Count a command refused for a reason found elsewhere."""
        self.refused[reason] += 1

    def show(self, stamp_ns: int, now: float) -> None:
        """Note that the state with this stamp is the current one, for all to see."""
        self._current_ns = stamp_ns
        self._shown_at = now
        self.asked_at = now if self.phase is Phase.PENDING else None
        if self.phase is Phase.PENDING:
            self.phase = Phase.AWAITING

    def holds(self, now: float) -> bool:
        """Tell whether time goes on by itself; leaves lock step when commands stay away."""
        silent = now - self._shown_at > self.command_timeout
        if self.phase is Phase.AWAITING and silent:
            self.phase = Phase.HOLDING
        return self.phase is Phase.HOLDING

    def begin_reset(self) -> None:
        """Refuse commands until `end_reset`."""
        self.asked_at = None
        self.phase = Phase.RESETTING

    def end_reset(self, success: bool) -> None:
        """After a success time stands still for the first command; after a failure it goes on."""
        self.phase = Phase.AWAITING if success else Phase.HOLDING

    def hold(self) -> None:
        """Leave lock step: time goes on by itself from here."""
        self.phase = Phase.HOLDING

    def stop(self) -> None:
        """Refuse every command until `clear_stop`; a reset under way has to end itself."""
        self.stopped = True
        if self.phase is not Phase.RESETTING:
            self.hold()

    def clear_stop(self) -> None:
        """Release the latch; the next command or reset is taken again."""
        self.stopped = False
