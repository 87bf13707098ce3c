"""Transitions on their way into a fit: the same from a file, a replay or a running graph."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple
from zlib import crc32

from smm_core.offline.fit_config import FitConfig
from smm_core.offline.state_samples import FitError, StateSamples
from smm_core.state_space import StateConfig, StateSpace
from smm_core.targets.target import SUGGESTED
from smm_ros.dclaw.task import OBS_NAMES, VALVE_COS, VALVE_SIN
from smm_ros.records import TransitionRecord
from smm_ros.transition_runs import TransitionRuns

STRETCH = 100
"""Control periods of an episode that are held out as one: longer episodes are cut."""
MARGIN = 10
"""Control periods behind such a cut that are in neither part where it divides them."""


@dataclass
class HandCounts:
    """What came of one hand."""

    transitions: int = 0
    gaps: int = 0
    """Transitions missing between those that came, by their numbers."""
    recordings: int = 0
    """How often its numbers began, in one bag or another."""
    doubles: int = 0
    """Transitions that were there already, or came late, and were passed over."""


class _Stretch(NamedTuple):
    """What is held out as one."""

    place: tuple[int, int, int]
    """Recording, episode, and number within that."""
    name: str
    before: str
    """Name of the one it goes on from; empty where it begins an episode."""


class FitStream:
    """Gives the transitions of one or more recordings, in their order, to the samples of a fit.

    What is matched is settled by the first transition: of the D'Claw's observation the valve's
    angle with a uniform target, as in config/dclaw.yaml, unless the settings name a state.
    """

    def __init__(self, config: FitConfig, obs_size: int | None = None) -> None:
        """Start empty; with an `obs_size` known beforehand all is made at once.

        Raises ConfigError for settings that do not fit the observation.
        """
        self.hands: dict[str, HandCounts] = {}
        self._config = config
        self._runs = TransitionRuns()
        self._under_way: set[str] = set()
        self._stretches: dict[str, _Stretch] = {}
        self._samples = None if obs_size is None else _samples(config, obs_size)

    @property
    def num_transitions(self) -> int:
        """All that came."""
        return sum(counts.transitions for counts in self.hands.values())

    @property
    def num_gaps(self) -> int:
        """All that is known to be missing."""
        return sum(counts.gaps for counts in self.hands.values())

    def add(self, record: TransitionRecord) -> None:
        """Take in one transition.

        Raises FitError where it does not fit those before, ConfigError for settings that do not
        fit its observation.
        """
        if self._samples is None:
            self._samples = _samples(self._config, len(record.next_observation))
        if not self._count(record):
            return
        stretch = self._stretch(record)
        before = stretch.before if record.step % STRETCH < MARGIN else ""
        self._samples.add(
            record.next_observation, record.skill, record.log_p_shaping, stretch.name, before
        )

    def begin_bag(self) -> None:
        """Say that another bag begins, of which nothing is missing before its first numbers."""
        self._under_way.clear()

    def pass_over(self, doubles: Mapping[str, int]) -> None:
        """Count, by hand, transitions that were there more than once and did not come here."""
        for hand, count in doubles.items():
            self.hands.setdefault(hand, HandCounts()).doubles += count

    def samples(self, still_to_come: Iterable[TransitionRecord] = ()) -> StateSamples:
        """Return what came so far and these transitions besides; the stream stays as it is.

        Raises FitError where nothing came.
        """
        stream = copy.deepcopy(self)
        for record in still_to_come:
            stream.add(record)
        if stream._samples is None or not stream.num_transitions:
            raise FitError("there are no transitions to fit to")
        return stream._samples.copy()

    def _count(self, record: TransitionRecord) -> bool:
        """Note a transition's number; tell whether it is new."""
        hand, expected = record.hand, self._runs.next.get(record.hand)
        counts = self.hands.setdefault(hand, HandCounts())
        if not self._runs.take_record(record):
            counts.doubles += 1
            return False
        counts.transitions += 1
        passed = record.sequence - expected.sequence if expected else 0
        is_same_run = expected is not None and expected.run == self._runs.next[hand].run
        if is_same_run and (hand in self._under_way or not passed):
            counts.gaps += passed
        else:
            counts.recordings += 1
        self._under_way.add(hand)
        return True

    def _stretch(self, record: TransitionRecord) -> _Stretch:
        """Return the stretch of a transition, named by what identifies its first one.

        So it is on the same side wherever it comes again: in another bag, or under other numbers.
        """
        hand = record.hand
        recording, number = self.hands[hand].recordings, record.step // STRETCH
        place = (recording, record.episode, number)
        last = self._stretches.get(hand)
        if last is None or last.place != place:
            goes_on = last is not None and last.place == (recording, record.episode, number - 1)
            name = f"{hand} {record.stamp_ns} {crc32(record.next_observation.tobytes())}"
            self._stretches[hand] = _Stretch(place, name, last.name if last and goes_on else "")
        return self._stretches[hand]


def _samples(config: FitConfig, obs_size: int) -> StateSamples:
    return StateSamples(with_defaults(config, obs_size), obs_size)


def with_defaults(config: FitConfig, obs_size: int) -> FitConfig:
    """Return the settings with what is matched where they name nothing."""
    if obs_size != len(OBS_NAMES) or config.state != StateConfig():
        return config
    target = config.target
    if target.name == SUGGESTED:
        target = replace(target, name="uniform_circle")
    return replace(config, state=StateConfig(circular=(VALVE_COS, VALVE_SIN)), target=target)


def coordinate_names(space: StateSpace, obs_size: int) -> list[str]:
    """Return what the coordinates of s are called, angles last."""
    known = obs_size == len(OBS_NAMES)
    names = OBS_NAMES if known else [f"entry {i}" for i in range(obs_size)]
    linear = [names[entry] for entry in space.linear]
    pairs = zip(space.cos, space.sin, strict=True)
    angles = [
        f"{names[cos].removesuffix('_cos')} angle" if known else f"angle of entries {cos}, {sin}"
        for cos, sin in pairs
    ]
    return linear + angles
