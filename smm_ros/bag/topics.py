"""What a bag must say about a topic: message definition, type hash, quality of service."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from smm_ros.bag.mcap_file import BagError, Topic

# rmw's "no limit" for deadline, lifespan and lease, as rosbag2 writes it.
_FOREVER = {"sec": 9223372036, "nsec": 854775807}


def installed_topic(
    name: str,
    message_type: str,
    depth: int = 10,
    reliability: str = "reliable",
    durability: str = "volatile",
) -> Topic:
    """Describe a topic whose message type, e.g. "sensor_msgs/msg/JointState", is installed.

    Reliability and durability are rosbag2's words. Raises BagError when the type is not found.
    """
    definition, type_hash = _definition(message_type)
    qos = {
        "history": "keep_last",
        "depth": depth,
        "reliability": reliability,
        "durability": durability,
        "deadline": _FOREVER,
        "lifespan": _FOREVER,
        "liveliness": "automatic",
        "liveliness_lease_duration": _FOREVER,
        "avoid_ros_namespace_conventions": False,
    }
    return Topic(name, message_type, definition, type_hash, dump_yaml([qos]))


def offered_profiles(text: str) -> list[dict[str, Any]]:
    """Return the quality of service that a bag says a topic was offered with; none in damage."""
    try:
        profiles = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return []
    is_list = isinstance(profiles, list) and all(isinstance(each, dict) for each in profiles)
    return profiles if is_list else []


def dump_yaml(value: object) -> str:
    """Return block-style YAML without anchors, keys in the order given."""
    return yaml.dump(value, Dumper=_PlainDumper, sort_keys=False, default_flow_style=False)


class _PlainDumper(yaml.SafeDumper):
    """Writes a repeated value out each time: rosbag2's reader expects no aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True


@lru_cache
def _definition(message_type: str) -> tuple[str, str]:
    """Return the definition with all the types it is made of, and the RIHS01 hash."""
    description = json.loads(_share_file(message_type, ".json").read_text())
    message = description["type_description_msg"]
    parts = [_share_file(message_type, ".msg").read_text()]
    for part in message["referenced_type_descriptions"]:
        package, _, name = part["type_name"].split("/")
        text = _share_file(part["type_name"], ".msg").read_text()
        parts.append(f"{'=' * 80}\nMSG: {package}/{name}\n{text}")
    hashes = {entry["type_name"]: entry["hash_string"] for entry in description["type_hashes"]}
    return "\n".join(parts), hashes[message_type]


def _share_file(message_type: str, suffix: str) -> Path:
    package, _, name = message_type.partition("/msg/")
    try:
        path = Path(get_package_share_directory(package), "msg", name + suffix)
    except (PackageNotFoundError, ValueError):
        path = Path(package)
    if not path.is_file():
        raise BagError(f"message type {message_type!r} is not installed; build its package first")
    return path
