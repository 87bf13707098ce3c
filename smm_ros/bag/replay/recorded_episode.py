"""One recorded episode of a hand: found among transitions, checked, and as a way to be gone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from smm_ros.dclaw.safety_clamp import reachable
from smm_ros.dclaw.spec import CONTROL_PERIOD, NUM_JOINTS, Joints
from smm_ros.dclaw.task import OBS_NAMES, VALVE_COS, VALVE_SIN, wanted_pose
from smm_ros.records import TransitionRecord

LATE = 1.6
"""Control periods between two transitions beyond which one is missing. A command that comes late
makes its period half as long again."""


class EpisodeError(ValueError):
    """There is no episode as asked for, or none that can be driven."""


@dataclass(frozen=True)
class RecordedEpisode:
    """What the hand did in N steps."""

    hand: str
    number: int
    actions: NDArray[np.float32]
    """(N, 9) in [-1, 1], as applied."""
    poses: NDArray[np.float64]
    """(N + 1, 9) rad, before each step and after the last."""
    valve: NDArray[np.float64]
    """(N + 1,) rad, without jumps; the first in [-pi, pi]."""

    @property
    def num_steps(self) -> int:
        """N."""
        return len(self.actions)

    def pose(self, place: float) -> Joints:
        """Return where the joints were, (9,) rad, straight between steps: i before step i."""
        return _between(self.poses, place)

    def target(self, place: float, speed: float) -> Joints:
        """Return what to command for a control period at a share of the recorded speed, (9,) rad.

        An action names a pose that may be far: held for longer it would be no slower. A joint
        follows its target as dq/dt = (target - q) / tau, so it passes the same poses more slowly
        where the target is ahead of it by so much less. At full speed it is the recorded target.
        """
        ahead = _between(self._leads, place + speed) - _between(self._leads, place)
        return self.pose(place) + ahead

    @cached_property
    def _leads(self) -> NDArray[np.float64]:
        """How far the targets were ahead of the joints before each step, added up, (N + 1, 9)."""
        pairs = zip(self.actions, self.poses[:-1], strict=True)
        leads = [reachable(wanted_pose(action), pose) - pose for action, pose in pairs]
        return np.cumsum([np.zeros(NUM_JOINTS), *leads], axis=0)


def _between(knots: NDArray[np.float64], place: float) -> Joints:
    low = min(int(place), len(knots) - 2)
    share = min(place - low, 1.0)
    return np.asarray(knots[low] + share * (knots[low + 1] - knots[low]))


def find_episode(
    records: Iterable[TransitionRecord],
    hand: str = "",
    number: int | None = None,
    skip_gaps: bool = False,
) -> RecordedEpisode:
    """Return an episode, of a hand (where there is only one it needs no name) and a number.

    Without a number it is the last one that is whole. With `skip_gaps` steps may be missing, and
    those around them follow each other. Raises EpisodeError where there is no such episode, or it
    can not be driven.
    """
    newest: dict[str, list[TransitionRecord]] = {}
    chosen: dict[str, list[TransitionRecord]] = {}
    spans: dict[str, tuple[int, int]] = {}
    for record in records:
        if hand and record.hand != hand:
            spans.setdefault(record.hand, (record.episode, record.episode))
            continue
        first, _ = spans.get(record.hand, (record.episode, 0))
        spans[record.hand] = (first, record.episode)
        if number is not None and record.episode != number:
            continue
        steps = newest.get(record.hand, [])
        if not steps or steps[0].episode != record.episode:
            steps = newest[record.hand] = []
        steps.append(record)
        if number is not None or _is_whole(steps):
            chosen[record.hand] = steps
    return _checked(_the_one(chosen, spans, hand, number), skip_gaps)


def _is_whole(steps: list[TransitionRecord]) -> bool:
    ended = steps[-1].truncated or steps[-1].terminated
    return ended and steps[0].step == 0 and not _gap(steps)


def _the_one(
    chosen: dict[str, list[TransitionRecord]],
    spans: dict[str, tuple[int, int]],
    hand: str,
    number: int | None,
) -> list[TransitionRecord]:
    if not spans:
        raise EpisodeError("the bag holds no transitions")
    if hand and hand not in spans:
        raise EpisodeError(f"the bag has no transitions of {hand}, but of {', '.join(spans)}")
    if not hand and len(spans) > 1:
        raise EpisodeError(f"the bag has the hands {', '.join(spans)}; name one with --recorded")
    name = hand or next(iter(spans))
    if name in chosen:
        return chosen[name]
    first, last = spans[name]
    if number is None:
        raise EpisodeError(
            f"none of the episodes {first} to {last} of {name} is whole; name one with --episode"
        )
    raise EpisodeError(f"there is no episode {number} of {name}; the bag has {first} to {last}")


def _checked(steps: list[TransitionRecord], skip_gaps: bool) -> RecordedEpisode:
    what = f"episode {steps[0].episode} of {steps[0].hand}"
    gap = _gap(steps)
    if gap and not skip_gaps:
        raise EpisodeError(f"{what} {gap}; --skip_gaps goes on over it, or name another episode")
    for name, size, expected in (
        ("actions", {len(s.action) for s in steps}, NUM_JOINTS),
        ("observations", {len(s.observation) for s in steps}, len(OBS_NAMES)),
    ):
        if size != {expected}:
            found = " and ".join(map(str, sorted(size)))
            raise EpisodeError(f"{what} has {name} of {found} numbers; the hand's have {expected}")
    actions = np.array([step.action for step in steps], np.float32)
    seen = np.array([*(s.observation for s in steps), steps[-1].next_observation], np.float64)
    for name, values in (("action", actions), ("observation", seen)):
        wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(wrong):
            raise EpisodeError(f"{what} has {name} {values[wrong[0]]}, expected finite numbers")
    valve = np.unwrap(np.arctan2(seen[:, VALVE_SIN], seen[:, VALVE_COS]))
    return RecordedEpisode(steps[0].hand, steps[0].episode, actions, seen[:, :NUM_JOINTS], valve)


def _gap(steps: list[TransitionRecord]) -> str:
    """Say what is missing before the last of the steps; empty where nothing is."""
    if steps[0].step:
        return f"begins with step {steps[0].step}"
    for before, after in zip(steps, steps[1:], strict=False):
        if after.step != before.step + 1:
            return f"lacks what comes between steps {before.step} and {after.step}"
        seconds = (after.stamp_ns - before.stamp_ns) / 1e9
        if not 0 < seconds < LATE * CONTROL_PERIOD:
            return f"has {seconds:.2f} s between steps {before.step} and {after.step}"
    return ""
