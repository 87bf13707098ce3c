"""rosbag2's metadata.yaml: what a bag says about its files and topics."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import yaml

from smm_ros.bag.mcap_appender import FileSummary
from smm_ros.bag.mcap_file import BagError, Topic
from smm_ros.bag.topics import offered_profiles

METADATA = "metadata.yaml"
_VERSION = 9
_ROOT = "rosbag2_bagfile_information"
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class MetadataError(BagError):
    """A metadata.yaml that can not be read."""


@dataclass(frozen=True)
class BagMetadata:
    """What metadata.yaml says; versions 1 to 9, with defaults for what older ones lack."""

    storage: str
    files: list[str]
    """Names without folders, in the order recorded."""
    num_messages: int
    start_ns: int
    duration_ns: int
    counts: Counter[tuple[str, str]]
    """Messages by topic's name and type."""
    type_hashes: dict[tuple[str, str], str]
    """By topic's name and type; empty before version 7."""
    file_counts: dict[str, int]
    """Messages by file's name; empty before version 5."""
    custom_data: dict[str, str]


def read_metadata(folder: Path) -> BagMetadata | None:
    """Return what the folder's metadata.yaml says, None where there is none.

    Raises MetadataError where it is no such file.
    """
    path = folder / METADATA
    try:
        content = yaml.load(path.read_text(), _Loader)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise MetadataError(f"{path} can not be read: {_on_one_line(error)}") from error
    try:
        return _parsed(content[_ROOT])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MetadataError(f"{path} is not what rosbag2 writes ({error!r})") from error


def _parsed(info: dict[str, Any]) -> BagMetadata:
    counts, hashes = Counter[tuple[str, str]](), {}
    for entry in info["topics_with_message_count"]:
        topic = entry["topic_metadata"]
        key = (str(topic["name"]), str(topic["type"]))
        counts[key] += int(entry["message_count"])
        hashes[key] = str(topic.get("type_description_hash") or "")
    return BagMetadata(
        storage=str(info["storage_identifier"]),
        files=[PurePath(name).name for name in info["relative_file_paths"]],
        num_messages=int(info["message_count"]),
        start_ns=int(info["starting_time"]["nanoseconds_since_epoch"]),
        duration_ns=int(info["duration"]["nanoseconds"]),
        counts=counts,
        type_hashes=hashes,
        file_counts={
            PurePath(file["path"]).name: int(file["message_count"])
            for file in info.get("files") or []
        },
        custom_data={str(k): str(v) for k, v in (info.get("custom_data") or {}).items()},
    )


def _on_one_line(error: Exception) -> str:
    return " ".join(str(error).split())


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
            "offered_qos_profiles": offered_profiles(topic.offered_qos),
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
