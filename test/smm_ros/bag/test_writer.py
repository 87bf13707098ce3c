"""A bag folder: what is written is what standard tools read, whatever ended the writer."""

import os
import shutil
from pathlib import Path

import pytest
import yaml
from mcap.reader import make_reader
from mcap.writer import Writer
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.rosbag2 import Reader
from sensor_msgs.msg import JointState

from smm_ros.bag.mcap_appender import FileAppender
from smm_ros.bag.mcap_file import BagError, FileScan
from smm_ros.bag.reading import read_messages
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter

STATES = installed_topic("/dclaw/joint_states", "sensor_msgs/msg/JointState", depth=10)
POLICY = installed_topic("/policy", "smm_ros/msg/PolicySnapshot", 1, durability="transient_local")


def joint_state(number):
    position = [0.1 * number]
    message = JointState(
        name=[f"joint_{number}"], position=position, velocity=position, effort=position
    )
    return serialize_message(message)


def write(folder, numbers, **sizes):
    writer = BagWriter(folder, [STATES, POLICY], **sizes)
    for number in numbers:
        writer.write(STATES.name, 1000 * number, joint_state(number), 1000 * number + 1)
        if number % 10 == 9:
            writer.flush()
    return writer


def crash(writer):
    """Leave the bag as a killed process does."""
    os.close(writer._file._file)
    writer._folder.release()


def numbers_in(folder):
    return [message.log_time_ns // 1000 for message in read_messages(folder)]


def metadata(folder):
    return yaml.safe_load((folder / "metadata.yaml").read_text())["rosbag2_bagfile_information"]


def test_values_and_stamps_come_back(tmp_path):
    write(tmp_path / "run", range(25)).close()
    messages = list(read_messages(tmp_path / "run"))
    assert [m.log_time_ns for m in messages] == [1000 * n for n in range(25)]
    assert [m.publish_time_ns for m in messages] == [1000 * n + 1 for n in range(25)]
    for number, message in enumerate(messages):
        assert message.topic == STATES
        assert deserialize_message(message.data, JointState).name == [f"joint_{number}"]
        assert message.decode().position == pytest.approx([0.1 * number])


def test_rosbags_reads_the_folder(tmp_path):
    write(tmp_path / "run", range(1, 400), max_file_bytes=2**13).close()
    with Reader(tmp_path / "run") as reader:
        assert [time for _, time, _ in reader.messages()] == [1000 * n for n in range(1, 400)]
        assert reader.message_count == 399
        assert (reader.start_time, reader.duration) == (1000, 398_001)
        by_topic = {c.topic: c for c in reader.connections}
    assert by_topic[POLICY.name].digest == POLICY.type_hash
    qos = by_topic[POLICY.name].ext.offered_qos_profiles[0]
    assert (qos.depth, qos.durability.name, qos.reliability.name) == (
        1, "TRANSIENT_LOCAL", "RELIABLE"
    )  # fmt: skip


def test_mcap_reads_each_file(tmp_path):
    decoding = pytest.importorskip("mcap_ros2.decoder")
    write(tmp_path / "run", range(40)).close()
    with (tmp_path / "run" / "run_0.mcap").open("rb") as file:
        reader = make_reader(
            file, validate_crcs=True, decoder_factories=[decoding.DecoderFactory()]
        )
        statistics = reader.get_summary().statistics
        decoded = [ros for _, _, _, ros in reader.iter_decoded_messages()]
        (record,) = reader.iter_metadata()
    assert [ros.position for ros in decoded] == [pytest.approx([0.1 * n]) for n in range(40)]
    assert statistics.message_count == 40
    assert statistics.channel_message_counts == {1: 40, 2: 0}
    assert yaml.safe_load(record.metadata["serialized_metadata"])["message_count"] == 40


def test_a_full_file_is_split_and_both_are_described(tmp_path):
    write(tmp_path / "run", range(300), max_file_bytes=2**13).close()
    described = metadata(tmp_path / "run")
    files = described["files"]
    names = [f"run_{i}.mcap" for i in range(len(files))]
    assert len(files) > 2
    assert described["relative_file_paths"] == names == [file["path"] for file in files]
    assert sum(file["message_count"] for file in files) == described["message_count"] == 300
    ends = [
        f["starting_time"]["nanoseconds_since_epoch"] + f["duration"]["nanoseconds"] for f in files
    ]
    starts = [f["starting_time"]["nanoseconds_since_epoch"] for f in files if f["message_count"]]
    assert all(end < start for end, start in zip(ends, starts[1:], strict=False))
    assert numbers_in(tmp_path / "run") == list(range(300))


def test_metadata_is_there_from_the_start(tmp_path):
    writer = BagWriter(tmp_path / "run", [STATES])
    described = metadata(tmp_path / "run")
    assert described["version"] == 9
    assert described["relative_file_paths"] == ["run_0.mcap"]
    assert described["topics_with_message_count"][0]["topic_metadata"]["name"] == STATES.name
    writer.close()


def test_an_empty_bag_opens_in_standard_tools(tmp_path):
    BagWriter(tmp_path / "run", [STATES]).close()
    with Reader(tmp_path / "run") as reader:
        assert list(reader.messages()) == []
    with (tmp_path / "run" / "run_0.mcap").open("rb") as file:
        assert list(make_reader(file).iter_messages()) == []


def test_a_closed_bag_is_continued_not_overwritten(tmp_path):
    write(tmp_path / "run", range(10)).close()
    first = (tmp_path / "run" / "run_0.mcap").read_bytes()
    write(tmp_path / "run", range(10, 20)).close()
    assert (tmp_path / "run" / "run_0.mcap").read_bytes() == first
    assert numbers_in(tmp_path / "run") == list(range(20))
    assert metadata(tmp_path / "run")["message_count"] == 20


@pytest.mark.parametrize("cut", [0, 1, 5, 40, 300, 1100])
def test_after_a_crash_the_file_is_ended_and_the_next_begun(tmp_path, cut):
    """The crash comes within a chunk, within its index, or between the two."""
    folder = tmp_path / "run"
    crash(write(folder, range(30)))
    torn = folder / "run_0.mcap"
    os.truncate(torn, torn.stat().st_size - cut)
    kept = numbers_in(folder)
    write(folder, range(30, 40)).close()
    assert numbers_in(folder) == kept + list(range(30, 40))
    assert kept == list(range(len(kept)))
    assert len(kept) >= 20 if cut < 1000 else 10
    with Reader(folder) as reader:
        assert [time // 1000 for _, time, _ in reader.messages()] == numbers_in(folder)
        assert reader.message_count == len(kept) + 10
    with torn.open("rb") as file:
        assert len(list(make_reader(file, validate_crcs=True).iter_messages())) == len(kept)


def test_ending_a_torn_file_can_itself_be_cut_short(tmp_path):
    folder = tmp_path / "run"
    crash(write(folder, range(30)))
    path = folder / "run_0.mcap"
    torn = path.read_bytes()
    FileAppender.reopen(path).finish("x: 1")
    ended = path.read_bytes()
    for size in range(len(torn), len(ended), 97):
        path.write_bytes(ended[:size])
        FileAppender.reopen(path).finish("x: 1")
        assert path.read_bytes() == ended


def test_a_torn_file_is_ended_before_a_chunk_that_the_disk_did_not_fill(tmp_path):
    folder = tmp_path / "run"
    crash(write(folder, range(30)))
    path = folder / "run_0.mcap"
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size - 1000)
        file.write(bytes(1000 + 4096))
    writer = write(folder, range(30, 40))
    writer.close()
    assert writer.left_out == []
    with Reader(folder) as reader:
        assert [time // 1000 for _, time, _ in reader.messages()] == [*range(20), *range(30, 40)]


def test_a_torn_file_with_whole_messages_behind_the_damage_is_left_alone_and_named(tmp_path):
    folder = tmp_path / "run"
    crash(write(folder, range(50)))
    path = folder / "run_0.mcap"
    places = [place.chunk_start_offset for place, _ in FileScan(path).chunks()]
    whole = path.read_bytes()
    for number, at in enumerate((places[2] + 4, places[2] + 200, places[3] - 174)):
        data = bytearray(whole)
        data[at] ^= 1  # in a chunk's length, in its content, in its index
        path.write_bytes(data)
        writer = BagWriter(folder, [STATES, POLICY])
        writer.close()
        assert "run_0.mcap is damaged" in writer.left_out[0]
        assert path.read_bytes() == data
        assert metadata(folder)["relative_file_paths"] == [
            f"run_{n}.mcap" for n in range(1, number + 2)
        ]


def test_another_tool_s_torn_file_without_a_whole_message_is_left_alone(tmp_path):
    path = tmp_path / "run_0.mcap"
    with path.open("wb") as file:
        foreign = Writer(file, use_chunking=False)
        foreign.start("ros2", "foreign")
        schema = foreign.register_schema("std_msgs/msg/Empty", "ros2msg", b"")
        channel = foreign.register_channel("/x", "cdr", schema)
        foreign.add_message(channel, 0, bytes((0, 1, 0, 0, 0)), 0)
    data = bytearray(path.read_bytes())
    data[12] ^= 1  # in the first record's length
    path.write_bytes(data)
    writer = BagWriter(tmp_path, [STATES])
    writer.close()
    assert "run_0.mcap is another tool's" in writer.left_out[0]
    assert path.read_bytes() == data


@pytest.mark.parametrize("size", [0, 5, 8, 20])
def test_a_file_that_was_killed_before_its_first_record_becomes_an_empty_one(tmp_path, size):
    folder = tmp_path / "run"
    write(folder, range(10)).close()
    whole = (folder / "run_0.mcap").read_bytes()
    (folder / "run_1.mcap").write_bytes(whole[:size])
    write(folder, range(10, 20)).close()
    assert metadata(folder)["relative_file_paths"] == [f"run_{n}.mcap" for n in range(3)]
    with Reader(folder) as reader:
        assert [time // 1000 for _, time, _ in reader.messages()] == list(range(20))


def test_a_split_begins_the_next_file(tmp_path):
    folder = tmp_path / "run"
    writer = write(folder, range(5))
    assert writer.file_name == "run_0.mcap"
    writer.split()
    assert writer.file_name == "run_1.mcap"
    assert numbers_in(folder / "run_0.mcap") == list(range(5))
    writer.write(STATES.name, 5000, joint_state(5))
    writer.close()
    assert numbers_in(folder / "run_1.mcap") == [5]
    assert [file["message_count"] for file in metadata(folder)["files"]] == [5, 1]


def test_an_ended_bag_is_whole_and_what_follows_begins_the_next_file(tmp_path):
    folder = tmp_path / "run"
    writer = write(folder, range(5))
    writer.end()
    assert (writer.file_name, writer.num_messages) == ("", 5)
    with Reader(folder) as reader:
        assert reader.message_count == 5
    writer.flush()
    assert len(list(folder.glob("*.mcap"))) == 1
    writer.write(STATES.name, 5000, joint_state(5))
    writer.close()
    assert numbers_in(folder / "run_1.mcap") == [5]


def test_a_file_that_is_no_bag_is_left_alone_and_named(tmp_path):
    folder = tmp_path / "run"
    write(folder, range(10)).close()
    (folder / "run_7.mcap").write_bytes(b"no bag at all")
    writer = write(folder, range(10, 20))
    writer.close()
    assert (folder / "run_7.mcap").read_bytes() == b"no bag at all"
    assert "run_7.mcap is not an MCAP file" in writer.left_out[0]
    assert metadata(folder)["relative_file_paths"] == ["run_0.mcap", "run_8.mcap"]


def test_two_writers_do_not_share_a_folder(tmp_path):
    writer = BagWriter(tmp_path / "run", [STATES])
    with pytest.raises(BagError, match="written by another process"):
        BagWriter(tmp_path / "run", [STATES])
    writer.close()
    BagWriter(tmp_path / "run", [STATES]).close()


def test_a_bag_in_sqlite_is_not_mixed_with(tmp_path):
    (tmp_path / "run_0.db3").touch()
    with pytest.raises(BagError, match="sqlite3"):
        BagWriter(tmp_path, [STATES])


def test_an_unknown_message_type_is_named():
    with pytest.raises(BagError, match="no_such_msgs/msg/Thing"):
        installed_topic("/x", "no_such_msgs/msg/Thing")


def test_a_deleted_folder_is_noticed_and_made_anew(tmp_path):
    writer = write(tmp_path / "run", range(10))
    shutil.rmtree(tmp_path / "run")
    writer.write(STATES.name, 10_000, joint_state(10))
    with pytest.raises(BagError, match="deleted"):
        writer.flush()
    writer.flush()
    with pytest.raises(BagError, match="written by another process"):
        BagWriter(tmp_path / "run", [STATES])
    writer.close()
    assert numbers_in(tmp_path / "run") == [10]
    assert metadata(tmp_path / "run")["relative_file_paths"] == ["run_0.mcap"]


def test_a_bag_is_read_while_it_is_written(tmp_path):
    folder = tmp_path / "run"
    writer = write(folder, range(10))
    reading = read_messages(Path(folder))
    for last in range(20, 60, 10):
        for number in range(last - 10, last):
            writer.write(STATES.name, 1000 * number, joint_state(number))
        assert numbers_in(folder) == list(range(last - 10)), "not flushed yet"
        writer.flush()
        assert [m.log_time_ns // 1000 for m in reading] == list(range(last))
        assert reading.report.tails == []
    writer.close()
