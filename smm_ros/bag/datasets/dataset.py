"""The transitions of bags as datasets hold them: segments, and what became of the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smm_ros.bag.bag_files import find_files
from smm_ros.bag.datasets.segment import Layout, Segment, split
from smm_ros.bag.transition_source import AUTO, TransitionSource, check_hands
from smm_ros.records import TransitionRecord

SPLIT, LEAVE_OUT = "split", "leave_out"
BROKEN_EPISODES = (SPLIT, LEAVE_OUT)
"""What can become of an episode with a part missing."""


class DatasetError(Exception):
    """A dataset that can not be made or read as asked."""


@dataclass(frozen=True)
class Choice:
    """What is taken of the bags."""

    hands: Collection[str] = ()
    """Names of hands; none: all of them."""
    broken_episodes: str = SPLIT
    """One of BROKEN_EPISODES."""
    source: str = AUTO
    """One of `transition_source.SOURCES`."""
    joint_topics: Mapping[str, str] = field(default_factory=dict)
    """Settings of `joint_messages.JointTopics`, for bags without transitions."""


EVERYTHING = Choice()


@dataclass
class DatasetReport:
    """What became of the transitions read so far."""

    transitions: int = 0
    """Handed on."""
    segments: int = 0
    episodes: int = 0
    """Of all hands, whole or not."""
    broken_episodes: int = 0
    """Episodes with a part missing at the beginning, in the middle or at the end."""
    left_out: int = 0
    """Transitions of broken episodes that were not handed on."""
    assembled: int = 0
    """Transitions put together from joint states and joint commands."""
    doubled: int = 0
    """Transitions that were there already, or came late, and were passed over."""
    missing: Counter[str] = field(default_factory=Counter)
    """Per hand, transitions missing between those read."""
    hands: set[str] = field(default_factory=set)
    torn: list[str] = field(default_factory=list)
    """Ends of files that could not be read, a sentence each."""


class SegmentReading:
    """A stream of segments; `report` grows as it is iterated."""

    def __init__(
        self,
        paths: Sequence[Path],
        choice: Choice = EVERYTHING,
        tell: Callable[[int], None] = lambda transitions: None,
    ) -> None:
        """Read the bags at these paths, each a run of its own, or several.

        Where a bag has no transitions they are assembled from joint states and joint commands.
        Looks up the layout of the first. `tell` is called, over and over, with the number of
        transitions handed on. Raises DatasetError where there is none, BagError where a bag can
        not be read or has none at all.
        """
        self.report = DatasetReport()
        self.paths = list(paths)
        self._choice, self._tell = choice, tell
        find_files(self.paths)
        sources = [self._source(path) for path in self.paths]
        first = next((record for source in sources for record in source), None)
        if first is None:
            check_hands(sources, choice.hands)
        assert first is not None  # a bag without any is an error of its own
        self.layout = Layout(len(first.observation), len(first.action))

    def __iter__(self) -> Iterator[Segment]:
        """Yield the segments run by run, each hand's in ascending order; the hands take turns.

        Never holds more than one episode of each hand. Raises BagError for damage and
        DatasetError for transitions of another layout than the first, and where none is left.
        """
        self.report = DatasetReport()
        self._runs = 0
        for path in self.paths:
            yield from self._read_bag(path)
        if not self.report.transitions:
            raise DatasetError(
                f"all {self.report.episodes} episodes are broken, so that nothing is left; keep "
                "their parts with --broken_episodes split"
            )

    def describe(self) -> dict[str, Any]:
        """Return what the dataset says about itself, ready for JSON."""
        return self.layout.describe() | {"bags": [str(path) for path in self.paths]}

    def _source(self, path: Path) -> TransitionSource:
        choice = self._choice
        return TransitionSource(path, choice.source, choice.joint_topics, choice.hands)

    def _read_bag(self, path: Path) -> Iterator[Segment]:
        """Yield the segments of a bag; where a hand's numbers begin again, of another run."""
        source, first_run = self._source(path), self._runs
        episodes: dict[str, list[TransitionRecord]] = {}
        runs: Counter[str] = Counter()
        for record in source:
            self._check(record)
            hand, run = record.hand, first_run + source.run(record.hand)
            episode = episodes.setdefault(hand, [])
            is_same_run = run == runs[hand]
            if episode and is_same_run:
                self.report.missing[hand] += record.sequence - episode[-1].sequence - 1
            if episode and not (is_same_run and episode[-1].episode == record.episode):
                yield from self._finish(runs[hand], episode)
                episode = episodes[hand] = []
            runs[hand] = run
            episode.append(record)
        for hand, episode in episodes.items():
            yield from self._finish(runs[hand], episode)
        self._runs = max(runs.values(), default=first_run) + 1
        self.report.doubled += source.doubles.total()
        self.report.assembled += source.assembled
        self.report.torn += source.unread

    def _check(self, record: TransitionRecord) -> None:
        sizes = Layout(len(record.observation), len(record.action))
        if sizes != self.layout or len(record.next_observation) != sizes.obs_size:
            raise DatasetError(
                f"transition {record.sequence} of {record.hand} has {sizes.obs_size} numbers in "
                f"its observation, {len(record.next_observation)} in the next and "
                f"{sizes.action_size} in its action, the first had {self.layout.obs_size} and "
                f"{self.layout.action_size}; export one kind of hand at a time (--hand)"
            )

    def _finish(self, run: int, records: list[TransitionRecord]) -> Iterator[Segment]:
        report, segments = self.report, split(records, run)
        is_whole = len(segments) == 1 and records[0].step == 0 and segments[0].is_ended
        report.episodes += 1
        report.broken_episodes += not is_whole
        if not is_whole and self._choice.broken_episodes == LEAVE_OUT:
            report.left_out += len(records)
            return
        report.hands.add(records[0].hand)
        for segment in segments:
            report.transitions += len(segment)
            report.segments += 1
            self._tell(report.transitions)
            yield segment


class DatasetReading(ABC):
    """A dataset opened to be read."""

    notes: list[str]
    """What its user should know about what was read so far."""

    def choose(self, hand: str | None, ignore_rewards: bool) -> None:
        """Say what another's dataset leaves open: whose it is, and whether rewards count.

        Raises DatasetError where there is nothing to choose.
        """
        if hand is not None or ignore_rewards:
            raise DatasetError(
                "this dataset was made of bags and says itself whose it is; leave out --hand and "
                "--ignore_rewards, which are for those of another origin"
            )

    @abstractmethod
    def hands(self) -> dict[int, set[str]]:
        """Return the hands of each run."""

    @abstractmethod
    def records(self, run: int) -> Iterator[TransitionRecord]:
        """Yield the transitions of a run; raises DatasetError for those that can not be read."""
