"""What the message types in a bag are made of: read from their definitions."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

from smm_ros.bag.mcap_file import IDL_HEAD, BagError, Topic
from smm_ros.bag.topics import installed_topic

_HEAD = 4  # names the encoding
_READERS = {b"\x00\x00": "deserialize_cdr_be", b"\x00\x01": "deserialize_cdr_le"}

# rclpy's serialize_message, with which Python programs write bags, returns a buffer whose size
# was estimated: for a trajectory of five short points 76 bytes more than its 252. What leaves far
# more is a message of another type.
_LOOSE_BYTES = 64


@lru_cache
def decoder(topic: Topic) -> Callable[[bytes], Any]:
    """Return what turns a topic's messages into dataclasses.

    Raises BagError where the bag has no definition that can be understood.
    """
    store = get_typestore(Stores.EMPTY)
    try:
        store.register(_types(topic))
        store.get_msgdef(topic.type)
    except Exception as error:  # rosbags' parser raises what it comes to
        raise BagError(
            f"{topic.name}: the bag does not define {topic.type} so that it can be read ({error})"
        ) from error
    definition = store.get_msgdef(topic.type)

    def decode(data: bytes) -> Any:
        if data[:2] not in _READERS:
            raise BagError(f"encoding {data[:2].hex()}, expected plain CDR")
        read = getattr(definition, _READERS[data[:2]])
        message, size = read(data[_HEAD:], 0, definition.cls, store)
        rest = len(data) - _HEAD - size
        if rest > size + _LOOSE_BYTES:
            raise BagError(f"{rest} bytes are left behind {size} that were read")
        return message

    return decode


@lru_cache
def type_hash(topic: Topic) -> str:
    """Return the RIHS01 hash of a topic's definition; raises BagError where it has none."""
    store = get_typestore(Stores.EMPTY)
    try:
        store.register(_types(topic))
        return store.hash_rihs01(topic.type)
    except Exception as error:
        raise BagError(f"{topic.name}: no definition of {topic.type} ({error})") from error


def _types(topic: Topic) -> dict[str, Any]:
    if not topic.is_idl:
        return get_types_from_msg(topic.definition, topic.type)
    types: dict[str, Any] = {}
    for part in topic.definition.split(IDL_HEAD)[1:]:
        types |= get_types_from_idl(part.partition("\n")[2])  # behind the line with its name
    return types


@lru_cache
def standard_definition(message_type: str, type_hash: str = "") -> str:
    """Return the definition of a type that a bag only names; empty where none is known.

    An installed package goes before the types of ROS 2 that rosbags knows; what has another
    hash than the one recorded is another type of that name.
    """
    try:
        found = installed_topic("", message_type)
        definition, known_hash = found.definition, found.type_hash
    except BagError:
        store = get_typestore(Stores.ROS2_KILTED)
        if message_type not in store.fielddefs:
            return ""
        definition, _ = store.generate_msgdef(message_type, ros_version=2)
        known_hash = store.hash_rihs01(message_type)
    return definition if type_hash in ("", known_hash) else ""
