"""One recorded episode of a hand: found among transitions, checked, and as a way to be gone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from smm_ros.dclaw.safety_clamp import MAX_STEP, reachable
from smm_ros.dclaw.spec import CONTROL_PERIOD, JOINT_NAMES, NUM_JOINTS, Joints
from smm_ros.dclaw.task import OBS_NAMES, VALVE_COS, VALVE_SIN, wanted_pose
from smm_ros.records import TransitionRecord

LATE = 1.6
"""Control periods between two transitions beyond which one is missing. A command that comes late
makes its period half as long again."""

FARTHEST = 2 * MAX_STEP
"""No joint goes farther in a control period, rad; one that overshoots goes a quarter beyond
MAX_STEP."""


class EpisodeError(ValueError):
    """There is no episode as asked for, or none that can be driven."""


@dataclass(frozen=True)
class Stretch:
    """What the hand did in N steps that follow one another."""

    actions: NDArray[np.float32]
    """(N, 9) in [-1, 1], as applied."""
    poses: NDArray[np.float64]
    """(N + 1, 9) rad, before each step and after the last."""

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


@dataclass(frozen=True)
class RecordedEpisode:
    """What the hand did, in stretches between which steps are missing; in one, where none are."""

    hand: str
    number: int
    stretches: tuple[Stretch, ...]
    """One at least, each of one step at least."""
    valve: NDArray[np.float64]
    """rad, before each step and after the last, without jumps; the first in [-pi, pi]."""

    @property
    def num_steps(self) -> int:
        """Steps of all stretches."""
        return sum(stretch.num_steps for stretch in self.stretches)


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

    Without a number it is the last one that is whole; of several with the number, the last. With
    `skip_gaps` steps may be missing, or lead elsewhere than where the next one begins. Raises
    EpisodeError where there is no such episode, or it can not be driven.
    """
    newest: dict[str, list[TransitionRecord]] = {}
    chosen: dict[str, list[TransitionRecord]] = {}
    spans: dict[str, tuple[int, int]] = {}
    for record in records:
        if hand and record.hand != hand:
            spans.setdefault(record.hand, (record.episode, record.episode))
            continue
        first, last = spans.get(record.hand, (record.episode, record.episode))
        spans[record.hand] = (min(first, record.episode), max(last, record.episode))
        if number is not None and record.episode != number:
            continue
        steps = newest.get(record.hand, [])
        # In a bag of several runs the numbers begin again.
        follows = steps and record.sequence > steps[-1].sequence
        if not follows or steps[0].episode != record.episode:
            steps = newest[record.hand] = []
        steps.append(record)
        if number is not None or _is_whole(steps):
            chosen[record.hand] = steps
    return _checked(_the_one(chosen, spans, hand, number), skip_gaps)


def _is_whole(steps: list[TransitionRecord]) -> bool:
    ended = steps[-1].truncated or steps[-1].terminated
    if not ended or steps[0].step:
        return False
    return bool(_wrong_size(steps)) or not _gap(steps)  # what has another size is told so later


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
    wrong = _wrong_size(steps) or _wrong_number(steps)
    if wrong:
        raise EpisodeError(f"{what} has {wrong}")
    gap = _gap(steps)
    if gap and not skip_gaps:
        raise EpisodeError(
            f"{what} {gap}; --skip_gaps goes slowly over it, or name another episode"
        )
    parts = _parts(steps)
    if not parts:
        raise EpisodeError(f"{what} {gap}, and has nothing else; name another episode")
    seen = [_seen(part) for part in parts]
    actions = [np.array([step.action for step in part], np.float32) for part in parts]
    poses = [each[:, :NUM_JOINTS] for each in seen]
    stretches = tuple(Stretch(*pair) for pair in zip(actions, poses, strict=True))
    valve = np.concatenate([np.arctan2(obs[:, VALVE_SIN], obs[:, VALVE_COS]) for obs in seen])
    return RecordedEpisode(steps[0].hand, steps[0].episode, stretches, np.unwrap(valve))


def _wrong_size(steps: list[TransitionRecord]) -> str:
    for name, size, expected in (
        ("actions", {len(s.action) for s in steps}, NUM_JOINTS),
        ("observations", {len(s.observation) for s in steps}, len(OBS_NAMES)),
        ("next observations", {len(s.next_observation) for s in steps}, len(OBS_NAMES)),
    ):
        if size != {expected}:
            found = " and ".join(map(str, sorted(size)))
            return f"{name} of {found} numbers; the hand's have {expected}"
    return ""


def _wrong_number(steps: list[TransitionRecord]) -> str:
    for step in steps:
        for name in ("action", "observation", "next_observation"):
            values = getattr(step, name)
            if not np.isfinite(values).all():
                return f"{name} {values} in step {step.step}, expected finite numbers"
    return ""


def _gap(steps: list[TransitionRecord]) -> str:
    """Say where the steps, which have the hand's sizes, do not follow one another; empty: they do.

    A jump within a step is none of its action: somebody had the hand reset, for one.
    """
    if steps[0].step:
        return f"begins with step {steps[0].step}"
    moved = _moved(steps)
    for number in np.flatnonzero(moved.max(axis=1) > FARTHEST)[:1]:
        joint, angle = JOINT_NAMES[int(moved[number].argmax())], moved[number].max()
        return f"has {joint} move by {angle:.2f} rad within step {steps[number].step}"
    words = (_break(before, after) for before, after in pairwise(steps))
    return next(filter(None, words), "")


def _break(before: TransitionRecord, after: TransitionRecord) -> str:
    """Say why one step is not the successor of the other; empty where it is."""
    if after.step != before.step + 1:
        return f"lacks what comes between steps {before.step} and {after.step}"
    seconds = (after.stamp_ns - before.stamp_ns) / 1e9
    if not 0 < seconds < LATE * CONTROL_PERIOD:
        return f"has {seconds:.2f} s between steps {before.step} and {after.step}"
    if before.next_observation.tobytes() != after.observation.tobytes():
        return f"begins step {after.step} elsewhere than step {before.step} has led to"
    return ""


def _parts(steps: list[TransitionRecord]) -> list[list[TransitionRecord]]:
    """Return the steps that follow one another, without those that jump."""
    parts: list[list[TransitionRecord]] = []
    for step, moved in zip(steps, _moved(steps), strict=True):
        if moved.max() > FARTHEST:
            continue
        if not parts or _break(parts[-1][-1], step):
            parts.append([])
        parts[-1].append(step)
    return parts


def _moved(steps: list[TransitionRecord]) -> NDArray[np.float64]:
    """Return how far each joint moved in each step, (N, 9) rad."""
    begin = np.array([step.observation[:NUM_JOINTS] for step in steps], np.float64)
    end = np.array([step.next_observation[:NUM_JOINTS] for step in steps], np.float64)
    with np.errstate(invalid="ignore"):  # what is not finite is told elsewhere
        return np.abs(end - begin)


def _seen(part: list[TransitionRecord]) -> NDArray[np.float64]:
    """Return the observations before each step and after the last, (N + 1, 12)."""
    return np.array([*(step.observation for step in part), part[-1].next_observation], np.float64)
