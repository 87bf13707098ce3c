"""Parts of an episode without a break in the middle, as columns of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smm_ros.dclaw.spec import CONTROL_PERIOD, JOINT_NAMES, PERIOD_NS
from smm_ros.dclaw.task import OBS_NAMES
from smm_ros.records import TransitionRecord

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

_OBS_UNITS = (*["rad"] * len(JOINT_NAMES), "1", "1", "rad/s")


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
    """Number of the run among those that the dataset is made of, from 0; a bag has one or more."""
    hand: str
    columns: dict[str, NDArray[Any]]
    """By the names in SCALARS, (n,), and in VECTORS, (n, size)."""

    def __len__(self) -> int:
        return len(self.columns["step"])

    @property
    def is_ended(self) -> bool:
        """Whether it ends as the episode did, by its task or its time limit."""
        return bool(self.columns["terminated"][-1] or self.columns["truncated"][-1])


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
