"""Transitions of one hand put together from its joint states and joint commands alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import takewhile

import numpy as np

from smm_core.transitions import Floats
from smm_ros.dclaw import task
from smm_ros.dclaw.hand import HandState
from smm_ros.dclaw.safety_clamp import SafetyClamp
from smm_ros.dclaw.spec import PERIOD_NS
from smm_ros.episodes import TOLERANCE_NS
from smm_ros.records import JointTarget, TransitionRecord

MOST_COMMANDS = 10_000
"""Commands that wait for their state at most; states may not come at all."""

HORIZON_NS = 5_000_000_000
"""How much later than a state, on the states' stamps, what belongs to it may be told."""


@dataclass(frozen=True)
class _Seen:
    """A measured state."""

    stamp_ns: int
    received_ns: int
    state: HandState
    obs: Floats


class Assembler:
    """Takes a hand's states and commands as they come and returns its transitions.

    A transition is a state, the command that answers it, and the state one control period later.
    A command answers the state whose stamp it has, as in this package's graph. Where no command
    has the stamp of a state within HORIZON_NS, it is a recording of another kind: then the
    command in force is the last one received before the next state, and each state that is
    reached is the next one to begin with. Of states that come faster than the control period
    those are taken that are nearest to it.

    Nothing is made over a missing state or command: there a segment ends, which is the
    transitions' `episode`. States come in the order of their stamps, commands in theirs; between
    the two a delay below HORIZON_NS makes no difference where commands answer by stamp.
    """

    def __init__(self, hand: str) -> None:
        """`hand` is the name that the transitions bear."""
        self.hand = hand
        self.states = self.commands = self.refused = 0
        """States and commands taken in, and states left out for a number that is not finite."""
        self._clamp = SafetyClamp()
        self._pending: deque[_Seen] = deque()
        self._answers: dict[int, JointTarget] = {}
        self._received: deque[tuple[int, JointTarget]] = deque(maxlen=MOST_COMMANDS)
        self._by_stamp: bool | None = None
        self._newest_state = self._newest_command = -1
        self._undecided_since: int | None = None
        self._broken_at = -1
        self._last: TransitionRecord | None = None
        self._sequence = self._episode = self._step = 0

    def see(self, stamp_ns: int, state: HandState, received_ns: int) -> list[TransitionRecord]:
        """Take a measured state; return the transitions that are complete by now, in order."""
        begun_anew = []
        if stamp_ns < self._newest_state:  # the clock of a hand goes back only when started anew
            begun_anew = self.finish()
        self.states += 1
        obs = task.observation(state)
        if not (np.isfinite(obs).all() and np.isfinite(state.joint_velocity).all()):
            self.refused += 1
        elif stamp_ns > self._newest_state:
            self._newest_state = stamp_ns
            self._pending.append(_Seen(stamp_ns, received_ns, state, obs))
            self._decide(stamp_ns in self._answers)
        return begun_anew + list(self._take())

    def command(self, target: JointTarget, received_ns: int) -> list[TransitionRecord]:
        """Take a command, its position unchecked; return the transitions complete by now."""
        begun_anew = []
        if target.stamp_ns < self._newest_command - HORIZON_NS:  # as in `see`
            begun_anew = self.finish()
        self.commands += 1
        if len(self._answers) >= MOST_COMMANDS:
            self._answers.pop(next(iter(self._answers)))
        if target.stamp_ns:  # 0 is what a message is sent with where nobody stamps it
            # The hand takes the first command that answers a state and refuses the others.
            self._answers.setdefault(target.stamp_ns, target)
        self._newest_command = max(self._newest_command, target.stamp_ns)
        if self._by_stamp is not True:
            self._received.append((received_ns, target))
        self._decide(any(seen.stamp_ns in self._answers for seen in self._pending))
        return begun_anew + list(self._take())

    def finish(self) -> list[TransitionRecord]:
        """Return what is left when nothing more comes, or what comes is from another time."""
        self._decide(False, is_over=True)
        found = list(self._take(is_over=True)) + self._end_segment()
        self._pending.clear()
        self._answers.clear()
        self._received.clear()
        self._newest_state = self._newest_command = self._broken_at = -1
        self._by_stamp = self._undecided_since = None
        return found

    def _decide(self, answers: bool, is_over: bool = False) -> None:
        """Find out which kind of recording it is, once."""
        if self._by_stamp is not None:
            return
        if answers:
            self._by_stamp = True
            self._received.clear()
        elif self._received and self._newest_state >= 0:
            # Commands that come before any state say nothing yet: theirs may not be in here.
            if self._undecided_since is None:
                self._undecided_since = self._newest_state
            waited = self._newest_state - self._undecided_since
            if is_over or waited > HORIZON_NS // 2:
                self._by_stamp = False
                self._answers.clear()

    def _take(self, is_over: bool = False) -> Iterator[TransitionRecord]:
        while self._pending:
            first = self._pending[0]
            if not is_over and not self._is_settled(first.stamp_ns):
                return
            target, following = self._target_and_next(first)
            if target is None or following is None:
                yield from self._end_segment()
                self._pending.popleft()
                self._broken_at = first.received_ns
            else:
                yield from self._hold(self._record(first, target, following))
                while self._pending[0] is not following:
                    self._pending.popleft()
            self._forget()

    def _is_settled(self, stamp_ns: int) -> bool:
        """Tell whether all that may belong to a state has come, for certain or by now."""
        end = stamp_ns + PERIOD_NS + TOLERANCE_NS
        if self._by_stamp and self._newest_state >= end and self._newest_command > end:
            return True
        return self._newest_state > end + HORIZON_NS

    def _target_and_next(self, first: _Seen) -> tuple[JointTarget | None, _Seen | None]:
        due = first.stamp_ns + PERIOD_NS
        until = takewhile(lambda s: s.stamp_ns <= due + TOLERANCE_NS, self._pending)
        near = [s for s in until if s.stamp_ns >= due - TOLERANCE_NS]
        # Where states come faster, the one that was answered is the one that was gone on from.
        answered = [s for s in near if s.stamp_ns in self._answers] if self._by_stamp else near
        following = min(answered or near, key=lambda s: abs(s.stamp_ns - due), default=None)
        if self._by_stamp:
            return self._answers.get(first.stamp_ns), following
        return (None if following is None else self._in_force(following.received_ns)), following

    def _in_force(self, before_ns: int) -> JointTarget | None:
        """Return the last command received before a time, since the last gap."""
        found = None
        for received_ns, target in self._received:
            if self._broken_at < received_ns < before_ns:
                found = target
        return found

    def _record(self, first: _Seen, target: JointTarget, following: _Seen) -> TransitionRecord:
        clamped = self._clamp(target.position, first.state.joint_position).target
        record = TransitionRecord(
            stamp_ns=first.stamp_ns,
            hand=self.hand,
            sequence=self._sequence,
            episode=self._episode,
            step=self._step,
            skill=0,
            policy_version=0,
            observation=first.obs,
            action=task.action_from_target(clamped),
            next_observation=following.obs,
            log_p_shaping=task.log_p_shaping(following.state),
            terminated=False,
            truncated=False,
        )
        self._sequence += 1
        self._step += 1
        return record

    def _hold(self, record: TransitionRecord) -> Iterator[TransitionRecord]:
        """Keep one back, since the last of a segment is told apart, and give the one before."""
        if self._last is not None:
            yield self._last
        self._last = record

    def _end_segment(self) -> list[TransitionRecord]:
        last, self._last = self._last, None
        if last is None:
            return []
        self._episode, self._step = self._episode + 1, 0
        return [replace(last, truncated=True)]

    def _forget(self) -> None:
        """Drop the commands that nothing still to come can need."""
        oldest = self._pending[0] if self._pending else None
        if self._by_stamp:
            limit = self._newest_state - HORIZON_NS if oldest is None else oldest.stamp_ns
            for stamp in [s for s in self._answers if s < limit]:
                del self._answers[stamp]
        elif oldest is not None:
            while len(self._received) > 1 and self._received[1][0] < oldest.received_ns:
                self._received.popleft()
