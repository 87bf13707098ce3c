"""Transitions on their way into a fit: the same from a file, a replay or a running graph."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from smm_core.offline.fit_config import FitConfig
from smm_core.offline.state_samples import FitError, StateSamples
from smm_core.state_space import StateConfig, StateSpace
from smm_core.targets.target import SUGGESTED
from smm_ros.dclaw.task import OBS_NAMES, VALVE_COS, VALVE_SIN
from smm_ros.records import TransitionRecord

STRETCH = 100
"""Control periods of an episode that are held out as one: longer episodes are cut."""


@dataclass
class HandCounts:
    """What came of one hand."""

    transitions: int = 0
    gaps: int = 0
    """Transitions missing between those that came, by their numbers."""
    recordings: int = 1
    """How often the numbers begin: one more for each time that they go back."""


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
        self._expected: Counter[str] = Counter()
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
        recording = self._count(record)
        stretch = f"{record.hand} {recording} {record.episode} {record.step // STRETCH}"
        self._samples.add(record.next_observation, record.skill, record.log_p_shaping, stretch)

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

    def _count(self, record: TransitionRecord) -> int:
        """Note a transition's number; return which recording of its hand it belongs to."""
        counts = self.hands.setdefault(record.hand, HandCounts())
        expected = self._expected[record.hand] if counts.transitions else record.sequence
        if record.sequence < expected:
            counts.recordings += 1
        else:
            counts.gaps += record.sequence - expected
        self._expected[record.hand] = record.sequence + 1
        counts.transitions += 1
        return counts.recordings


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
