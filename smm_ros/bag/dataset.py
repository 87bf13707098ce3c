"""The transitions of bags as learners want them: episodes, each without a break in the middle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smm_ros.bag.reading import read_transitions
from smm_ros.dclaw.spec import CONTROL_PERIOD, JOINT_NAMES
from smm_ros.dclaw.task import OBS_NAMES
from smm_ros.records import TransitionRecord

PERIOD_NS = round(CONTROL_PERIOD * 1e9)
"""Control period, ns."""

SCALARS: dict[str, type[np.generic]] = {
    "stamp_ns": np.int64,
    "sequence": np.uint64,
    "episode": np.uint64,
    "step": np.uint32,
    "skill": np.uint32,
    "policy_version": np.uint64,
    "log_p_shaping": np.float32,
    "terminated": np.bool_,
    "truncated": np.bool_,
}
"""Fields of a TransitionRecord that are one number each, with the types of Transition.msg."""

VECTORS = ("observation", "action", "next_observation")
"""Fields of a TransitionRecord that are float32 arrays."""

ROWS = 2**16
"""Transitions that are gathered before they are written together: about 10 MB."""

SPLIT, LEAVE_OUT = "split", "leave_out"
BROKEN_EPISODES = (SPLIT, LEAVE_OUT)
"""What can become of an episode with a part missing."""

_OBS_UNITS = (*["rad"] * len(JOINT_NAMES), "1", "1", "rad/s")


class DatasetError(Exception):
    """A dataset that can not be made or read as asked."""


@dataclass(frozen=True)
class Layout:
    """How many numbers an observation and an action have, and what they are."""

    obs_size: int
    action_size: int

    @property
    def is_dclaw(self) -> bool:
        """Whether they are those of `smm_ros.dclaw.task`; a bag tells no more than the sizes."""
        return (self.obs_size, self.action_size) == (len(OBS_NAMES), len(JOINT_NAMES))

    @property
    def observation_names(self) -> list[str]:
        """Names of the observation's entries, obs_size of them."""
        return list(OBS_NAMES) if self.is_dclaw else _numbered("observation", self.obs_size)

    @property
    def action_names(self) -> list[str]:
        """Names of the action's entries, action_size of them."""
        return list(JOINT_NAMES) if self.is_dclaw else _numbered("action", self.action_size)

    def describe(self) -> dict[str, Any]:
        """Return what a dataset says about itself, ready for JSON; units are SI's, 1: none."""
        return {
            "version": _version(),
            "control_period": CONTROL_PERIOD,
            "observation_names": self.observation_names,
            "observation_units": list(_OBS_UNITS) if self.is_dclaw else None,
            "action_names": self.action_names,
            "action_units": ["1"] * self.action_size,
            "log_p_shaping_unit": "nat",
        }


@dataclass(frozen=True)
class Segment:
    """Control periods of one episode that follow one another without a break, n of them.

    Each one's next observation is, bit for bit, the observation of the one after it.
    """

    run: int
    """Number of the bag among those that the dataset is made of, from 0."""
    hand: str
    columns: dict[str, NDArray[Any]]
    """By the names in SCALARS, (n,), and in VECTORS, (n, size)."""

    def __len__(self) -> int:
        return len(self.columns["step"])

    @property
    def is_ended(self) -> bool:
        """Whether it ends as the episode did, by its task or its time limit."""
        return bool(self.columns["terminated"][-1] or self.columns["truncated"][-1])


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
    doubled: int = 0
    """Transitions that the bags hold more than once."""
    missing: Counter[str] = field(default_factory=Counter)
    """Per hand, transitions missing between those read."""
    hands: set[str] = field(default_factory=set)
    torn: list[str] = field(default_factory=list)
    """Ends of files that could not be read, in words."""


class SegmentReading:
    """A stream of segments; `report` grows as it is iterated."""

    def __init__(
        self,
        paths: Sequence[Path],
        hands: Collection[str] = (),
        broken_episodes: str = SPLIT,
        tell: Callable[[int], None] = lambda transitions: None,
    ) -> None:
        """Read the bags at these paths, each a run of its own, of all hands or the named.

        Looks up the layout of the first transition. `tell` is called, over and over, with the
        number of transitions handed on. Raises DatasetError where there is none, BagError where
        a bag can not be read.
        """
        self.report = DatasetReport()
        self.paths = list(paths)
        self._hands, self._broken_episodes, self._tell = hands, broken_episodes, tell
        first = next((record for path in paths for record in self._records(path)), None)
        if first is None:
            whose = f" of {', '.join(sorted(hands))}" if hands else ""
            raise DatasetError(f"no transitions{whose} in {', '.join(map(str, paths))}")
        self.layout = Layout(len(first.observation), len(first.action))

    def __iter__(self) -> Iterator[Segment]:
        """Yield the segments run by run, each hand's in ascending order; the hands take turns.

        Never holds more than one episode of each hand. Raises BagError for damage and
        DatasetError for transitions of another layout than the first, and where none is left.
        """
        self.report = DatasetReport()
        for run, path in enumerate(self.paths):
            yield from self._read_run(run, path)
        if not self.report.transitions:
            raise DatasetError(
                f"all {self.report.episodes} episodes are broken, so that nothing is left; keep "
                "their parts with --broken-episodes split"
            )

    def describe(self) -> dict[str, Any]:
        """Return what the dataset says about itself, ready for JSON."""
        return self.layout.describe() | {"bags": [str(path) for path in self.paths]}

    def _read_run(self, run: int, path: Path) -> Iterator[Segment]:
        episodes: dict[str, list[TransitionRecord]] = {}
        for record in self._records(path):
            self._check(record)
            episode = episodes.setdefault(record.hand, [])
            if episode:
                self.report.missing[record.hand] += record.sequence - episode[-1].sequence - 1
            if episode and episode[-1].episode != record.episode:
                yield from self._finish(run, episode)
                episode = episodes[record.hand] = []
            episode.append(record)
        for episode in episodes.values():
            yield from self._finish(run, episode)

    def _records(self, path: Path) -> Iterator[TransitionRecord]:
        reading, num_records = read_transitions(path), 0
        for record in reading:
            num_records += 1
            if not self._hands or record.hand in self._hands:
                yield record
        self.report.doubled += reading.report.num_messages - num_records
        self.report.torn += [
            f"{tail.path}: {tail.num_bytes} bytes from byte {tail.offset} on, {tail.reason}"
            for tail in reading.report.tails
        ]

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
        if not is_whole and self._broken_episodes == LEAVE_OUT:
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
                "--ignore-rewards, which are for those of another origin"
            )

    @abstractmethod
    def hands(self) -> dict[int, set[str]]:
        """Return the hands of each run."""

    @abstractmethod
    def records(self, run: int) -> Iterator[TransitionRecord]:
        """Yield the transitions of a run; raises DatasetError for those that can not be read."""


def batches(segments: Iterable[Segment]) -> Iterator[list[Segment]]:
    """Yield the segments in lists of at least ROWS transitions, the last of what is left."""
    waiting, rows = list[Segment](), 0
    for segment in segments:
        waiting.append(segment)
        rows += len(segment)
        if rows >= ROWS:
            yield waiting
            waiting, rows = [], 0
    if waiting:
        yield waiting


def split(records: Sequence[TransitionRecord], run: int = 0) -> list[Segment]:
    """Return the transitions of one episode as segments, cut wherever a part is missing.

    That is where the sequence or the step does not go up by one, where the task or the time
    limit ended it, where a state was missed (the stamp is more than half a period off) and
    where an observation is another one than the step before led to.
    """
    columns: dict[str, NDArray[Any]] = {
        name: np.array([getattr(record, name) for record in records], kind)
        for name, kind in SCALARS.items()
    }
    for name in VECTORS:
        columns[name] = np.stack([getattr(record, name) for record in records]).astype(np.float32)
    starts = [0, *(np.flatnonzero(_breaks(columns)) + 1).tolist()]
    return [
        Segment(run, records[0].hand, {name: all_[start:end] for name, all_ in columns.items()})
        for start, end in zip(starts, [*starts[1:], len(records)], strict=True)
    ]


def records_of(
    hands: Sequence[str], columns: dict[str, NDArray[Any]]
) -> Iterator[TransitionRecord]:
    """Yield the transitions of which these are the columns, as in Segment, with n hands."""
    scalars = [columns[name].tolist() for name in SCALARS]
    vectors = [columns[name] for name in VECTORS]
    for hand, *values in zip(hands, *scalars, *vectors, strict=True):
        yield TransitionRecord(hand=hand, **dict(zip((*SCALARS, *VECTORS), values, strict=True)))


def _breaks(columns: dict[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Return for each transition but the last whether the next one is not its successor."""
    ended = columns["terminated"] | columns["truncated"]
    late = np.diff(columns["stamp_ns"]) - PERIOD_NS
    led_to = columns["next_observation"][:-1].view(np.uint32)
    follows = columns["observation"][1:].view(np.uint32)
    return (
        (np.diff(columns["sequence"]) != 1)
        | (np.diff(columns["step"].astype(np.int64)) != 1)
        | ended[:-1]
        | (np.abs(late) > PERIOD_NS // 2)
        | (led_to != follows).any(axis=1)
    )


def _numbered(name: str, size: int) -> list[str]:
    return [f"{name}_{number}" for number in range(size)]


def _version() -> str:
    try:
        return metadata.version("smm-ros")
    except metadata.PackageNotFoundError:  # a workspace of colcon has no such entry
        return "unknown"
