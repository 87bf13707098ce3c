"""Reading a bag: everything up to the last whole chunk, and a clear word about the rest."""

import os
import shutil
from contextlib import closing
from itertools import product

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer
from rclpy.serialization import serialize_message

from smm_ros.bag.bag_files import ZSTD_MAGIC
from smm_ros.bag.mcap_file import BagError, FileScan, Topic
from smm_ros.bag.reading import newest_transitions, read_messages, read_transitions
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.conversions import transition_to_msg
from smm_ros.records import TransitionRecord

HANDS = ("left", "right")
TOPICS = [installed_topic(f"/{hand}/transitions", "smm_ros/msg/Transition") for hand in HANDS]
HEADERS = installed_topic("/headers", "std_msgs/msg/Header")


def transition(hand, sequence):
    rng = np.random.default_rng(sequence)
    return TransitionRecord(
        stamp_ns=10**8 * sequence + 7,
        hand=hand,
        sequence=sequence,
        episode=sequence // 50,
        step=sequence % 50,
        skill=sequence % 3,
        policy_version=sequence // 10,
        observation=rng.normal(size=12).astype(np.float32),
        action=rng.normal(size=9).astype(np.float32),
        next_observation=rng.normal(size=12).astype(np.float32),
        log_p_shaping=-0.25 * sequence,
        terminated=sequence % 7 == 0,
        truncated=sequence % 50 == 49,
    )


def write_transitions(folder, pairs, topics=(*TOPICS, HEADERS), close=True):
    writer = BagWriter(folder, topics, max_file_bytes=2**14)
    for number, (hand, sequence) in enumerate(pairs):
        data = serialize_message(transition_to_msg(transition(hand, sequence)))
        writer.write(f"/{hand}/transitions", number, data)
        writer.write(HEADERS.name, number, b"\x00\x01\x00\x00")
        if number % 8 == 7:
            writer.flush()
    if close:
        writer.close()
    return writer


def both(last):
    return [(hand, sequence) for sequence in range(last) for hand in HANDS]


def keys(reading):
    return [(record.hand, record.sequence) for record in reading]


def assert_same(record, expected):
    for name, value in vars(expected).items():
        assert np.array_equal(getattr(record, name), value), name


def test_transitions_come_back_as_they_were(tmp_path):
    write_transitions(tmp_path / "run", both(60))
    reading = read_transitions(tmp_path / "run")
    records = list(reading)
    assert keys(records) == both(60)
    for record in records:
        assert_same(record, transition(record.hand, record.sequence))
    assert reading.gaps.total() == 0
    assert reading.runs.next == {"left": (0, 60), "right": (0, 60)}
    assert len(reading.report.files) > 1


def test_each_hand_goes_on_where_it_was_left(tmp_path):
    write_transitions(tmp_path / "run", both(60))
    reading = read_transitions(tmp_path / "run", {"left": 58, "right": 60})
    assert keys(reading) == [("left", 58), ("left", 59)]


def test_the_newest_transitions_are_found_in_the_newest_file_that_has_the_hand(tmp_path):
    folder = tmp_path / "run"
    assert newest_transitions(folder, HANDS) == {}
    write_transitions(folder, [("left", n) for n in range(9)] + [("right", n) for n in range(80)])
    assert len(list(folder.glob("*.mcap"))) > 1
    assert newest_transitions(folder, HANDS) == {"left": (8, 8), "right": (79, 88)}
    assert newest_transitions(folder, ["right"])["right"] == (79, 88)
    assert newest_transitions(folder, ["other"]).get("other") is None


def test_the_newest_transition_is_the_last_one_published_whatever_its_number(tmp_path):
    write_transitions(tmp_path / "run", [("left", n) for n in (7, 8, 0, 1)])
    assert newest_transitions(tmp_path / "run", HANDS) == {"left": (1, 3)}


def test_ended_files_that_can_not_have_a_hand_are_not_read_for_its_newest_transition(tmp_path):
    folder = tmp_path / "run"
    write_transitions(folder, [("left", n) for n in range(80)])
    oldest, *_ = sorted(folder.glob("*.mcap"))
    content = bytearray(oldest.read_bytes())
    content[len(content) // 4] ^= 1  # to read it is an error
    oldest.write_bytes(content)
    assert newest_transitions(folder, HANDS).keys() == {"left"}
    write_transitions(folder, [("right", n) for n in range(3)])
    assert newest_transitions(folder, HANDS).keys() == {"left", "right"}


def test_missing_and_doubled_transitions_are_counted_and_left_out(tmp_path):
    pairs = [("left", n) for n in (2, 3, 4, 4, 3, 8)]
    write_transitions(tmp_path / "run", pairs)
    reading = read_transitions(tmp_path / "run", {"left": 1})
    assert keys(reading) == [("left", n) for n in (2, 3, 4, 8)]
    assert reading.gaps == {"left": 1 + 3}


@pytest.mark.parametrize("after", [{}, {"left": 4}])
def test_numbers_that_begin_again_are_another_run_and_not_doubles(tmp_path, explore, after):
    """As where a policy server is started anew into the same bag, with the twin's stamps."""
    first, second = explore("left"), explore("left", episodes=2, steps=9)
    with closing(BagWriter(tmp_path / "run", TOPICS)) as writer:
        for number, record in enumerate([*first, *second[:4], *second[2:]]):
            data = serialize_message(transition_to_msg(record))
            writer.write("/left/transitions", number, data)
    reading = read_transitions(tmp_path / "run", after)
    for record, expected in zip(reading, first[after.get("left", 0) :] + second, strict=True):
        assert_same(record, expected)
    assert reading.runs.next == {"left": (1, 18)}
    assert (reading.gaps.total(), reading.runs.doubles) == (0, {"left": 2})


def test_several_bags_are_read_as_one_run(tmp_path):
    write_transitions(tmp_path / "a", [("left", n) for n in range(10)])
    write_transitions(tmp_path / "b", [("left", n) for n in range(10, 20)])
    assert len(list(read_transitions([tmp_path / "a", tmp_path / "b" / "b_0.mcap"]))) == 20


def test_only_the_named_topics_are_read(tmp_path):
    write_transitions(tmp_path / "run", both(20))
    assert {m.topic.name for m in read_messages(tmp_path / "run")} == {
        "/left/transitions", "/right/transitions", "/headers"
    }  # fmt: skip
    reading = read_messages(tmp_path / "run", ["/right/transitions"])
    assert {m.topic.name for m in reading} == {"/right/transitions"}
    assert reading.report.num_messages == 20


@pytest.fixture
def torn(tmp_path):
    """A file whose writer was killed, with the offsets at which a chunk of its was whole."""
    writer = BagWriter(tmp_path / "run", TOPICS)
    sizes = []
    for sequence in range(5):
        data = serialize_message(transition_to_msg(transition("left", sequence)))
        writer.write("/left/transitions", sequence, data)
        writer.flush()
        sizes.append((tmp_path / "run" / "run_0.mcap").stat().st_size)
    os.close(writer._file._file)
    writer._folder.release()
    return tmp_path / "run" / "run_0.mcap", sizes


def test_every_cut_gives_the_whole_chunks_before_it_and_reports_the_rest(torn):
    path, sizes = torn
    whole = path.read_bytes()
    for cut in range(len(whole) - 1, -1, -1):
        os.truncate(path, cut)
        reading = read_messages(path)
        times = [message.log_time_ns for message in reading]
        assert times == list(range(len(times)))
        assert len(times) >= sum(size <= cut for size in sizes)
        for tail in reading.report.tails:
            assert tail.path == path
            assert tail.offset + tail.num_bytes == cut


def test_blocks_that_were_never_filled_are_a_torn_end(torn):
    path, sizes = torn
    whole = path.read_bytes()
    for start in range(sizes[-2], len(whole) + 1):  # within the last chunk or its index, or behind
        path.write_bytes(whole[:start].ljust(len(whole) + 4096, b"\0"))
        reading = read_messages(path)
        times = [message.log_time_ns for message in reading]
        assert times in (list(range(4)), list(range(5)))
        (tail,) = reading.report.tails
        assert tail.offset + tail.num_bytes == path.stat().st_size


def test_what_is_not_whole_before_a_whole_chunk_is_no_torn_end(torn):
    path, sizes = torn
    whole = path.read_bytes()
    for start in range(sizes[-2] - 200, sizes[-2] - 60):  # within the last chunk but one
        path.write_bytes(whole[:start] + bytes(sizes[-2] - start) + whole[sizes[-2] :])
        with pytest.raises(BagError, match="is damaged"):
            list(read_messages(path))


def test_a_flipped_bit_never_gives_a_wrong_message(tmp_path):
    write_transitions(tmp_path / "run", [("left", n) for n in range(6)])
    path = tmp_path / "run" / "run_0.mcap"
    whole, original = path.read_bytes(), [(m.topic, m.data) for m in read_messages(path)]
    rng, damaged = np.random.default_rng(0), 0
    for position in rng.choice(len(whole), 300, replace=False):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        reading = read_messages(path)
        found = []
        try:
            for message in reading:
                found.append((message.topic, message.data))
        except BagError:
            damaged += 1
        assert found == original[: len(found)]
        assert found == original or damaged or reading.report.tails
    assert damaged > 100


def test_another_tool_s_compressed_file_is_read(tmp_path):
    path = tmp_path / "foreign.mcap"
    with path.open("wb") as file:
        writer = Writer(file, compression=CompressionType.ZSTD, chunk_size=2000)
        writer.start("ros2", "foreign")
        schema = writer.register_schema("std_msgs/msg/Empty", "ros2msg", b"")
        channel = writer.register_channel("/x", "cdr", schema)
        for number in range(500):
            writer.add_message(channel, number, bytes(30), number)
        writer.finish()
    assert [m.log_time_ns for m in read_messages(path)] == list(range(500))


def test_transitions_of_another_layout_are_refused(tmp_path):
    other = installed_topic("/left/transitions", "smm_ros/msg/Transition")
    other = type(other)(**{**vars(other), "type_hash": "RIHS01_00"})
    write_transitions(tmp_path / "run", both(2), [other, TOPICS[1], HEADERS])
    with pytest.raises(BagError, match="another layout"):
        list(read_transitions(tmp_path / "run"))


def test_what_is_no_bag_is_said(tmp_path):
    with pytest.raises(BagError, match="no bag at"):
        read_messages(tmp_path / "missing")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(BagError, match=r"no MCAP or db3 file, only notes\.txt"):
        read_messages(tmp_path)
    (tmp_path / "run_0.mcap").write_bytes(b"something else entirely")
    with pytest.raises(BagError, match="not an MCAP file"):
        list(read_messages(tmp_path))


@pytest.mark.parametrize(
    ("storage", "compression"),
    [("mcap", "storage"), *product(["mcap", "sqlite3"], ["none", "message", "file"])],
)
@pytest.mark.parametrize("version", [8, 9])
def test_bags_of_another_tool_are_read_in_every_form(
    tmp_path, explore, foreign_bag, storage, compression, version
):
    records = explore(episodes=6)
    folder = foreign_bag(tmp_path / "run", records, storage, compression, version)
    for path in (folder, next(p for p in folder.iterdir() if p.suffix != ".yaml")):
        reading = read_transitions(path)
        for record, expected in zip(reading, records, strict=True):
            assert_same(record, expected)
        assert reading.report.tails == []


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_packed_message_that_does_not_unpack_is_told(tmp_path, explore, foreign_bag, storage):
    folder = foreign_bag(tmp_path / "run", explore(episodes=6), storage, "message")
    path = next(p for p in folder.iterdir() if p.suffix != ".yaml")
    data = bytearray(path.read_bytes())
    data[data.rindex(ZSTD_MAGIC, 0, data.rindex(ZSTD_MAGIC))] ^= 1
    path.write_bytes(data)
    with pytest.raises(BagError, match=r"is damaged: a message of /dclaw/transitions at \d+ ns"):
        list(read_messages(folder))


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_packed_file_that_breaks_off_is_told(tmp_path, explore, foreign_bag, storage):
    folder = foreign_bag(tmp_path / "run", explore(episodes=6), storage, "file")
    path = next(p for p in folder.iterdir() if p.suffix != ".yaml")
    os.truncate(path, path.stat().st_size - 10)
    with pytest.raises(BagError, match=r"run\.\w+\.zstd is damaged"):
        list(read_messages(folder))


def test_a_chunk_that_a_wrong_bit_hides_is_missed(tmp_path):
    """Its opcode is not covered by any checksum; the summary counts the chunks."""
    write_transitions(tmp_path / "run", both(12))
    path = tmp_path / "run" / "run_0.mcap"
    data = bytearray(path.read_bytes())
    chunks = [place.chunk_start_offset for place, _ in FileScan(path).chunks()]
    data[chunks[-1]] ^= 0x80  # a private record of somebody, by its opcode
    path.write_bytes(data)
    with pytest.raises(BagError, match="the summary counts 3"):
        list(read_messages(path))


def test_another_serialisation_is_refused(tmp_path):
    path = tmp_path / "foreign.mcap"
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start("ros2", "foreign")
        channel = writer.register_channel("/x", "json", 0)
        writer.add_message(channel, 0, b"{}", 0)
        writer.finish()
    with pytest.raises(BagError, match="/x is serialised as 'json', expected 'cdr'"):
        list(read_messages(path))


def test_a_message_that_is_no_such_message_is_told(tmp_path):
    write_transitions(tmp_path / "run", both(1))
    message = next(iter(read_messages(tmp_path / "run", ["/left/transitions"])))
    with pytest.raises(BagError, match=r"/left/transitions at 0 ns is no smm_ros/msg/Transition"):
        message._replace(data=message.data[:50]).decode()


def test_a_topic_of_two_types_gives_each_message_its_own(tmp_path):
    for number, kind in enumerate(("std_msgs/msg/Header", "builtin_interfaces/msg/Time")):
        with closing(BagWriter(tmp_path / f"{number}", [installed_topic("/x", kind)])) as writer:
            writer.write("/x", number, bytes(12))
    shutil.copy(tmp_path / "1" / "1_0.mcap", tmp_path / "0" / "0_1.mcap")
    types = [message.topic.type for message in read_messages(tmp_path / "0")]
    assert types == ["std_msgs/msg/Header", "builtin_interfaces/msg/Time"]


def test_a_type_defined_in_idl_is_decoded_and_stays_idl(tmp_path):
    definition = (
        f"{'=' * 80}\nIDL: some_msgs/msg/Number\n"
        "module some_msgs {\n  module msg {\n    struct Number {\n      long value;\n    };\n"
        "  };\n};\n"
    )
    topic = Topic("/x", "some_msgs/msg/Number", definition, "", "")
    with closing(BagWriter(tmp_path / "run", [topic])) as writer:
        writer.write("/x", 0, bytes((0, 1, 0, 0, 7, 0, 0, 0)))
    (message,) = read_messages(tmp_path / "run")
    assert message.decode().value == 7
    with (tmp_path / "run" / "run_0.mcap").open("rb") as file:
        schemas = make_reader(file).get_summary().schemas
    assert [schema.encoding for schema in schemas.values()] == ["ros2idl"]
