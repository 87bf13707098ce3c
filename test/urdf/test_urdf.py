"""The ROS description against the twin: one hand, told in two languages."""

from pathlib import Path
from xml.etree import ElementTree

import mujoco
import numpy as np
import pytest

from smm_ros.dclaw import spec

xacro = pytest.importorskip("xacro", reason="needs xacro: pip install xacro==2.1.1")

FILE = Path(__file__).resolve().parents[2] / "urdf" / "dclaw.urdf.xacro"
JOINTS = (*spec.JOINT_NAMES, spec.VALVE_NAME)


@pytest.fixture(scope="module")
def text() -> str:
    return xacro.process_file(str(FILE)).toxml()


@pytest.fixture(scope="module")
def robot(text) -> ElementTree.Element:
    return ElementTree.fromstring(text)


@pytest.fixture(scope="module")
def model(text) -> mujoco.MjModel:
    """The description as MuJoCo's reader of URDF understands it, every link a body of its own."""
    compiler = '<mujoco><compiler fusestatic="false" discardvisual="false"/></mujoco>'
    return mujoco.MjModel.from_xml_string(text.replace("</robot>", f"{compiler}</robot>"))


def test_the_movable_joints_are_those_of_joint_states(robot):
    movable = [joint.get("name") for joint in robot.iter("joint") if joint.get("type") != "fixed"]
    assert sorted(movable) == sorted(JOINTS)


def test_the_links_are_one_tree_and_its_root_has_no_inertia(robot):
    links = [link.get("name") for link in robot.iter("link")]
    children = [joint.find("child").get("link") for joint in robot.iter("joint")]
    parents = [joint.find("parent").get("link") for joint in robot.iter("joint")]
    assert len(set(links)) == len(links)
    assert len(set(children)) == len(children)
    assert set(parents) <= set(links)
    assert set(links) - set(children) == {"station"}
    assert robot.find("link[@name='station']/inertial") is None


def test_every_colour_used_is_defined(robot):
    defined = {material.get("name") for material in robot.findall("material")}
    assert {material.get("name") for material in robot.iter("material")} == defined


def test_every_movable_joint_has_its_limits(robot, twin):
    for name in JOINTS:
        limit = robot.find(f"joint[@name='{name}']/limit")
        stops = [float(limit.get("lower")), float(limit.get("upper"))]
        np.testing.assert_allclose(stops, twin.joint(name).range)
        assert float(limit.get("velocity")) == pytest.approx(spec.VELOCITY_LIMIT)
        assert float(limit.get("effort")) > 0


def test_every_link_weighs_and_turns_as_the_twins_body(model, twin):
    bodies = {twin.body(i).name for i in range(1, twin.nbody)} - {"mount"}
    for name in bodies:
        mine, theirs = model.body(name), twin.body(name)
        np.testing.assert_allclose(mine.mass, theirs.mass, rtol=1e-8, err_msg=name)
        np.testing.assert_allclose(mine.ipos, theirs.ipos, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(
            inertia_tensor(mine), inertia_tensor(theirs), atol=1e-12, err_msg=name
        )


def inertia_tensor(body) -> np.ndarray:
    axes = np.zeros(9)
    mujoco.mju_quat2Mat(axes, body.iquat)
    axes = axes.reshape(3, 3)
    return axes @ np.diag(body.inertia) @ axes.T


@pytest.mark.parametrize("seed", range(5))
def test_every_link_is_where_the_twins_body_is(model, twin, seed):
    generator = np.random.default_rng(seed)
    own, theirs = mujoco.MjData(model), mujoco.MjData(twin)
    for name in JOINTS:
        angle = generator.uniform(*twin.joint(name).range)
        own.joint(name).qpos[0] = theirs.joint(name).qpos[0] = angle
    mujoco.mj_forward(model, own)
    mujoco.mj_forward(twin, theirs)
    for i in range(1, twin.nbody):
        name = twin.body(i).name
        np.testing.assert_allclose(own.body(name).xpos, theirs.body(name).xpos, atol=1e-7)
        np.testing.assert_allclose(own.body(name).xmat, theirs.body(name).xmat, atol=1e-6)
