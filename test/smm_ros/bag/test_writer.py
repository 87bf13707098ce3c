"""A bag folder: what is written is what standard tools read, whatever ended the writer."""

import os
import shutil
from pathlib import Path

import pytest
import yaml
from mcap.reader import make_reader
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.rosbag2 import Reader
from sensor_msgs.msg import JointState

from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.reading import read_messages
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter, read_file_summary

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


def test_a_full_file_is_split_and_both_are_described(tmp_path, numbers_in, metadata):
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


def test_metadata_is_there_from_the_start(tmp_path, metadata):
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


def test_a_closed_bag_is_continued_not_overwritten(tmp_path, numbers_in, metadata):
    write(tmp_path / "run", range(10)).close()
    first = (tmp_path / "run" / "run_0.mcap").read_bytes()
    write(tmp_path / "run", range(10, 20)).close()
    assert (tmp_path / "run" / "run_0.mcap").read_bytes() == first
    assert numbers_in(tmp_path / "run") == list(range(20))
    assert metadata(tmp_path / "run")["message_count"] == 20


def test_a_wrong_bit_at_the_end_of_a_file_is_told_or_does_no_harm(tmp_path):
    writer = write(tmp_path / "run", range(30))
    writer.lose({"dropped": 5})
    writer.close()
    path = tmp_path / "run" / "run_0.mcap"
    whole, expected = path.read_bytes(), read_file_summary(path)
    assert expected.losses == {"dropped": 5}
    told = 0
    for at in range(whole.index(b"smm_ros.losses"), len(whole) - 8, 5):
        data = bytearray(whole)
        data[at] ^= 1 << at % 8
        path.write_bytes(data)
        try:
            assert read_file_summary(path) == expected, at
        except BagError:
            told += 1
    assert told > 500


def test_a_split_begins_the_next_file(tmp_path, numbers_in, metadata):
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


def test_an_ended_bag_is_whole_and_what_follows_begins_the_next_file(tmp_path, numbers_in):
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


def test_a_file_that_is_no_bag_is_left_alone_and_named(tmp_path, metadata):
    folder = tmp_path / "run"
    write(folder, range(10)).close()
    (folder / "run_7.mcap").write_bytes(b"no bag at all")
    writer = write(folder, range(10, 20))
    writer.close()
    assert (folder / "run_7.mcap").read_bytes() == b"no bag at all"
    assert "run_7.mcap is not an MCAP file" in writer.notes[0]
    assert metadata(folder)["relative_file_paths"] == ["run_0.mcap", "run_8.mcap"]


def test_two_writers_do_not_share_a_folder(tmp_path):
    writer = BagWriter(tmp_path / "run", [STATES])
    with pytest.raises(BagError, match="written by another process"):
        BagWriter(tmp_path / "run", [STATES])
    writer.close()
    BagWriter(tmp_path / "run", [STATES]).close()


def test_without_locks_it_is_written_and_an_unended_file_left_alone(
    tmp_path, monkeypatch, numbers_in, metadata, crash
):
    def refuse(*args):
        raise OSError(95, "Operation not supported")

    folder = tmp_path / "run"
    crash(write(folder, range(10)))
    torn = (folder / "run_0.mcap").read_bytes()
    monkeypatch.setattr("fcntl.flock", refuse)
    num_open = len(os.listdir("/proc/self/fd"))
    for number in (1, 2):
        writer = write(folder, range(10 * number, 10 * number + 10))
        writer.close()
        no_locks, left_alone = writer.notes
        assert "no locks" in no_locks
        assert "run_0.mcap was not ended" in left_alone
    assert len(os.listdir("/proc/self/fd")) == num_open
    assert (folder / "run_0.mcap").read_bytes() == torn
    assert metadata(folder)["relative_file_paths"] == ["run_1.mcap", "run_2.mcap"]
    assert numbers_in(folder) == [*range(10, 30), *range(10)]


def test_a_bag_in_sqlite_is_not_mixed_with(tmp_path):
    (tmp_path / "run_0.db3").touch()
    with pytest.raises(BagError, match="sqlite3"):
        BagWriter(tmp_path, [STATES])


def test_an_unknown_message_type_is_named():
    with pytest.raises(BagError, match="no_such_msgs/msg/Thing"):
        installed_topic("/x", "no_such_msgs/msg/Thing")


def test_a_deleted_folder_is_noticed_and_made_anew(tmp_path, numbers_in, metadata):
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


def test_a_bag_is_read_while_it_is_written(tmp_path, numbers_in):
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
