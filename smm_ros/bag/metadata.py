"""rosbag2's metadata.yaml: what a bag says about its files and topics."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from smm_ros.bag.mcap_appender import FileSummary
from smm_ros.bag.mcap_file import Topic

METADATA = "metadata.yaml"
_VERSION = 9


def describe(
    files: Sequence[FileSummary], custom_data: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return rosbag2's description (version 9) of a bag made of these files."""
    counts = sum((file.counts for file in files), Counter[Topic]())
    topics = dict.fromkeys(topic for file in files for topic in file.counts)
    filled = [file for file in files if file.num_messages]
    start = min((file.start_ns for file in filled), default=0)
    end = max((file.end_ns for file in filled), default=0)
    return {
        "version": _VERSION,
        "storage_identifier": "mcap",
        "duration": {"nanoseconds": end - start},
        "starting_time": {"nanoseconds_since_epoch": start},
        "message_count": counts.total(),
        "topics_with_message_count": [_describe_topic(t, counts[t]) for t in topics],
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": [file.path.name for file in files],
        "files": [_describe_file(file) for file in files],
        "custom_data": dict(custom_data) if custom_data else None,
        "ros_distro": os.environ.get("ROS_DISTRO", "kilted"),
    }


def _describe_topic(topic: Topic, count: int) -> dict[str, Any]:
    return {
        "topic_metadata": {
            "name": topic.name,
            "type": topic.type,
            "serialization_format": "cdr",
            "offered_qos_profiles": yaml.safe_load(topic.offered_qos) or [],
            "type_description_hash": topic.type_hash,
        },
        "message_count": count,
    }


def _describe_file(file: FileSummary) -> dict[str, Any]:
    return {
        "path": file.path.name,
        "starting_time": {"nanoseconds_since_epoch": file.start_ns},
        "duration": {"nanoseconds": file.end_ns - file.start_ns},
        "message_count": file.num_messages,
    }
