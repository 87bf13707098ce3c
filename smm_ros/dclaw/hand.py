"""What a D'Claw can do, simulated or real: its state, its commands and the faults it reports."""

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from smm_ros.dclaw.safety_clamp import SafetyClamp
from smm_ros.dclaw.spec import Joints


class HandError(RuntimeError):
    """The hand can not do what was asked: not connected, torque off, or a fault."""


class HandLimpError(HandError):
    """The hand has let go by itself; once it has no fault any more a reset takes it up again."""


@dataclass(frozen=True)
class HandState:
    """One measurement of the whole hand."""

    stamp: float
    """Time of the measurement on the hand's own clock, s."""
    joint_position: Joints
    """(9,) rad, in the order of spec.JOINT_NAMES."""
    joint_velocity: Joints
    """(9,) rad/s."""
    joint_effort: Joints
    """(9,) N m, of the motors."""
    valve_angle: float
    """rad, unwrapped: it grows by 2 pi with each turn."""
    valve_velocity: float
    """rad/s."""
    valve_effort: float
    """N m, of the valve's own motor; 0 while that motor is off."""

    @property
    def valve_angle_wrapped(self) -> float:
        """The valve's angle in [-pi, pi), rad."""
        return wrapped_angle(self.valve_angle)


def wrapped_angle(angle: float) -> float:
    """Return an angle in [-pi, pi), rad."""
    wrapped = math.fmod(angle + math.pi, 2 * math.pi)
    if wrapped < 0:
        wrapped += 2 * math.pi
    # A tiny negative remainder rounds up to a full turn.
    return -math.pi if wrapped >= 2 * math.pi else wrapped - math.pi


@dataclass(frozen=True)
class HandStates:
    """What the task asks of the states of N hands at one moment, as in `HandState`."""

    joint_position: Joints
    """(N, 9) rad."""
    joint_velocity: Joints
    """(N, 9) rad/s."""
    valve_angle: NDArray[np.float64]
    """(N,) rad, unwrapped."""
    valve_velocity: NDArray[np.float64]
    """(N,) rad/s."""


@dataclass(frozen=True)
class HandHealth:
    """How the hand is, for those who watch it."""

    values: Mapping[str, int | float | str] = field(default_factory=dict)
    """Figures by name, with their units."""
    warnings: tuple[str, ...] = ()
    """What is not a fault yet, but will be."""


@dataclass(frozen=True)
class ResetStage:
    """Progress of a reset: what the hand does now, and in which attempt (from 1)."""

    name: str
    attempt: int


ResetStages = Generator[ResetStage, None, None]
"""The stages of a reset, as they come; closed early, the hand stays where it is."""


class Hand(Protocol):
    """A D'Claw with its valve. Every method raises HandError on a fault."""

    @property
    def clamp(self) -> SafetyClamp:
        """The clamp that every command passes, with its counts."""

    @property
    def fault(self) -> str:
        """What keeps the hand from being driven at this moment; empty where nothing does."""

    def health(self) -> HandHealth:
        """Return how the hand is; of one that is not connected there is nothing to say."""

    def take_events(self) -> list[str]:
        """Return what has happened to the hand by itself since this was last called."""

    def connect(self) -> None:
        """Open the hand and check it; torque stays off."""

    def close(self) -> None:
        """Switch torque off and let go of the hand; does nothing on a closed one."""

    def enable(self) -> None:
        """Switch torque on, holding the pose measured at this moment.

        Raises HandLimpError where a fault is being mended: a reset can take the hand up later.
        """

    def disable(self) -> None:
        """Switch torque off; does nothing where it is off already."""

    def read(self) -> HandState:
        """Return a fresh measurement, never an old one."""

    def command(self, target: Joints) -> Joints:
        """Send joint targets (9,) rad through the clamp; return what was sent, (9,) rad."""

    def advance(self, period_s: float) -> None:
        """Let time pass: integrate in simulation, sleep on hardware."""

    def reset(self, valve_angle: float) -> ResetStages:
        """Bring the joints to spec.RESET_POSE and the valve to an angle (rad).

        The work is done while the stages are iterated: iterate to the end, or close them.
        """
