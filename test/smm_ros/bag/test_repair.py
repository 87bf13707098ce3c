"""`smm bag repair`: everything that is whole, in a whole bag; the original as it was."""

import os
import shutil
import sqlite3
from contextlib import closing

import pytest
import yaml
from mcap.reader import make_reader
from rosbags import rosbag2
from rosbags.rosbag2 import Reader

from smm_ros.bag.check import check
from smm_ros.bag.finding import Level
from smm_ros.bag.mcap_file import BagError, FileScan
from smm_ros.bag.reading import read_messages, read_transitions
from smm_ros.bag.repair import main, repair
from smm_ros.bag.salvage import salvage
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.transition_wire import serialize_transition

CHUNK = 5


@pytest.fixture
def records(explore):
    return explore(episodes=8, steps=CHUNK)


@pytest.fixture
def bag(tmp_path, records):
    """A bag of eight chunks, each an episode."""
    topic = installed_topic("/dclaw/transitions", "smm_ros/msg/Transition")
    with closing(BagWriter(tmp_path / "run", [topic])) as writer:
        for record in records:
            writer.write(topic.name, record.stamp_ns, serialize_transition(record))
            if record.truncated:
                writer.flush()
    return tmp_path / "run"


def sequences(path):
    return [record.sequence for record in read_transitions(path)]


def messages(path):
    return [(m.topic.type, m.topic.definition, *m[1:]) for m in read_messages(path)]


def errors(path):
    return [finding for finding in check(path)[0] if finding.level is Level.ERROR]


def state(folder):
    files = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}
    return files, folder.stat().st_mtime_ns


def chunks(path):
    return [place for place, _ in FileScan(path).chunks()]


def test_a_file_that_was_not_ended_is(tmp_path, bag, records):
    path = bag / "run_0.mcap"
    last = chunks(path)[-1]
    os.truncate(path, last.chunk_start_offset + last.chunk_length - 9)
    before = state(bag)
    report = repair(bag, tmp_path / "out")
    assert state(bag) == before
    assert sequences(tmp_path / "out") == list(range(len(records) - CHUNK))
    assert report.num_lost is None
    assert report.accounts[0].losses[0].num_bytes == last.chunk_length - 9
    assert errors(tmp_path / "out") == []


def test_a_damaged_chunk_is_left_out_and_what_it_cost_is_told(tmp_path, bag, records, capsys):
    path = bag / "run_0.mcap"
    data = bytearray(path.read_bytes())
    data[chunks(path)[3].chunk_start_offset + 200] ^= 4
    path.write_bytes(data)
    assert main([str(bag), str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "its checksum does not hold" in printed
    assert f"between {records[14].stamp_ns} and {records[20].stamp_ns} ns" in printed
    assert "dclaw: 5 transitions missing: 15 to 19" in printed
    assert "35 messages in 1 file; 5 messages lost" in printed
    assert sequences(tmp_path / "out") == [n for n in range(40) if not 15 <= n < 20]
    assert errors(tmp_path / "out") == []


def test_behind_a_wrong_length_the_next_chunk_is_found(tmp_path, bag):
    path = bag / "run_0.mcap"
    data = bytearray(path.read_bytes())
    data[chunks(path)[3].chunk_start_offset + 4] ^= 1  # 16 MB more
    path.write_bytes(data)
    repair(bag, tmp_path / "out")
    assert sequences(tmp_path / "out") == [n for n in range(40) if not 15 <= n < 20]


@pytest.mark.parametrize("cut", [1, 200, 700])
def test_behind_a_hole_or_garbage_the_next_chunk_is_found(tmp_path, bag, cut):
    path = bag / "run_0.mcap"
    start = chunks(path)[3].chunk_start_offset
    data = path.read_bytes()
    for number, middle in enumerate((b"", b"\7" * 300, os.urandom(500))):
        path.write_bytes(data[:start] + middle + data[start + cut :])
        repair(bag, tmp_path / f"out_{number}")
        assert sequences(tmp_path / f"out_{number}") == [n for n in range(40) if not 15 <= n < 20]


def test_garbage_before_a_whole_chunk_costs_nothing(tmp_path, bag):
    path = bag / "run_0.mcap"
    start = chunks(path)[3].chunk_start_offset
    data = path.read_bytes()
    path.write_bytes(data[:start] + b"\6" * 300 + data[start:])  # each could begin a chunk
    repair(bag, tmp_path / "out")
    assert sequences(tmp_path / "out") == list(range(40))


def torn_and_damaged(path, numbers):
    """Leave a file without its last chunk and its summary, with a wrong bit in these chunks."""
    places = chunks(path)
    data = bytearray(path.read_bytes())[: places[-1].chunk_start_offset]
    for number in numbers:
        data[places[number].chunk_start_offset + places[number].chunk_length - 50] ^= 1
    path.write_bytes(data)


def test_each_chunk_of_a_torn_file_costs_no_more_than_itself(tmp_path, bag):
    """Its topics are in more than one."""
    (bag / "metadata.yaml").unlink()
    for number in range(7):
        shutil.copytree(bag, tmp_path / f"{number}" / "run")
        torn_and_damaged(tmp_path / f"{number}" / "run" / "run_0.mcap", [number])
        repair(tmp_path / f"{number}" / "run", tmp_path / f"{number}" / "out")
        lost = range(number * CHUNK, (number + 1) * CHUNK)
        assert sequences(tmp_path / f"{number}" / "out") == [n for n in range(35) if n not in lost]


def test_the_topics_outlive_the_chunks_that_describe_them(tmp_path, bag):
    """In a torn file there is no summary, which would tell them too."""
    torn_and_damaged(bag / "run_0.mcap", [0, 1])
    repair(bag, tmp_path / "out")
    assert sequences(tmp_path / "out") == list(range(10, 35))
    # Without metadata.yaml, or with another one, nothing says that name and type are right.
    metadata = bag / "metadata.yaml"
    for name, text in (("hash", "RIHS01_00"), ("name", "/other/transitions")):
        content = yaml.safe_load(metadata.read_text())
        topics = content["rosbag2_bagfile_information"]["topics_with_message_count"]
        topics[0]["topic_metadata"]["name" if name == "name" else "type_description_hash"] = text
        changed = tmp_path / name
        shutil.copytree(bag, changed)
        (changed / "metadata.yaml").write_text(yaml.safe_dump(content))
        with pytest.raises(BagError, match="nothing tells the topic of channel 1"):
            repair(changed, tmp_path / "other")
    metadata.unlink()
    with pytest.raises(BagError, match="nothing tells the topic of channel 1"):
        repair(bag, tmp_path / "other")


def test_messages_behind_the_end_of_a_file_are_saved(tmp_path, bag):
    path = bag / "run_0.mcap"
    whole, last = path.read_bytes(), chunks(path)[-1]
    at = last.chunk_start_offset
    behind = whole[at : at + last.chunk_length]
    for number, rest in enumerate((behind, b"\6" * 300 + behind)):
        path.write_bytes(whole + rest)
        with pytest.raises(BagError, match="messages lie behind the end of the data"):
            list(read_messages(path))
        assert repair(bag, tmp_path / f"out_{number}").digest.num_messages == 40 + CHUNK
    path.write_bytes(whole + behind[:-9])
    assert repair(bag, tmp_path / "cut").num_lost is None


def test_of_two_files_put_together_the_first_is_saved_and_the_other_told(tmp_path, bag):
    """A number means another topic there."""
    path = bag / "run_0.mcap"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:-20])
    report = repair(bag, tmp_path / "out")
    assert report.digest.num_messages == 40
    assert "another file" in str(report.accounts[0].losses[0])


def test_a_bag_without_metadata_gets_one(tmp_path, bag):
    (bag / "metadata.yaml").unlink()
    report = repair(bag, tmp_path / "out")
    assert "there was no metadata.yaml" in report.notes
    with Reader(tmp_path / "out") as reader:
        assert reader.message_count == len(list(reader.messages())) == 40
    with (tmp_path / "out" / "out_0.mcap").open("rb") as file:
        assert len(list(make_reader(file, validate_crcs=True).iter_messages())) == 40


def test_a_missing_file_and_a_torn_one_leave_the_others(tmp_path, explore, write_bag):
    for number in range(3):
        write_bag(tmp_path / f"{number}", explore(first_sequence=15 * number))
    folder = tmp_path / "0"
    shutil.copy(tmp_path / "2" / "2_0.mcap", folder / "0_2.mcap")
    content = yaml.safe_load((folder / "metadata.yaml").read_text())
    names = [f"0_{number}.mcap" for number in range(3)]
    content["rosbag2_bagfile_information"]["relative_file_paths"] = names
    (folder / "metadata.yaml").write_text(yaml.safe_dump(content))
    report = repair(folder, tmp_path / "out")
    assert report.missing_files == ["0_1.mcap"]
    assert sequences(tmp_path / "out") == [*range(15), *range(30, 45)]
    (gap,) = report.digest.hands["dclaw"].gaps
    assert (gap.first, gap.last) == (15, 29)


@pytest.mark.parametrize("compression", ["none", "message", "file"])
@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_bags_of_every_form_become_the_same_mcap(
    tmp_path, records, foreign_bag, storage, compression
):
    folder = foreign_bag(tmp_path / "run", records, storage, compression)
    before = state(folder)
    repair(folder, tmp_path / "out")
    assert state(folder) == before
    assert messages(tmp_path / "out") == messages(folder)
    assert list(check(tmp_path / "out")[0]) == []


def test_what_a_killed_sqlite_recorder_left_is_saved_and_not_touched(
    tmp_path, records, foreign_bag
):
    folder = foreign_bag(tmp_path / "run", records, "sqlite3")
    (tmp_path / "killed").mkdir()
    with closing(sqlite3.connect(folder / "run.db3")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("DELETE FROM messages WHERE id > 30")
        database.commit()
        for file in folder.iterdir():
            shutil.copy2(file, tmp_path / "killed")
    before = state(tmp_path / "killed")
    assert len(before[0]) == 4
    repair(tmp_path / "killed", tmp_path / "out")
    assert state(tmp_path / "killed") == before
    assert sequences(tmp_path / "out") == list(range(30))


def test_quality_of_service_of_older_rosbag2_is_put_in_its_newest_words(tmp_path, records):
    topic = installed_topic("/dclaw/transitions", "smm_ros/msg/Transition")
    old = topic.offered_qos.replace("keep_last", "1").replace("reliable", "1")
    old = old.replace("volatile", "2").replace("automatic", "1")
    topic = type(topic)(**{**vars(topic), "offered_qos": old})
    with closing(BagWriter(tmp_path / "run", [topic])) as writer:
        writer.write(topic.name, 0, serialize_transition(records[0]))
    repair(tmp_path / "run", tmp_path / "out")
    copied = next(iter(read_messages(tmp_path / "out"))).topic
    assert copied == installed_topic("/dclaw/transitions", "smm_ros/msg/Transition")


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_topic_without_a_message_is_kept(tmp_path, records, storage):
    writer = rosbag2.Writer(
        tmp_path / "run", version=9, storage_plugin=rosbag2.StoragePlugin[storage.upper()]
    )
    with writer:
        for name in ("/dclaw/transitions", "/left/transitions"):
            topic = installed_topic(name, "smm_ros/msg/Transition")
            connection = writer.add_connection(
                name, topic.type, msgdef=topic.definition, rihs01=topic.type_hash
            )
            if name.startswith("/dclaw"):
                writer.write(connection, 0, serialize_transition(records[0]))
    repair(tmp_path / "run", tmp_path / "out")
    with Reader(tmp_path / "out") as reader:
        counts = {connection.topic: connection.msgcount for connection in reader.connections}
    assert counts == {"/dclaw/transitions": 1, "/left/transitions": 0}


def test_a_bag_that_another_tool_is_writing_is_left_alone(tmp_path, bag, monkeypatch):
    def salvage_while_it_grows(file, *others):
        yield from salvage(file, *others)
        with file.path.open("ab") as grown:
            grown.write(b"more")

    monkeypatch.setattr("smm_ros.bag.repair.salvage", salvage_while_it_grows)
    with pytest.raises(BagError, match="is being written; stop its recorder first"):
        repair(bag, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_topic_of_two_types_keeps_both(tmp_path):
    for number, kind in enumerate(("std_msgs/msg/Header", "builtin_interfaces/msg/Time")):
        with closing(BagWriter(tmp_path / f"{number}", [installed_topic("/x", kind)])) as writer:
            writer.write("/x", number, bytes(12))
    shutil.copy(tmp_path / "1" / "1_0.mcap", tmp_path / "0" / "0_1.mcap")
    repair(tmp_path / "0", tmp_path / "out")
    assert messages(tmp_path / "out") == messages(tmp_path / "0")


def test_what_the_recorder_knew_to_be_missing_is_told_on(tmp_path, records):
    topic = installed_topic("/dclaw/transitions", "smm_ros/msg/Transition")
    writer = BagWriter(tmp_path / "run", [topic])
    writer.write(topic.name, 0, serialize_transition(records[0]))
    writer.lose({"dropped": 7})
    writer.flush()
    shutil.copytree(tmp_path / "run", tmp_path / "killed")
    writer.close()
    for name in ("run", "killed"):
        repair(tmp_path / name, tmp_path / f"{name}_repaired")
        content = yaml.safe_load((tmp_path / f"{name}_repaired" / "metadata.yaml").read_text())
        assert content["rosbag2_bagfile_information"]["custom_data"] == {"dropped": "7"}


def test_an_out_that_is_there_or_in_the_bag_itself_is_refused(tmp_path, bag):
    (tmp_path / "out").mkdir()
    before = state(bag)
    for out in (tmp_path / "out", bag / "out"):
        with pytest.raises(BagError, match="name a"):
            repair(bag, out)
    assert state(bag) == before
    assert list((tmp_path / "out").iterdir()) == []


def test_a_bag_that_is_being_written_is_left_alone(tmp_path):
    writer = BagWriter(tmp_path / "run", [installed_topic("/x", "std_msgs/msg/Empty")])
    with pytest.raises(BagError, match="being written"):
        repair(tmp_path / "run", tmp_path / "out")
    writer.close()


def test_where_nothing_can_be_saved_nothing_is_made(tmp_path, capsys):
    (tmp_path / "run_0.mcap").write_bytes(b"something else entirely")
    assert main([str(tmp_path / "run_0.mcap"), str(tmp_path / "out")]) == 1
    assert "nothing can be saved" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_empty_bag_that_was_ended_is_copied(tmp_path):
    BagWriter(tmp_path / "run", [installed_topic("/x", "std_msgs/msg/Empty")]).close()
    repair(tmp_path / "run", tmp_path / "out")
    assert list(check(tmp_path / "out")[0]) == []
