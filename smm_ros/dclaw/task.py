"""What the hand's states and actions mean to a learner.

Observation, float32 (12,): nine joint angles (rad), cosine and sine of the valve's angle, the
valve's velocity (rad/s).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smm_ros.dclaw.hand import HandState
from smm_ros.dclaw.safety_clamp import reachable
from smm_ros.dclaw.spec import (
    JOINT_NAMES,
    POSITION_HIGH,
    POSITION_LOW,
    RESET_POSE,
    VELOCITY_LIMIT,
    Joints,
)

OBS_NAMES = (*JOINT_NAMES, "valve_cos", "valve_sin", "valve_velocity")
VALVE_COS, VALVE_SIN = OBS_NAMES.index("valve_cos"), OBS_NAMES.index("valve_sin")

VELOCITY_WEIGHT = 0.1
"""nats taken off log p* when the joints' root mean square velocity is VELOCITY_LIMIT."""

POSE_WEIGHT = 0.1
"""nats taken off log p* when the joints are, in root mean square, half their range from
RESET_POSE."""

_CENTER = (POSITION_HIGH + POSITION_LOW) / 2
_HALF_RANGE = (POSITION_HIGH - POSITION_LOW) / 2


def observation(state: HandState) -> NDArray[np.float32]:
    """Return what the policy sees of a state, float32 (12,), in the order of OBS_NAMES."""
    valve = (np.cos(state.valve_angle), np.sin(state.valve_angle), state.valve_velocity)
    return np.concatenate([state.joint_position, valve]).astype(np.float32)


def target_from_action(action: ArrayLike, state: HandState) -> Joints:
    """Return the joint target (9,) rad that an action (9,) in [-1, 1] asks for in a state.

    An action names a pose: -1 is a joint's lowest and 1 its highest commanded angle. The target
    is as far towards that pose as the velocity limit lets it be.
    """
    return reachable(wanted_pose(action), state.joint_position)


def wanted_pose(action: ArrayLike) -> Joints:
    """Return the joint angles (9,) rad that an action (9,) names, however far they are."""
    return _CENTER + np.clip(np.asarray(action, dtype=np.float64), -1, 1) * _HALF_RANGE


def action_from_target(
    target: ArrayLike, state: HandState, requested: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return the action, float32 (9,), that asks for a joint target (9,) rad in a state.

    Beyond the velocity limit many actions ask for the same target. If `requested` is one of
    them it is returned as it is: a learner that only ever saw the nearest of them could not
    know what its own, further reaching actions do.
    """
    wanted = np.asarray(target, dtype=np.float64)
    if requested is not None and np.array_equal(target_from_action(requested, state), wanted):
        return requested.astype(np.float32)
    return ((wanted - _CENTER) / _HALF_RANGE).astype(np.float32)


def log_p_shaping(state: HandState) -> float:
    """Return the part of log p* that is about the hand alone, nats, never above 0.

    The matched state is the valve's angle, whose uniform target has log(2 pi) = 1.84 nats to
    give; with these weights a calm hand near RESET_POSE gains about a tenth of a nat over a
    wild one, enough to choose between two ways to turn the valve, too little to leave it alone.
    """
    speed = np.mean((state.joint_velocity / VELOCITY_LIMIT) ** 2)
    distance = np.mean(((state.joint_position - RESET_POSE) / _HALF_RANGE) ** 2)
    return -float(VELOCITY_WEIGHT * speed + POSE_WEIGHT * distance)
