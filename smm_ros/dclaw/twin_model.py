"""The model of the twin: urdf/dclaw.xml, checked, brought to where an episode begins."""

import math
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

from smm_ros.dclaw.hand import HandError
from smm_ros.dclaw.spec import (
    JOINT_NAMES,
    NUM_JOINTS,
    PHYSICS_STEP,
    RESET_POSE,
    VALVE_LIMIT,
    VALVE_NAME,
)
from smm_ros.share import share_path

# qpos, qvel and ctrl of the model list the nine joints in the order of JOINT_NAMES, then the
# valve; load_model() checks it.
JOINTS, VALVE = slice(0, NUM_JOINTS), NUM_JOINTS


def load_model(path: Path | None = None) -> mujoco.MjModel:
    """Load the model, by default urdf/dclaw.xml; raises HandError where it is not the twin's."""
    path = path or share_path("urdf", "dclaw.xml")
    try:
        model = mujoco.MjModel.from_xml_path(str(path))
    except ValueError as error:
        raise HandError(f"MuJoCo can not load {path}: {error}") from error
    _check_layout(model, path)
    return model


def place(model: mujoco.MjModel, data: mujoco.MjData, valve_angle: float) -> None:
    """Put the joints into the reset pose and the valve to an angle (rad), at rest."""
    mujoco.mj_resetData(model, data)
    data.qpos[JOINTS] = RESET_POSE
    data.qpos[VALVE] = valve_angle
    data.ctrl[:] = RESET_POSE
    mujoco.mj_forward(model, data)


def check_valve_angle(valve_angle: float) -> None:
    """Raise ValueError where the valve can not turn to an angle (rad)."""
    if not abs(valve_angle) <= VALVE_LIMIT:
        raise ValueError(
            f"valve angle must be in [-{VALVE_LIMIT}, {VALVE_LIMIT}] rad, got {valve_angle}"
        )


def check_finite(values: NDArray[np.float64], whose: str) -> None:
    """Raise HandError where a measured number is not finite."""
    if not np.isfinite(values).all():
        raise HandError(f"the simulation diverged: state {values}; reset {whose}")


def physics_steps(period_s: float) -> int:
    """Return the physics steps in a time (s); raises ValueError where they are not whole."""
    num_steps = round(period_s / PHYSICS_STEP) if math.isfinite(period_s) else 0
    if num_steps < 1 or not math.isclose(num_steps * PHYSICS_STEP, period_s):
        raise ValueError(f"period must be a positive multiple of {PHYSICS_STEP} s, got {period_s}")
    return num_steps


def _check_layout(model: mujoco.MjModel, path: Path) -> None:
    joints = tuple(model.joint(i).name for i in range(model.njnt))
    motors = tuple(model.actuator(i).name for i in range(model.nu))
    if joints != (*JOINT_NAMES, VALVE_NAME) or motors != JOINT_NAMES:
        raise HandError(
            f"{path} has joints {joints} and motors {motors}; expected joints "
            f"{(*JOINT_NAMES, VALVE_NAME)}, all but the last with a motor"
        )
    if not math.isclose(model.opt.timestep, PHYSICS_STEP):
        raise HandError(f"{path} has time step {model.opt.timestep} s, expected {PHYSICS_STEP}")
