"""One topic of a bag on its way out: its publisher, and what its subscribers can take."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from rclpy.duration import Duration
from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.qos import HistoryPolicy
from rclpy.validate_full_topic_name import validate_full_topic_name

from smm_ros.bag.definitions import type_hash
from smm_ros.bag.mcap_file import BagError, Topic
from smm_ros.bag.recorded_qos import publisher_qos
from smm_ros.bag.topics import installed_topic

_BEAT = 0.1
"""Time between two signs of life while subscribers are waited for, s."""
_POLL = 0.0005
_KEEP_ALL_WINDOW = 100


class NotPlayableError(Exception):
    """A topic whose messages can not be published here; the message says why."""


class Outlet:
    """Publishes the serialised messages of one topic."""

    def __init__(self, node: Node, recorded: Sequence[Topic], name: str) -> None:
        """Make the publisher of a topic, as it was recorded, under a name.

        Raises NotPlayableError where its type is not installed as it was recorded throughout.
        """
        self.count = 0
        """Messages published."""
        kinds = {_message_type(topic) for topic in recorded}
        if len(kinds) > 1:
            types = " and ".join(sorted({topic.type for topic in recorded}))
            raise NotPlayableError(f"it was recorded with the types {types}")
        kind, qos = kinds.pop(), publisher_qos(*recorded)
        self._publisher = node.create_publisher(kind, name, qos)
        # Readers of a topic mostly keep as much as its writers.
        keeps_all = qos.history is HistoryPolicy.KEEP_ALL
        self._window = _KEEP_ALL_WINDOW if keeps_all else qos.depth
        self._unacked = 0

    @property
    def num_subscribers(self) -> int:
        """Subscribers matched so far."""
        return self._publisher.get_subscription_count()

    def publish(self, data: bytes) -> None:
        """Send one message."""
        self.count += 1  # first: Ctrl-C may come as soon as the message is out
        self._publisher.publish(data)

    def publish_in_turn(self, data: bytes, beat: Callable[[], None]) -> None:
        """Send one message once the window before it has arrived at all reliable subscribers.

        `beat` is called several times a second while they are waited for.
        """
        if self._unacked >= self._window:
            self.wait_for_subscribers(beat)
        self._unacked += 1
        self.publish(data)

    def wait_for_subscribers(self, beat: Callable[[], None]) -> None:
        """Wait until all that was sent has arrived."""
        while not self.has_arrived(_BEAT):
            beat()
        self._unacked = 0

    def has_arrived(self, timeout: float) -> bool:
        """Tell whether all that was sent has arrived within a time, s."""
        end = time.monotonic() + timeout
        while not self._publisher.wait_for_all_acked(Duration()):
            if time.monotonic() > end:
                return False
            time.sleep(_POLL)  # with a timeout rclpy would wait without letting others run
        return True


def check_name(name: str) -> None:
    """Raise BagError where no topic can be called that."""
    try:
        validate_full_topic_name(name)
    except InvalidTopicNameException as error:
        raise BagError(f"{name!r} is no name of a topic: {error}") from error


def _message_type(topic: Topic) -> Any:
    package, _, name = topic.type.partition("/msg/")
    try:
        kind = getattr(import_module(f"{package}.msg"), name)
        here = installed_topic(topic.name, topic.type).type_hash
    except (ImportError, AttributeError, ValueError, BagError):
        raise NotPlayableError(f"{topic.type} is not installed") from None
    if (topic.type_hash or _defined_hash(topic) or here) != here:
        raise NotPlayableError(f"{topic.type} has another layout here than in the bag")
    return kind


def _defined_hash(topic: Topic) -> str:
    """Return the hash of the definition in the bag, empty where it can not be told."""
    try:
        return type_hash(topic)
    except BagError:
        return ""
