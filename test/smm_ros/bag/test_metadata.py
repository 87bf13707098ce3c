"""metadata.yaml: what we write is what rosbag2 writes, and every version of it is read."""

from collections import Counter

import pytest
import yaml

from smm_ros.bag.mcap_appender import FileSummary
from smm_ros.bag.mcap_file import Topic
from smm_ros.bag.metadata import METADATA, MetadataError, describe, read_metadata

OLDEST = """
rosbag2_bagfile_information:
  version: 1
  storage_identifier: sqlite3
  relative_file_paths: [talker/talker_0.db3, talker/talker_1.db3]
  duration: {nanoseconds: 5}
  starting_time: {nanoseconds_since_epoch: 7}
  message_count: 3
  topics_with_message_count:
    - topic_metadata: {name: /topic, type: std_msgs/msg/String, serialization_format: cdr}
      message_count: 3
"""


def write(folder, text):
    (folder / METADATA).write_text(text)
    return read_metadata(folder)


def test_there_may_be_none(tmp_path):
    assert read_metadata(tmp_path) is None


def test_the_oldest_version_is_read(tmp_path):
    metadata = write(tmp_path, OLDEST)
    assert metadata.files == ["talker_0.db3", "talker_1.db3"]
    assert metadata.counts == {("/topic", "std_msgs/msg/String"): 3}
    assert (metadata.start_ns, metadata.duration_ns, metadata.num_messages) == (7, 5, 3)
    assert (metadata.custom_data, metadata.file_counts) == ({}, {})


def test_what_we_write_is_read_back(tmp_path, recorded_run):
    metadata = read_metadata(recorded_run.path)
    assert metadata.file_counts == {"run_0.mcap": metadata.num_messages}
    assert metadata.counts["/dclaw/transitions", "smm_ros/msg/Transition"] == len(
        recorded_run.transitions
    )
    assert all(text.startswith("RIHS01_") for text in metadata.type_hashes.values())


def test_custom_data_is_text_by_name(tmp_path):
    content = {"rosbag2_bagfile_information": describe([], {"dropped": "3"})}
    assert write(tmp_path, yaml.safe_dump(content)).custom_data == {"dropped": "3"}


@pytest.mark.parametrize("text", ["{", "\0", "3", "[3]", "2001-99-99", "[" * 5000])
def test_a_quality_of_service_that_is_damaged_is_none(tmp_path, text):
    topic = Topic("/x", "std_msgs/msg/Empty", "", "", text)
    info = describe([FileSummary(tmp_path / "run_0.mcap", Counter({topic: 3}), 1, 2)])
    (described,) = info["topics_with_message_count"]
    assert described["topic_metadata"]["offered_qos_profiles"] == []
    assert described["message_count"] == 3


@pytest.mark.parametrize("text", ["", "[1, 2]", "x: 1", "rosbag2_bagfile_information: []", "{"])
def test_another_file_of_that_name_is_told(tmp_path, text):
    with pytest.raises(MetadataError, match=r"metadata\.yaml"):
        write(tmp_path, text)
