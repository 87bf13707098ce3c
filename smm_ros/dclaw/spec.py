"""The hand's numbers: names, limits and periods, in SI units. One table, no behaviour.

Limits, reset pose, motor numbers and periods are ROBEL's (robel 0.1.2, dclaw/base_env.py and
dclaw/turn.py). Masses, lengths and gains of the model are in urdf/dclaw.yaml.
"""

import math

import numpy as np
from numpy.typing import NDArray

Joints = NDArray[np.float64]


def _constant(values: list[float]) -> Joints:
    array = np.array(values)
    array.setflags(write=False)
    return array


JOINT_NAMES = (
    "joint_10",
    "joint_11",
    "joint_12",
    "joint_20",
    "joint_21",
    "joint_22",
    "joint_30",
    "joint_31",
    "joint_32",
)
"""Finger by finger, from the palm outwards; the number is the motor's on the bus."""

NUM_JOINTS = len(JOINT_NAMES)

VALVE_NAME = "valve"

MOTOR_IDS = (10, 11, 12, 20, 21, 22, 30, 31, 32)
"""In the order of JOINT_NAMES."""

VALVE_MOTOR_ID = 50

POSITION_HIGH = _constant([0.48, math.pi / 3, math.pi / 2] * 3)
"""Largest commanded joint angle, (9,) rad."""

POSITION_LOW = _constant([-0.48, -math.pi / 3, -math.pi / 2] * 3)
"""Smallest commanded joint angle, (9,) rad."""

VELOCITY_LIMIT = 2 * math.pi / 3
"""Joint velocity that a calm hand stays below, rad/s; ROBEL's bound."""

COMMAND_VELOCITY_LIMIT = 8.0
"""Bound on (target - measured angle) / CONTROL_PERIOD of every joint, rad/s: what an XM430-W210
reaches without load (77 rev/min). VELOCITY_LIMIT here, as ROBEL has it, would leave the model's
motors of 2 N m/rad too weak to turn the valve more than a tenth of a turn in an episode."""

RESET_POSE = _constant([0.0, -math.pi / 3, math.pi / 3] * 3)
"""Joint angles at the start of an episode, (9,) rad: fingers open above the valve."""

VALVE_LIMIT = 6.28
"""The simulated valve turns between - and + this angle, rad: about one turn either way."""

PHYSICS_STEP = 0.0025
"""Step of the simulated physics, s."""

CONTROL_PERIOD = 0.1
"""Time between two commands, s."""
PERIOD_NS = round(CONTROL_PERIOD * 1e9)
"""CONTROL_PERIOD in the nanoseconds of stamps."""

EPISODE_STEPS = 50
"""Control periods in an episode."""
