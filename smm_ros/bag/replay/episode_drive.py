"""Leading a hand through a recorded episode: gently there, the recorded steps, gently away.

Pure logic over states and their stamps. Every command answers a state, and there is one for each
state, so that time passes in control periods, the hand's or the twin's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from smm_core.config import Config, option
from smm_ros.bag.replay.recorded_episode import LATE, RecordedEpisode
from smm_ros.dclaw import task
from smm_ros.dclaw.glide import Glide, glide
from smm_ros.dclaw.hand import HandState
from smm_ros.dclaw.safety_clamp import SafetyClamp, within_limits
from smm_ros.dclaw.spec import CONTROL_PERIOD, JOINT_NAMES, RESET_POSE, Joints
from smm_ros.records import JointTarget

THERE = math.radians(5)
"""A joint this near to the first pose has not to be eased there, rad; a reset's tolerance."""
NEAR = math.radians(10)
"""After easing in a joint may rest this far off, bent by its own weight, rad."""
LEAD = 0.3
"""The way waits for a joint that is further behind its target than this, rad."""
PATIENCE = 20
"""Control periods that a way waits for a joint before something is taken to hold it."""

SILENCE = 1.0
"""Time without a state after which the hand is left alone, s: it let go, or another had it."""


class Phase(Enum):
    """What the hand is led through."""

    EASE_IN = "easing in"
    PLAY = "playing"
    EASE_OUT = "easing out"
    DONE = "done"


@dataclass(frozen=True)
class DriveSettings(Config):
    """How a recorded episode is driven."""

    speed: float = option(
        1.0, "Share of the recorded speed at which it is played.", low=0.05, high=1.0
    )
    ease_speed: float = option(
        0.5, "Mean speed of the farthest joint on the ways in and out, rad/s.", low=0.05, high=1.5
    )


@dataclass(frozen=True)
class Tracking:
    """How near the hand came to what was recorded, after each command of the playing."""

    errors: NDArray[np.float64]
    """(commands, 9) rad: measured less recorded angle."""
    valve_start: float
    valve_end: float
    """rad, without jumps, as measured at the first and the last state of the playing."""
    clamped: int
    """Commands that the safety clamp changed."""
    late: int
    """States that came later than a command that is late explains."""


class EpisodeDrive:
    """Turns each state of the hand into the next command, until `phase` is DONE."""

    def __init__(self, episode: RecordedEpisode, settings: DriveSettings) -> None:
        self.phase = Phase.EASE_IN
        self.trouble = ""
        """Why it was not played to its end; empty where it was, or is not yet."""
        self._episode, self._settings = episode, settings
        self._clamp = SafetyClamp()
        self._way: _Way | None = None
        self._stamp_ns: int | None = None
        self._part = self._steps = 0  # the stretch, and the commands in it
        self._errors: list[Joints] = []
        self._valve = (math.nan, math.nan)
        self._clamped = self._late = 0

    @property
    def tracking(self) -> Tracking:
        """How well it went so far."""
        errors = np.array(self._errors).reshape(-1, len(JOINT_NAMES))
        return Tracking(errors, *self._valve, self._clamped, self._late)

    def ease_out(self, why: str) -> None:
        """End the playing early: go to the reset pose from wherever the hand is."""
        if self.phase in (Phase.EASE_IN, Phase.PLAY):
            self.trouble = why
            self.phase, self._way = Phase.EASE_OUT, None

    def see(self, stamp_ns: int, state: HandState) -> JointTarget | None:
        """Take a measured state; return the command that answers it, None where none does."""
        before, self._stamp_ns = self._stamp_ns, stamp_ns
        if before is not None and not 0 <= stamp_ns - before <= SILENCE * 1e9:
            self.trouble = self.trouble or _interruption(stamp_ns - before)
            self.phase = Phase.DONE
        is_late = before is not None and stamp_ns - before > LATE * CONTROL_PERIOD * 1e9
        self._late += is_late and self.phase is Phase.PLAY
        ways = {
            Phase.EASE_IN: self._ease_in,
            Phase.PLAY: self._play,
            Phase.EASE_OUT: self._ease_out,
        }
        while self.phase is not Phase.DONE:
            target = ways[self.phase](state)
            if target is not None:
                return JointTarget(stamp_ns, target)
        return None

    # Each returns the command in its phase, None where the phase is over: `phase` is the next.

    def _ease_in(self, state: HandState) -> Joints | None:
        first = self._episode.stretches[self._part].poses[0]
        off = np.abs(state.joint_position - first)
        if self._way is None:
            if off.max() <= THERE:
                self.phase = Phase.PLAY
                return None
            self._way = _Way(state, first, self._settings.ease_speed)
        if self._way.is_over and off.max() <= NEAR:
            self.phase, self._way = Phase.PLAY, None
            return None
        if not self._way.go_on(state):
            not_done = "played on" if self._part else "begun"
            self.ease_out(f"{self._way.obstacle(state)}, so the episode was not {not_done}")
            return None
        return self._clamp(self._way.target, state.joint_position).target

    def _play(self, state: HandState) -> Joints | None:
        stretch, speed = self._episode.stretches[self._part], self._settings.speed
        # The sum of many shares must not fall short of the end.
        place = min(self._steps * speed + 1e-9, stretch.num_steps)
        if self._steps:
            self._errors.append(state.joint_position - stretch.pose(place))
            self._valve = (self._valve[0], state.valve_angle)
        elif not self._part:
            self._valve = (state.valve_angle, state.valve_angle)
        if place >= stretch.num_steps:
            self._part, self._steps = self._part + 1, 0
            is_last = self._part == len(self._episode.stretches)
            self.phase = Phase.EASE_OUT if is_last else Phase.EASE_IN
            return None
        if speed == 1.0:
            target = task.target_from_action(stretch.actions[self._steps], state)
        else:
            target = stretch.target(place, speed)
        self._steps += 1
        clamped = self._clamp(target, state.joint_position)
        self._clamped += bool(clamped.reasons)
        return clamped.target

    def _ease_out(self, state: HandState) -> Joints | None:
        if self._way is None:
            self._way = _Way(state, RESET_POSE, self._settings.ease_speed)
        if self._way.is_over:
            self.phase = Phase.DONE
            return None
        if not self._way.go_on(state):
            self.trouble = self.trouble or self._way.obstacle(state)
            self.phase = Phase.DONE
            return None
        return self._clamp(self._way.target, state.joint_position).target


def _interruption(passed_ns: int) -> str:
    if passed_ns < 0:
        return "the hand was started anew"
    return f"the hand showed no state for {passed_ns / 1e9:.1f} s"


class _Way:
    """Goes on by a control period with each state, and waits for joints that are slow.

    The fingers are lifted off the valve first, then they are swung to their sides, then lowered.
    """

    def __init__(self, state: HandState, end: Joints, speed: float) -> None:
        self.target = start = within_limits(state.joint_position)
        end = within_limits(end)
        self._glides: list[Glide] = []
        for knot in (_lifted(start), _lifted(end), end):
            if np.abs(knot - start).max() > 1e-3:
                self._glides.append(glide(start, knot, 0.0, speed))
                start = knot
        self._passed, self._waited = 0.0, 0

    @property
    def is_over(self) -> bool:
        """Whether the target has reached the end."""
        return not self._glides

    def go_on(self, state: HandState) -> bool:
        """Move the target on; return False where the joints have been waited for too long."""
        self._waited += 1
        if self._glides and np.abs(self.target - state.joint_position).max() <= LEAD:
            self._waited = 0
            self._passed += CONTROL_PERIOD
            self.target = self._glides[0].at(self._passed)
            if self._passed >= self._glides[0].duration:
                self._passed = 0.0
                del self._glides[0]
        return self._waited <= PATIENCE

    def obstacle(self, state: HandState) -> str:
        """Say which joint is the farthest from its target."""
        off = np.abs(self.target - state.joint_position)
        degrees = math.degrees(off.max())
        return (
            f"{JOINT_NAMES[int(off.argmax())]} stays {degrees:.0f} degrees from where it was led "
            "slowly (is something in its way?)"
        )


def _lifted(pose: Joints) -> Joints:
    """Return a pose (9,) rad with the fingers up as after a reset, on the sides where they are."""
    lifted = RESET_POSE.copy()
    lifted[::3] = pose[::3]
    return lifted
