"""What the hand's states and actions mean to a learner.

Observation, float32 (12,): nine joint angles (rad), cosine and sine of the valve's angle, the
valve's velocity (rad/s).

Every function takes the state of one hand, or of N at once: then all its arrays have N in front.
"""

from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smm_ros.dclaw.hand import HandState, HandStates
from smm_ros.dclaw.safety_clamp import reachable
from smm_ros.dclaw.spec import (
    JOINT_NAMES,
    NUM_JOINTS,
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


def observation(state: HandState | HandStates) -> NDArray[np.float32]:
    """Return what the policy sees of a state, float32 (..., 12), in the order of OBS_NAMES."""
    joints = state.joint_position
    obs = np.empty((*joints.shape[:-1], len(OBS_NAMES)), np.float32)
    obs[..., :NUM_JOINTS] = joints
    obs[..., VALVE_COS] = np.cos(state.valve_angle)
    obs[..., VALVE_SIN] = np.sin(state.valve_angle)
    obs[..., -1] = state.valve_velocity
    return obs


def target_from_action(action: ArrayLike, state: HandState | HandStates) -> Joints:
    """Return the joint target (..., 9) rad that an action (..., 9) in [-1, 1] asks for in a state.

    An action names a pose: -1 is a joint's lowest and 1 its highest commanded angle. The target
    is as far towards that pose as the velocity limit lets it be.
    """
    return reachable(wanted_pose(action), state.joint_position)


def wanted_pose(action: ArrayLike) -> Joints:
    """Return the joint angles (..., 9) rad that an action (..., 9) names, however far they are."""
    inside = np.minimum(np.maximum(np.asarray(action, dtype=np.float64), -1), 1)
    return _CENTER + inside * _HALF_RANGE


def action_from_target(target: ArrayLike) -> NDArray[np.float32]:
    """Return the nearest action, float32 (..., 9), that asks for a joint target (..., 9) rad."""
    nearest: Joints = (np.asarray(target, dtype=np.float64) - _CENTER) / _HALF_RANGE
    return nearest.astype(np.float32)


def action_applied(
    action: NDArray[np.float32], target: Joints, sent: Joints
) -> NDArray[np.float32]:
    """Return the action, float32 (..., 9), that asks for the target (..., 9) rad that was sent.

    Beyond the velocity limit many actions ask for the same target. The action given is returned
    as it is where its own `target` was sent: a learner that only ever saw the nearest of them
    could not know what its own, further reaching actions do.
    """
    is_own = (sent == target).all(-1, keepdims=True)
    if is_own.all():
        return action.astype(np.float32)
    return np.where(is_own, action, action_from_target(sent)).astype(np.float32)


@overload
def log_p_shaping(state: HandState) -> float: ...


@overload
def log_p_shaping(state: HandStates) -> NDArray[np.float64]: ...


def log_p_shaping(state: HandState | HandStates) -> float | NDArray[np.float64]:
    """Return the part of log p* that is about the hand alone, nats (...), never above 0.

    The matched state is the valve's angle, whose uniform target has log(2 pi) = 1.84 nats to
    give; with these weights a calm hand near RESET_POSE gains about a tenth of a nat over a
    wild one, enough to choose between two ways to turn the valve, too little to leave it alone.
    """
    speed = _mean_square(state.joint_velocity / VELOCITY_LIMIT)
    distance = _mean_square((state.joint_position - RESET_POSE) / _HALF_RANGE)
    shaping: NDArray[np.float64] = -(VELOCITY_WEIGHT * speed + POSE_WEIGHT * distance)
    return shaping if isinstance(state, HandStates) else float(shaping)


def _mean_square(joints: Joints) -> NDArray[np.float64]:
    """Return the mean over the joints (..., 9), as np.mean does at a multiple of the cost."""
    total: NDArray[np.float64] = np.add.reduce(joints * joints, -1)
    return total / NUM_JOINTS
