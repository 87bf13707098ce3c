"""What travels between the nodes, as plain dataclasses: the messages' content without ROS types.

Stamps are whole nanoseconds, because lock step compares them for equality.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smm_core.transitions import Floats, Transition


@dataclass(frozen=True)
class JointTarget:
    """A joint command: where the finger joints should go, and which state it answers."""

    stamp_ns: int
    """Stamp of the joint state that the command answers."""
    position: NDArray[np.float64]
    """(9,) rad, in the order of `dclaw.spec.JOINT_NAMES`"""


@dataclass(frozen=True)
class TransitionRecord:
    """One control period of one hand, with its place in the stream and its origin."""

    stamp_ns: int
    """When `observation` was measured, on the hand's clock."""
    hand: str
    sequence: int
    """Number among all transitions of this hand, from 0, without gaps."""
    episode: int
    step: int
    skill: int
    policy_version: int
    observation: Floats
    """(obs_size,)"""
    action: Floats
    """(action_size,), as applied after the safety clamp, in [-1, 1]"""
    next_observation: Floats
    """(obs_size,)"""
    log_p_shaping: float
    """nats, at most 0"""
    terminated: bool
    truncated: bool

    def as_transition(self) -> Transition:
        """Return the learner's part of the record, with a run axis of length 1."""
        return Transition(
            obs=self.observation[None],
            action=self.action[None],
            reward=np.array([self.log_p_shaping], np.float32),
            next_obs=self.next_observation[None],
            skill=np.array([self.skill], np.int64),
            terminated=np.array([self.terminated]),
            truncated=np.array([self.truncated]),
        )


@dataclass(frozen=True)
class EpisodeRecord:
    """What one episode of one hand came to; angles in rad, unwrapped."""

    stamp_ns: int
    """When the first observation was measured, on the hand's clock."""
    hand: str
    episode: int
    skill: int
    policy_version: int
    steps: int
    log_p_shaping_sum: float
    valve_start: float
    valve_end: float
    valve_min: float
    valve_max: float
    clamped_commands: int
    missed_samples: int
    interrupted: bool


@dataclass(frozen=True)
class PolicyRecord:
    """A policy snapshot: weights, the layout they fit, and what to sample with."""

    stamp_ns: int
    version: int
    sha256: str
    """Of `weights`, 64 lower-case hexadecimal digits."""
    observation_size: int
    action_size: int
    num_skills: int
    trained_steps: int
    history_versions: tuple[int, ...]
    history_weights: tuple[float, ...]
    skill_prior: tuple[float, ...]
    weights: bytes
    """One safetensors file."""


@dataclass(frozen=True)
class HandProgress:
    """How far the trainer is with one hand's transitions."""

    hand: str
    received_sequence: int
    """Sequence number expected next."""
    allowed_sequence: int
    """First sequence number that may not be produced yet."""
    gaps: int
    """Transitions lost."""


@dataclass(frozen=True)
class StatusRecord:
    """How far the learner is and how fast; see TrainingStatus.msg."""

    stamp_ns: int
    steps: int
    updates: int
    total_steps: int
    """0: no end"""
    steps_per_second: float
    updates_per_second: float
    policy_version: int
    replay_size: int
    replay_capacity: int
    hands: tuple[HandProgress, ...]
    metrics: dict[str, float]
    checkpoint: str
    """Path of the newest checkpoint, empty if there is none."""
    done: bool

    def progress_of(self, hand: str) -> HandProgress | None:
        """Return the progress with one hand, or None where the trainer does not feed from it."""
        return next((progress for progress in self.hands if progress.hand == hand), None)


@dataclass(frozen=True)
class ResetOutcome:
    """How a reset of the hand ended."""

    success: bool
    message: str
    """What went wrong and what to do; empty on success."""
    attempts: int
    stamp_ns: int
    """Stamp of the first state measured after the reset."""
