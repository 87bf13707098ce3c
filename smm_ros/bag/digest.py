"""What a stream of bag messages amounts to: per topic, and per hand its episodes and gaps."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from smm_ros.bag.mcap_file import BagError, Topic
from smm_ros.bag.reading import TRANSITION, BagMessage
from smm_ros.interfaces import MARKS, RECORDER_NODE
from smm_ros.records import TransitionRecord
from smm_ros.transition_runs import TransitionRuns
from smm_ros.transition_wire import TransitionWireError, parse_transition

_DIAGNOSTICS = "diagnostic_msgs/msg/DiagnosticArray"
_LOG = "rcl_interfaces/msg/Log"
MAX_MARKS = 1000
"""Marks that are kept."""
MAX_GAPS = 100
"""Gaps of a hand that are kept with their place; further ones are only counted."""


class Gap(NamedTuple):
    """Transitions missing between two that are there."""

    first: int
    """Number of the first one missing."""
    last: int
    """Number of the last one missing."""
    log_time_ns: int
    """When the one behind the gap was recorded."""


class Mark(NamedTuple):
    """A remark that somebody made while it was recorded."""

    log_time_ns: int
    text: str


@dataclass
class TopicDigest:
    """One topic of one type."""

    topic: Topic
    num_messages: int = 0
    num_bytes: int = 0
    first_ns: int = 0
    last_ns: int = 0

    @property
    def rate(self) -> float:
        """Messages per second between the first and the last; 0 where there are too few."""
        seconds = (self.last_ns - self.first_ns) * 1e-9
        return (self.num_messages - 1) / seconds if seconds > 0 else 0.0

    def see(self, message: BagMessage) -> None:
        """Count a message."""
        time = message.log_time_ns
        self.first_ns = min(self.first_ns, time) if self.num_messages else time
        self.last_ns = max(self.last_ns, time)
        self.num_messages += 1
        self.num_bytes += len(message.data)


@dataclass
class HandDigest:
    """One hand's transitions."""

    num_transitions: int = 0
    num_runs: int = 0
    """How often the numbers begin."""
    first: int = -1
    """Lowest sequence number; -1 where there is none, as for the highest."""
    last: int = -1
    num_missing: int = 0
    """Transitions missing between the first and the last of a run."""
    num_gaps: int = 0
    num_repeated: int = 0
    """Transitions that came again, or too late."""
    gaps: list[Gap] = field(default_factory=list)
    complete: Counter[int] = field(default_factory=Counter)
    """Episodes from their first step to their end, by number of steps."""
    interrupted: Counter[int] = field(default_factory=Counter)
    """Episodes that were given up, or go on behind the end of the bag."""
    torn: Counter[int] = field(default_factory=Counter)
    """Episodes of which transitions are missing."""
    skills: Counter[int] = field(default_factory=Counter)
    """Transitions by skill."""
    policy_versions: Counter[int] = field(default_factory=Counter)
    """Transitions by policy version."""
    _next: int = 0
    _episode: int | None = None
    _steps: int = 0
    _is_whole: bool = True
    _is_ended: bool = False

    def see(self, record: TransitionRecord, log_time_ns: int, run: int) -> None:
        """Count a transition that is new, of a run of the hand, 0 being the first."""
        if run >= self.num_runs:
            self.end_episode()
            self.num_runs, self._next = run + 1, record.sequence
        missing = record.sequence - self._next
        if missing:
            self.num_missing += missing
            self.num_gaps += 1
            if len(self.gaps) < MAX_GAPS:
                self.gaps.append(Gap(self._next, record.sequence - 1, log_time_ns))
            self._is_whole &= self._is_ended
        if record.episode != self._episode:
            self.end_episode()
            self._episode, self._is_whole = record.episode, record.step == 0
        self.first = min(self.first, record.sequence) if self.num_transitions else record.sequence
        self.last = max(self.last, record.sequence)
        self._next = record.sequence + 1
        self.num_transitions += 1
        self._steps += 1
        self._is_ended = record.terminated or record.truncated
        self.skills[record.skill] += 1
        self.policy_versions[record.policy_version] += 1

    def end_episode(self) -> None:
        """Count the episode under way; to be called once more behind the last transition."""
        if not self._steps:
            return
        kind = self.interrupted
        if not self._is_whole:
            kind = self.torn
        elif self._is_ended:
            kind = self.complete
        kind[self._steps] += 1
        self._steps, self._is_ended, self._episode = 0, False, None


class Digest:
    """Takes a bag's messages one by one; `end` is to be called behind the last."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.topics: dict[tuple[str, str], TopicDigest] = {}
        """By name and type."""
        self.hands: dict[str, HandDigest] = {}
        self.marks: list[Mark] = []
        self.unreadable: Counter[str] = Counter()
        """Transitions and reports that could not be read, by topic."""
        self._runs = TransitionRuns()
        self._dropped_before = 0
        self._dropped_now: dict[str, int] = {}  # by the recorder's full name

    @property
    def reported_drops(self) -> int | None:
        """Messages that recorders said on /diagnostics they had dropped; None: no report."""
        now = self._dropped_now
        return self._dropped_before + sum(now.values()) if now else None

    @property
    def start_ns(self) -> int:
        """Log time of the first message, 0 where there is none."""
        return min((topic.first_ns for topic in self.topics.values()), default=0)

    @property
    def end_ns(self) -> int:
        """Log time of the last message, 0 where there is none."""
        return max((topic.last_ns for topic in self.topics.values()), default=0)

    @property
    def num_messages(self) -> int:
        """Messages of all topics."""
        return sum(topic.num_messages for topic in self.topics.values())

    def see(self, message: BagMessage) -> None:
        """Count a message."""
        topic = message.topic
        key = (topic.name, topic.type)
        if key not in self.topics:
            self.topics[key] = TopicDigest(topic)
        self.topics[key].see(message)
        try:
            if topic.type == TRANSITION:
                self._see_transition(parse_transition(message.data), message.log_time_ns)
            elif topic.type == _DIAGNOSTICS:
                self._see_report(message)
            elif topic.type == _LOG and topic.name.rpartition("/")[2] == MARKS:
                self._see_mark(message)
        except (BagError, TransitionWireError):
            self.unreadable[topic.name] += 1

    def end(self) -> None:
        """Count the episodes that the bag ends in."""
        for hand in self.hands.values():
            hand.end_episode()

    def _see_transition(self, record: TransitionRecord, log_time_ns: int) -> None:
        hand = self.hands.setdefault(record.hand, HandDigest())
        if self._runs.take_record(record):
            hand.see(record, log_time_ns, self._runs.next[record.hand].run)
        else:
            hand.num_repeated += 1

    def _see_mark(self, message: BagMessage) -> None:
        if len(self.marks) < MAX_MARKS:
            self.marks.append(Mark(message.log_time_ns, message.decode().msg))

    def _see_report(self, message: BagMessage) -> None:
        for status in message.decode().status:
            if status.name.rpartition(": ")[2] != RECORDER_NODE:
                continue
            values = {pair.key: pair.value for pair in status.values}
            text = values.get("dropped", "0")
            dropped = int(text) if text.isdecimal() else 0
            last = self._dropped_now.get(status.name, 0)
            if dropped < last:  # it was started anew
                self._dropped_before += last
            self._dropped_now[status.name] = dropped
