"""The parts of the ROS robot description: the table dclaw.yaml as calls of xacro macros.

dclaw.urdf.xacro defines the macros (one per kind of solid, inertia and joint) and includes this.
"""

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from mjcf_writer import HEADER, Table, joint_name
from numpy.typing import NDArray

_PARENT_OF_FINGERS = "palm"


def write(table: Table, mjcf: str) -> str:
    """Return the xacro text: the table's numbers, and the inertias of its compiled MJCF."""
    model = mujoco.MjModel.from_xml_string(mjcf)
    lines = [
        HEADER,
        '<robot xmlns:xacro="http://www.ros.org/wiki/xacro">',
        *(_call("paint", name=name, rgba=rgba) for name, rgba in table["colors"].items()),
        *(_property(f"{name}_limit", value) for name, value in table["limits"].items()),
        _property("joint_damping", table["joint"]["damping"]),
        *_finger_macro(table, model),
        *_station(table, model),
        *(_finger(finger) for finger in table["fingers"]),
        "</robot>",
    ]
    return "\n".join(lines) + "\n"


def _station(table: Table, model: mujoco.MjModel) -> list[str]:
    """The root frame on the floor, the palm hanging over it, and the valve standing on it."""
    mount, palm, base, valve = (table[k] for k in ("mount", "palm", "valve_base", "valve"))
    return [
        '  <link name="station"/>',
        *_link("mount", [{**mount, "pos": [0, 0, 0]}]),
        _fixed("station", "mount", mount),
        *_link("palm", palm["geoms"], model.body("palm")),
        _fixed("mount", "palm", palm),
        *_link("valve_base", base["geoms"], model.body("valve_base")),
        _fixed("station", "valve_base", base),
        *_link("valve", valve["geoms"], model.body("valve"), [_stripe(valve["mark"])]),
        _hinge(valve["name"], "valve_base", "valve", valve),
    ]


def _finger_macro(table: Table, model: mujoco.MjModel) -> list[str]:
    """Links and joints of any finger; the inertias are those of the first, as all are alike."""
    lines = ['  <xacro:macro name="finger" params="number xyz rpy">']
    parent = _PARENT_OF_FINGERS
    for link in table["links"]:
        name = f"finger_${{number}}_{link['name']}"
        twin = model.body(f"{table['fingers'][0]['name']}_{link['name']}")
        lines += _link(name, link["geoms"], twin)
        if parent == _PARENT_OF_FINGERS:
            lines.append(_call("fixed", parent=parent, child=name, xyz="${xyz}", rpy="${rpy}"))
        else:
            lines.append(_hinge(joint_name("${number}", link), parent, name, link))
        parent = name
    return [*lines, "  </xacro:macro>"]


def _finger(finger: Table) -> str:
    yaw = [0, 0, finger["yaw"]]
    return _call("finger", number=finger["number"], xyz=finger["pos"], rpy=yaw)


def _link(
    name: str, geoms: list[Table], body: Any = None, stripes: Sequence[str] = ()
) -> list[str]:
    """A link with its solids; without a body of the compiled model it has no inertia."""
    inertia = [] if body is None else [_inertia(body)]
    solids = [solid for geom in geoms for solid in _solids(geom)]
    content = [f"  {line}" for line in (*inertia, *solids, *stripes)]
    return [f'  <link name="{name}">', *content, "  </link>"]


def _inertia(body: Any) -> str:
    """Mass, centre and inertia about the centre, turned into the link's axes."""
    axes = np.zeros(9)
    mujoco.mju_quat2Mat(axes, body.iquat)
    axes = axes.reshape(3, 3)
    tensor = axes @ np.diag(body.inertia) @ axes.T
    upper = {f"i{'xyz'[i]}{'xyz'[j]}": tensor[i, j] for i in range(3) for j in range(i, 3)}
    return _call("inertia", xyz=body.ipos, mass=body.mass[0], **upper)


def _solids(geom: Table) -> list[str]:
    """Calls that draw a geom; a capsule is a tube with a ball at each end."""
    rotation = _rotation(geom.get("euler"))
    shared = {"rpy": _rpy(rotation), "color": geom["color"]}
    if geom["shape"] == "box":
        sides = [2 * half for half in geom["size"]]
        return [_call("box", size=sides, xyz=geom["pos"], **shared)]
    radius, half = geom["size"]
    calls = [_call("tube", radius=radius, length=2 * half, xyz=geom["pos"], **shared)]
    if geom["shape"] == "capsule":
        ends = [geom["pos"] + rotation @ [0, 0, end] for end in (-half, half)]
        calls += [_call("ball", radius=radius, xyz=end, color=geom["color"]) for end in ends]
    return calls


def _stripe(mark: Table) -> str:
    radius, half = mark["size"]
    rpy = _rpy(_rotation(mark["euler"]))
    return _call(
        "stripe", radius=radius, length=2 * half, xyz=mark["pos"], rpy=rpy, color=mark["color"]
    )


def _fixed(parent: str, child: str, part: Table) -> str:
    rpy = _rpy(_rotation(part.get("euler")))
    return _call("fixed", parent=parent, child=child, xyz=part.get("pos", [0, 0, 0]), rpy=rpy)


def _hinge(name: str, parent: str, child: str, part: Table) -> str:
    lower, upper = part["range"]
    return _call(
        "hinge",
        name=name,
        parent=parent,
        child=child,
        xyz=part["pos"],
        rpy=_rpy(_rotation(part["euler"])),
        axis=part["axis"],
        lower=lower,
        upper=upper,
    )


def _rotation(euler: list[float] | None) -> NDArray[np.float64]:
    """Rotation matrix of MJCF's Euler angles, which turn about the moving x, y and z."""
    quaternion, matrix = np.zeros(4), np.zeros(9)
    mujoco.mju_euler2Quat(quaternion, np.array(euler or [0, 0, 0], dtype=float), "xyz")
    mujoco.mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3)


def _rpy(rotation: NDArray[np.float64]) -> list[float]:
    """URDF's angles of a rotation, which turn about the fixed x, y and z."""
    roll = np.arctan2(rotation[2, 1], rotation[2, 2])
    pitch = np.arcsin(np.clip(-rotation[2, 0], -1, 1))
    yaw = np.arctan2(rotation[1, 0], rotation[0, 0])
    return [roll, pitch, yaw]


def _property(name: str, value: float) -> str:
    return f'  <xacro:property name="{name}" value="{_text(value)}"/>'


def _call(macro: str, **values: object) -> str:
    attributes = " ".join(f'{name}="{_text(value)}"' for name, value in values.items())
    return f"  <xacro:{macro} {attributes}/>"


def _text(value: object) -> str:
    """Strings as they are, numbers with nine digits, lists with spaces between."""
    if isinstance(value, str):
        return value
    # Rounding left over from rotations (m, rad, kg m^2) is no information.
    return " ".join("0" if abs(x) < 1e-12 else f"{x:.9g}" for x in np.atleast_1d(value))
