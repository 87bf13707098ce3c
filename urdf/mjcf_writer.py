"""The MuJoCo model (MJCF) of the table dclaw.yaml."""

from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

Table = dict[str, Any]

HEADER = "<!-- Written by generate.py from dclaw.yaml, which names the sources: edit that. -->"


def write(table: Table) -> str:
    """Return the MJCF text of the table."""
    root = Element("mujoco", model="dclaw")
    _settings(root, table)
    _defaults(root, table)
    _looks(root, table)
    world = SubElement(root, "worldbody")
    _surroundings(world)
    mount = SubElement(world, "body", name="mount", pos=_text(table["mount"]["pos"]))
    _geom(mount, {**table["mount"], "pos": [0, 0, 0], "mass": 0}, "static")
    palm = SubElement(mount, "body", name="palm", euler=_text(table["palm"]["euler"]))
    _geoms(palm, table["palm"]["geoms"])
    for finger in table["fingers"]:
        _finger(palm, finger, table["links"])
    _valve(world, table)
    _actuators(root, table)
    ElementTree.indent(root)
    return f"{HEADER}\n{ElementTree.tostring(root, encoding='unicode')}\n"


def _settings(root: Element, table: Table) -> None:
    physics = {name: str(value) for name, value in table["physics"].items()}
    # Explicit masses and densities decide every inertia; the dense Jacobian is ROBEL's choice.
    SubElement(root, "compiler", angle="radian", autolimits="true")
    SubElement(root, "option", **physics, jacobian="dense")
    visual = SubElement(root, "visual")
    SubElement(visual, "global", offwidth="1920", offheight="1080")
    SubElement(visual, "headlight", ambient="0.35 0.35 0.35", diffuse="0.35 0.35 0.35")


def _defaults(root: Element, table: Table) -> None:
    default = SubElement(root, "default")
    SubElement(default, "joint", **{k: str(v) for k, v in table["joint"].items()})
    contact = {name: str(value) for name, value in table["contact"].items()}
    for surface, friction in table["friction"].items():
        kind = SubElement(default, "default", **{"class": surface})
        SubElement(kind, "geom", **contact, friction=_text(friction))
    # ROBEL leaves the floor and the mount at MuJoCo's own contact settings.
    SubElement(SubElement(default, "default", **{"class": "static"}), "geom", condim="3")
    paint = SubElement(default, "default", **{"class": "paint"})
    SubElement(paint, "geom", contype="0", conaffinity="0", group="1")


def _looks(root: Element, table: Table) -> None:
    asset = SubElement(root, "asset")
    SubElement(
        asset,
        "texture",
        type="skybox",
        builtin="gradient",
        width="256",
        height="256",
        rgb1="0.86 0.90 0.94",
        rgb2="0.60 0.66 0.72",
    )
    SubElement(
        asset,
        "texture",
        name="tiles",
        type="2d",
        builtin="checker",
        width="256",
        height="256",
        rgb1="0.80 0.81 0.82",
        rgb2="0.74 0.75 0.77",
    )
    SubElement(
        asset,
        "material",
        name="floor",
        texture="tiles",
        texrepeat="10 10",
        texuniform="true",
        rgba="0.85 0.86 0.87 1",
    )
    for name, rgba in table["colors"].items():
        SubElement(asset, "material", name=name, rgba=_text(rgba))


def _surroundings(world: Element) -> None:
    SubElement(world, "light", pos="0.75 -0.1 1.1", dir="-0.75 0.1 -0.9", diffuse="0.7 0.7 0.7")
    # Looks from the front right at the middle between palm and floor.
    SubElement(
        world,
        "camera",
        name="front",
        pos="0.52 -0.44 0.34",
        xyaxes="0.44 0.52 0 -0.081 0.068 0.464",
        fovy="34",
    )
    floor = {"type": "plane", "size": "5 5 0.1", "material": "floor"}
    SubElement(world, "geom", {"class": "static"}, name="floor", **floor)


def _finger(palm: Element, finger: Table, links: list[Table]) -> None:
    base, *moving = links
    body = SubElement(
        palm,
        "body",
        name=f"{finger['name']}_{base['name']}",
        pos=_text(finger["pos"]),
        euler=_text([0, 0, finger["yaw"]]),
    )
    _geoms(body, base["geoms"])
    for link in moving:
        body = SubElement(
            body,
            "body",
            name=f"{finger['name']}_{link['name']}",
            pos=_text(link["pos"]),
            euler=_text(link["euler"]),
        )
        SubElement(
            body,
            "joint",
            name=joint_name(finger["number"], link),
            axis=_text(link["axis"]),
            range=_text(link["range"]),
        )
        _geoms(body, link["geoms"])


def _valve(world: Element, table: Table) -> None:
    base, valve = table["valve_base"], table["valve"]
    body = SubElement(world, "body", name="valve_base", pos=_text(base["pos"]))
    _geoms(body, base["geoms"])
    body = SubElement(
        body, "body", name="valve", pos=_text(valve["pos"]), euler=_text(valve["euler"])
    )
    SubElement(
        body, "joint", name=valve["name"], axis=_text(valve["axis"]), range=_text(valve["range"])
    )
    _geoms(body, valve["geoms"])
    _geom(body, {**valve["mark"], "mass": 0}, "paint")


def _actuators(root: Element, table: Table) -> None:
    actuator = SubElement(root, "actuator")
    for finger in table["fingers"]:
        for link in table["links"][1:]:
            name = joint_name(finger["number"], link)
            SubElement(
                actuator,
                "position",
                name=name,
                joint=name,
                kp=str(table["actuator"]["gain"]),
                ctrlrange=_text(link["command"]),
            )


def _geoms(body: Element, geoms: list[Table]) -> None:
    for geom in geoms:
        _geom(body, geom, geom.get("surface", "metal"))


def _geom(body: Element, geom: Table, kind: str) -> None:
    attributes = {
        "class": kind,
        "type": geom["shape"],
        "size": _text(geom["size"]),
        "pos": _text(geom["pos"]),
        "material": geom["color"],
    }
    if "euler" in geom:
        attributes["euler"] = _text(geom["euler"])
    weight = "mass" if "mass" in geom else "density"
    SubElement(body, "geom", **attributes, **{weight: str(geom[weight])})


def joint_name(finger_number: int | str, link: Table) -> str:
    """Return the joint's name: the finger's number, then the joint's place in the finger."""
    return f"joint_{finger_number}{link['index']}"


def _text(numbers: list[float]) -> str:
    return " ".join(str(number) for number in numbers)
