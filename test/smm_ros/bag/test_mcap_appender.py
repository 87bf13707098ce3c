"""A file that a crash left unended: ended behind what is whole, or left alone."""

import os

import pytest
from mcap.opcode import Opcode
from mcap.reader import make_reader
from mcap.records import Message
from mcap.stream_reader import StreamReader
from mcap.writer import Writer
from rosbags.rosbag2 import Reader

from smm_ros.bag.mcap_appender import FileAppender
from smm_ros.bag.mcap_file import FileScan
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter

STATES = installed_topic("/dclaw/joint_states", "sensor_msgs/msg/JointState")


def write(folder, numbers):
    """Write messages of 200 bytes, ten to a chunk."""
    writer = BagWriter(folder, [STATES])
    for number in numbers:
        writer.write(STATES.name, 1000 * number, bytes(200))
        if number % 10 == 9:
            writer.flush()
    return writer


def test_topics_are_described_twice_at_once_and_again_now_and_then_to_all_readers(tmp_path):
    folder = tmp_path / "run"
    writer = BagWriter(folder, [STATES])
    for number in range(100):
        writer.write(STATES.name, number, bytes(10_000))
        writer.flush()
    writer.close()
    path = folder / "run_0.mcap"
    heads = [data[0] == Opcode.SCHEMA for _, data in FileScan(path).chunks()]
    assert heads[:3] == [True, True, False]
    assert 3 <= sum(heads) <= 10
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        assert len(list(reader.iter_messages(log_time_order=False))) == 100
    with path.open("rb") as file:
        stream = StreamReader(file, validate_crcs=True)
        assert sum(isinstance(record, Message) for record in stream.records) == 100
    with Reader(folder) as bag:
        assert [time for _, time, _ in bag.messages()] == list(range(100))


@pytest.mark.parametrize("cut", [0, 1, 5, 40, 300, 1100])
def test_after_a_crash_the_file_is_ended_and_the_next_begun(tmp_path, cut, numbers_in, crash):
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


def test_ending_a_torn_file_can_itself_be_cut_short(tmp_path, crash):
    folder = tmp_path / "run"
    crash(write(folder, range(30)))
    path = folder / "run_0.mcap"
    torn = path.read_bytes()
    start = list(FileScan(path).chunks())[-1][0].chunk_start_offset
    # What is written first lies over the torn end, the rest of which is cut off last.
    for tail in (b"", torn[start:-300]):
        path.write_bytes(torn + tail)
        FileAppender.reopen(path).finish("x: 1")
        ended = path.read_bytes()
        for size in range(len(torn), len(ended), 97):
            path.write_bytes(ended[:size] + (torn + tail)[size:])
            FileAppender.reopen(path).finish("x: 1")
            assert path.read_bytes() == ended


def test_a_torn_file_is_ended_before_a_chunk_that_the_disk_did_not_fill(tmp_path, crash):
    folder = tmp_path / "run"
    crash(write(folder, range(30)))
    path = folder / "run_0.mcap"
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size - 1000)
        file.write(bytes(1000 + 4096))
    writer = write(folder, range(30, 40))
    writer.close()
    assert writer.notes == []
    with Reader(folder) as reader:
        assert [time // 1000 for _, time, _ in reader.messages()] == [*range(20), *range(30, 40)]


def test_a_torn_file_with_whole_messages_behind_the_damage_is_left_alone_and_named(
    tmp_path, metadata, crash
):
    folder = tmp_path / "run"
    crash(write(folder, range(50)))
    path = folder / "run_0.mcap"
    places = [place.chunk_start_offset for place, _ in FileScan(path).chunks()]
    whole = path.read_bytes()
    for number, at in enumerate((places[2] + 4, places[2] + 200, places[3] - 174)):
        data = bytearray(whole)
        data[at] ^= 1  # in a chunk's length, in its content, in its index
        path.write_bytes(data)
        writer = BagWriter(folder, [STATES])
        writer.close()
        assert "run_0.mcap is damaged" in writer.notes[0]
        assert path.read_bytes() == data
        assert metadata(folder)["relative_file_paths"] == [
            f"run_{n}.mcap" for n in range(1, number + 2)
        ]


@pytest.mark.parametrize("is_ended", [True, False])
def test_a_topic_without_a_type_is_listed_and_one_in_another_encoding_is_left_alone(
    tmp_path, is_ended, metadata
):
    for number, encoding in enumerate(("cdr", "json")):
        path = tmp_path / f"run_{number}.mcap"
        with path.open("wb") as file:
            foreign = Writer(file)
            foreign.start("ros2", "foreign")
            channel = foreign.register_channel("/x", encoding, 0)
            foreign.add_message(channel, 7, bytes((0, 1, 0, 0, 0)), 7)
            foreign.finish()
        if not is_ended:
            os.truncate(path, path.stat().st_size - 8)
    writer = BagWriter(tmp_path, [STATES])
    writer.close()
    assert "'json'" in writer.notes[0]
    described = metadata(tmp_path)
    assert described["relative_file_paths"][0] == "run_0.mcap"
    assert described["message_count"] == 1


def test_a_torn_file_whose_count_of_losses_is_damaged_is_left_alone(tmp_path, crash):
    folder = tmp_path / "run"
    writer = write(folder, range(10))
    writer.lose({"dropped": 4})
    writer.flush()
    crash(writer)
    path = folder / "run_0.mcap"
    path.write_bytes(path.read_bytes().replace(b"dropped\x01\0\0\x004", b"dropped\x01\0\0\x005"))
    writer = BagWriter(folder, [STATES])
    writer.close()
    assert "does not hold its checksum" in writer.notes[0]


def test_a_torn_file_that_tells_of_losses_behind_the_damage_is_left_alone(tmp_path, crash):
    folder = tmp_path / "run"
    writer = write(folder, range(10))
    writer.lose({"dropped": 4})
    writer.flush()
    crash(writer)
    path = folder / "run_0.mcap"
    (place,) = (place for place, _ in FileScan(path).chunks())
    data = bytearray(path.read_bytes())
    data[place.chunk_start_offset + place.chunk_length + 11] ^= 1  # a length within its index
    path.write_bytes(data)
    writer = BagWriter(folder, [STATES])
    writer.close()
    assert "run_0.mcap is damaged" in writer.notes[0]
    assert path.read_bytes() == data


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
    assert "run_0.mcap is another tool's" in writer.notes[0]
    assert path.read_bytes() == data


@pytest.mark.parametrize("size", [0, 5, 8, 20])
def test_a_file_that_was_killed_before_its_first_record_becomes_an_empty_one(
    tmp_path, size, metadata
):
    folder = tmp_path / "run"
    write(folder, range(10)).close()
    whole = (folder / "run_0.mcap").read_bytes()
    (folder / "run_1.mcap").write_bytes(whole[:size])
    write(folder, range(10, 20)).close()
    assert metadata(folder)["relative_file_paths"] == [f"run_{n}.mcap" for n in range(3)]
    with Reader(folder) as reader:
        assert [time // 1000 for _, time, _ in reader.messages()] == list(range(20))
