import mujoco
import numpy as np
import pytest

from smm_ros.dclaw import spec


def test_the_motors_numbers_are_those_in_the_joints_names():
    assert tuple(f"joint_{number}" for number in spec.MOTOR_IDS) == spec.JOINT_NAMES


def test_the_reset_pose_can_be_commanded():
    assert (spec.RESET_POSE >= spec.POSITION_LOW).all()
    assert (spec.RESET_POSE <= spec.POSITION_HIGH).all()


def test_the_tables_arrays_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        spec.RESET_POSE[0] = 1.0


def test_the_table_agrees_with_the_model(hand):
    model = hand.model
    assert model.opt.timestep == spec.PHYSICS_STEP
    names = [mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_JOINT, i) for i in range(model.njnt)]
    assert tuple(names) == (*spec.JOINT_NAMES, spec.VALVE_NAME)
    np.testing.assert_array_equal(model.jnt_range[-1], [-spec.VALVE_LIMIT, spec.VALVE_LIMIT])
    # ROBEL's model writes pi / 2 as 1.57.
    low, high = model.actuator_ctrlrange.T
    assert (low <= spec.POSITION_LOW + 1e-3).all()
    assert (high >= spec.POSITION_HIGH - 1e-3).all()
