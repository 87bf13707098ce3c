"""Quality of service as bags tell it, and what a publisher has to offer to be as good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, TypeVar

import yaml
from rclpy.duration import Duration
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    QoSProfile,
    ReliabilityPolicy,
)

from smm_ros.bag.mcap_file import BagError, Topic

P = TypeVar("P", bound=IntEnum)

DEPTH = 10
"""Messages that are kept where the bag does not say: ROS's usual depth."""

# Seconds from which on a time means "no limit"; rosbag2 has written it in more than one way.
_FOREVER = 2**31 - 1


def publisher_qos(*topics: Topic) -> QoSProfile:
    """Return a quality that suits every subscriber that any publisher of the topics suited.

    One profile is kept as it is. Of several the strongest promise is taken in each respect: a
    publisher may offer more than is asked for, never less. Raises BagError where the bag's text
    is none.
    """
    profiles = [profile for topic in topics for profile in _profiles(topic)]
    histories = [_policy(HistoryPolicy, profile, "history") for profile in profiles]
    reliabilities = [_policy(ReliabilityPolicy, profile, "reliability") for profile in profiles]
    durabilities = [_policy(DurabilityPolicy, profile, "durability") for profile in profiles]
    livelinesses = [_policy(LivelinessPolicy, profile, "liveliness") for profile in profiles]
    is_weak = bool(profiles) and set(reliabilities) == {ReliabilityPolicy.BEST_EFFORT}
    is_late = DurabilityPolicy.TRANSIENT_LOCAL in durabilities
    is_manual = LivelinessPolicy.MANUAL_BY_TOPIC in livelinesses
    keeps_all = HistoryPolicy.KEEP_ALL in histories
    depths = [int(profile.get("depth", 0)) for profile in profiles]
    return QoSProfile(
        history=HistoryPolicy.KEEP_ALL if keeps_all else HistoryPolicy.KEEP_LAST,
        depth=max(depths, default=0) or DEPTH,
        reliability=ReliabilityPolicy.BEST_EFFORT if is_weak else ReliabilityPolicy.RELIABLE,
        durability=(DurabilityPolicy.TRANSIENT_LOCAL if is_late else DurabilityPolicy.VOLATILE),
        liveliness=(LivelinessPolicy.MANUAL_BY_TOPIC if is_manual else LivelinessPolicy.AUTOMATIC),
        deadline=_shortest(profiles, "deadline"),
        lifespan=_longest(profiles, "lifespan"),
        liveliness_lease_duration=_shortest(profiles, "liveliness_lease_duration"),
    )


def _profiles(topic: Topic) -> list[Mapping[str, Any]]:
    try:
        profiles = yaml.safe_load(topic.offered_qos) or []
    except yaml.YAMLError as error:
        raise _bad(topic, str(error)) from error
    if not isinstance(profiles, list) or not all(isinstance(each, dict) for each in profiles):
        raise _bad(topic, f"{topic.offered_qos!r} is no list of profiles")
    return profiles


def _bad(topic: Topic, reason: str) -> BagError:
    return BagError(f"the quality of service of {topic.name} in the bag can not be read: {reason}")


def _policy(kind: type[P], profile: Mapping[str, Any], name: str) -> P | None:
    """Return a policy given by its word (rosbag2 version 9) or by its number (before)."""
    value = profile.get(name)
    try:
        return kind(value) if isinstance(value, int) else kind[str(value).upper()]
    except (KeyError, ValueError):
        return None  # a policy of a later ROS: left to the default


def _shortest(profiles: Sequence[Mapping[str, Any]], name: str) -> Duration:
    return min((_duration(each, name) for each in profiles), default=_NO_LIMIT)


def _longest(profiles: Sequence[Mapping[str, Any]], name: str) -> Duration:
    return max((_duration(each, name) for each in profiles), default=_NO_LIMIT)


def _duration(profile: Mapping[str, Any], name: str) -> Duration:
    value = profile.get(name) or {}
    seconds, nanoseconds = int(value.get("sec", 0)), int(value.get("nsec", 0))
    if seconds >= _FOREVER or not (seconds or nanoseconds):
        return _NO_LIMIT
    return Duration(seconds=seconds, nanoseconds=nanoseconds)


_NO_LIMIT = Duration(seconds=9223372036, nanoseconds=854775807)
