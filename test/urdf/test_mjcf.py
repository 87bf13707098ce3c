"""The twin against ROBEL's model: the same numbers, and the same motions."""

from collections.abc import Iterator

import mujoco
import numpy as np
import pytest

from smm_ros.dclaw import spec
from smm_ros.dclaw.safety_clamp import reachable

LINKS = ("base", "proximal", "middle", "distal")
BODIES = {"palm": "dClaw", "valve": "valve"} | {
    f"finger_{number}_{link}": prefix + suffix
    for number, prefix in ((1, "FF"), (2, "MF"), (3, "TH"))
    for link, suffix in zip(
        LINKS, ("base", f"{number}0", f"L{number}1", f"L{number}2"), strict=True
    )
}
# The reference has a second, ghostly hand between the fingers' joints and the valve's.
VALVE = -1
MASK = np.r_[0:9, VALVE]


def contact_geoms(model: mujoco.MjModel) -> Iterator[int]:
    """Geoms that can touch, apart from the valve's motor: a scanned hull in the reference."""
    for geom in range(model.ngeom):
        body = model.body(model.geom_bodyid[geom]).name
        if model.geom_contype[geom] and body != "valve_base":
            yield geom


def play(model: mujoco.MjModel, seed: int, num_steps: int) -> np.ndarray:
    """Joint and valve angles (num_steps, 10) rad under random actions from the reset pose."""
    data, generator = mujoco.MjData(model), np.random.default_rng(seed)
    data.qpos[:9] = spec.RESET_POSE
    mujoco.mj_forward(model, data)
    angles = np.empty((num_steps, 10))
    for step in range(num_steps):
        wanted = generator.uniform(spec.POSITION_LOW, spec.POSITION_HIGH)
        data.ctrl[:] = reachable(wanted, data.qpos[:9])
        mujoco.mj_step(model, data, 40)
        angles[step] = data.qpos[MASK]
    return angles


@pytest.mark.parametrize("field", ["body_mass", "body_inertia", "body_ipos", "body_iquat"])
def test_every_moving_body_has_the_references_mass_and_inertia(twin, reference, field):
    for own, theirs in BODIES.items():
        mine = getattr(twin, field)[twin.body(own).id]
        np.testing.assert_allclose(
            mine, getattr(reference, field)[reference.body(theirs).id], rtol=1e-12, err_msg=own
        )


@pytest.mark.parametrize(
    "field",
    [
        "jnt_range",
        "jnt_axis",
        "jnt_stiffness",
        "jnt_solref",
        "jnt_solimp",
        "dof_damping",
        "dof_armature",
        "dof_frictionloss",
    ],
)
def test_every_joint_moves_as_the_references(twin, reference, field):
    np.testing.assert_array_equal(getattr(twin, field), getattr(reference, field)[MASK])


@pytest.mark.parametrize(
    "field",
    [
        "actuator_gainprm",
        "actuator_biasprm",
        "actuator_ctrlrange",
        "actuator_ctrllimited",
        "actuator_forcelimited",
        "actuator_gear",
    ],
)
def test_every_motor_has_the_references_gain_and_range(twin, reference, field):
    np.testing.assert_array_equal(getattr(twin, field), getattr(reference, field))


@pytest.mark.parametrize(
    "field",
    [
        "geom_type",
        "geom_size",
        "geom_pos",
        "geom_quat",
        "geom_friction",
        "geom_condim",
        "geom_margin",
        "geom_solref",
        "geom_solimp",
    ],
)
def test_every_surface_touches_as_the_references(twin, reference, field):
    mine = getattr(twin, field)[list(contact_geoms(twin))]
    theirs = getattr(reference, field)[list(contact_geoms(reference))]
    np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-15)


def test_the_physics_is_solved_with_the_references_options(twin, reference):
    for option in ("timestep", "iterations", "tolerance", "solver", "cone", "jacobian", "gravity"):
        np.testing.assert_array_equal(
            getattr(twin.opt, option), getattr(reference.opt, option), err_msg=option
        )


@pytest.mark.parametrize("seed", range(10))
def test_the_same_actions_give_the_same_angles_over_an_episode(twin, reference, seed):
    mine, theirs = play(twin, seed, 50), play(reference, seed, 50)
    assert np.abs(theirs[:, VALVE]).max() > 0.01, "nothing touched the valve"
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-3)


def test_the_same_actions_give_the_same_angles_over_ten_episodes_length(twin, reference):
    np.testing.assert_allclose(play(twin, 100, 500), play(reference, 100, 500), rtol=0, atol=1e-3)
