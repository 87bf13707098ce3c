"""Bags in sqlite3 storage: read in order of time, whole or not at all, and never changed."""

import os
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.reading import read_messages, read_transitions
from smm_ros.bag.sqlite_file import SqliteScan

STRING = "std_msgs/msg/String"
SCHEMAS = {
    1: "topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT, serialization_format TEXT)",
    2: "topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT, serialization_format TEXT, "
    "offered_qos_profiles TEXT)",
    4: "topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT, serialization_format TEXT, "
    "offered_qos_profiles TEXT, type_description_hash TEXT)",
}
MESSAGES = (
    "messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL, "
    "data BLOB NOT NULL)"
)


def text(number, length=0):
    said = f"{number}{'.' * length}".encode() + b"\0"
    return b"\0\1\0\0" + len(said).to_bytes(4, "little") + said


def create(path, times, schema=4, kind=STRING, encoding="cdr", mode="DELETE"):
    """Write a bag file as rosbag2 does and leave it open; the numbers count the rows."""
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA journal_mode={mode}")
    database.execute(f"CREATE TABLE {SCHEMAS[schema]}")
    database.execute(f"CREATE TABLE {MESSAGES}")
    database.execute("CREATE INDEX timestamp_idx ON messages (timestamp ASC)")
    values = (1, "/said", kind, encoding, "", "")[: {1: 4, 2: 5, 4: 6}[schema]]
    marks = ",".join("?" * len(values))
    database.execute(f"INSERT INTO topics VALUES ({marks})", values)
    rows = [(n, 1, time, text(n, 100)) for n, time in enumerate(times, start=1)]
    database.executemany("INSERT INTO messages VALUES (?, ?, ?, ?)", rows)
    database.commit()
    return database


def said(reading):
    return [int(message.decode().data.rstrip(".")) for message in reading]


def state(folder):
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_schema_of_rosbag2_is_read_in_order_of_time(tmp_path, schema):
    create(tmp_path / "run_0.db3", [30, 10, 20, 20], schema).close()
    reading = read_messages(tmp_path)
    assert said(reading) == [2, 3, 4, 1]
    assert [m.log_time_ns for m in reading] == [10, 20, 20, 30]
    assert {m.topic.type for m in reading} == {STRING}


@pytest.mark.parametrize("mode", ["WAL", "PERSIST"])
def test_what_a_killed_recorder_left_beside_the_file_is_read_and_nothing_touched(tmp_path, mode):
    (tmp_path / "live").mkdir()
    (tmp_path / "run").mkdir()
    with closing(create(tmp_path / "live" / "run_0.db3", range(5), mode=mode)) as database:
        database.execute("BEGIN")
        database.execute("UPDATE messages SET timestamp = 99")  # never committed
        database.execute("PRAGMA cache_spill=1")
        for file in (tmp_path / "live").iterdir():
            shutil.copy2(file, tmp_path / "run")
    before = state(tmp_path / "run")
    assert len(before) > 1
    assert said(read_messages(tmp_path / "run")) == [1, 2, 3, 4, 5]
    scan = SqliteScan(tmp_path / "run" / "run_0.db3")
    assert [row.id for row in scan.salvaged()] == [1, 2, 3, 4, 5]
    assert scan.holes == []
    assert state(tmp_path / "run") == before


def test_reading_leaves_a_closed_file_and_its_folder_as_they_are(tmp_path):
    create(tmp_path / "run_0.db3", range(50), mode="WAL").close()
    before, folder = state(tmp_path), tmp_path.stat().st_mtime_ns
    assert len(said(read_messages(tmp_path))) == 50
    assert len(list(SqliteScan(tmp_path / "run_0.db3").salvaged())) == 50
    assert state(tmp_path) == before
    assert tmp_path.stat().st_mtime_ns == folder


def test_only_wanted_topics_are_read(tmp_path):
    create(tmp_path / "run_0.db3", range(5)).close()
    assert said(read_messages(tmp_path, ["/other"])) == []
    assert len(said(read_messages(tmp_path, ["/said"]))) == 5


def test_transitions_are_those_that_mcap_has(tmp_path, explore, foreign_bag):
    records = explore(episodes=4)
    for storage in ("mcap", "sqlite3"):
        reading = read_transitions(foreign_bag(tmp_path / storage, records, storage))
        read = list(reading)
        assert [r.sequence for r in read] == [r.sequence for r in records]
        for one, other in zip(read, records, strict=True):
            assert np.array_equal(one.observation, other.observation)


def test_a_file_cut_anywhere_is_refused_and_its_whole_rows_are_saved(tmp_path):
    path = tmp_path / "run_0.db3"
    create(path, range(3000)).close()
    whole = path.read_bytes()
    expected = {row.id: row for row in SqliteScan(path).rows(lambda topic: True)}
    most = 0
    for cut in [len(whole) - 1, *np.random.default_rng(0).integers(0, len(whole), 25)]:
        path.write_bytes(whole[:cut])
        if cut:
            with pytest.raises(BagError, match=r"run_0\.db3"):
                list(read_messages(path))
        scan = SqliteScan(path)
        try:
            saved = list(scan.salvaged())
        except BagError:
            assert cut < 4 * 4096, "the topics were there"
            continue
        assert all(expected[row.id] == row for row in saved)
        assert [row.id for row in saved] == sorted(row.id for row in saved)
        # An index page lies between a few of the messages.
        assert len(saved) > 0.8 * len(expected) * (cut - 8192) / len(whole) - 100
        most = max(most, len(saved))
    assert most > 2000


def test_garbage_in_the_middle_costs_the_rows_it_lies_on(tmp_path):
    path = tmp_path / "run_0.db3"
    create(path, range(3000)).close()
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 8192] = os.urandom(8192)
    path.write_bytes(data)
    with pytest.raises(BagError, match="damaged"):
        list(read_messages(path))
    scan = SqliteScan(path)
    saved = [row.id for row in scan.salvaged()]
    assert 2850 < len(saved) < 3000
    assert any("are not there" in hole for hole in scan.holes)
    assert scan.faults()


def test_an_index_that_leaves_messages_out_is_noticed(tmp_path):
    with closing(create(tmp_path / "run_0.db3", range(9))) as database:
        database.execute("PRAGMA writable_schema=ON")
        index = "CREATE INDEX timestamp_idx ON messages (timestamp ASC) WHERE id > 3"
        database.execute("DROP INDEX timestamp_idx")
        database.execute(index)
        plain = index.partition(" WHERE")[0]
        database.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'timestamp_idx'", [plain])
        database.commit()
    with pytest.raises(BagError, match="leads to 6 of 9 messages"):
        list(read_messages(tmp_path))
    assert len(list(SqliteScan(tmp_path / "run_0.db3").salvaged())) == 9


def test_another_database_is_told_by_its_tables(tmp_path):
    with closing(sqlite3.connect(tmp_path / "run_0.db3")) as database:
        database.execute("CREATE TABLE holidays(day TEXT)")
    with pytest.raises(BagError, match="no bag: its tables are holidays"):
        list(read_messages(tmp_path))


def test_a_table_of_topics_with_a_wrong_column_is_damage(tmp_path):
    with closing(create(tmp_path / "run_0.db3", range(3))) as database:
        database.execute("ALTER TABLE topics RENAME COLUMN serialization_format TO rerialization")
        database.commit()
    with pytest.raises(BagError, match="damaged: the table of its topics"):
        list(read_messages(tmp_path))


def test_a_name_that_is_no_text_is_damage(tmp_path):
    create(tmp_path / "run_0.db3", range(3)).close()
    path = tmp_path / "run_0.db3"
    path.write_bytes(path.read_bytes().replace(b"timestamp_idx", b"timestamp_id\xce"))
    with pytest.raises(BagError, match="is damaged"):
        list(read_messages(tmp_path))


def test_another_serialisation_is_refused(tmp_path):
    create(tmp_path / "run_0.db3", range(3), encoding="protobuf").close()
    with pytest.raises(BagError, match="'protobuf', expected 'cdr'"):
        list(read_messages(tmp_path))


def test_a_type_that_nothing_defines_can_be_read_but_not_decoded(tmp_path):
    create(tmp_path / "run_0.db3", range(3), kind="no_such_msgs/msg/Thing").close()
    messages = list(read_messages(tmp_path))
    assert [m.data for m in messages] == [text(n, 100) for n in (1, 2, 3)]
    with pytest.raises(BagError, match="no_such_msgs/msg/Thing"):
        messages[0].decode()


def test_an_empty_file_is_one_that_nothing_was_written_to(tmp_path):
    (tmp_path / "run_0.db3").touch()
    reading = read_messages(tmp_path)
    assert list(reading) == []
    assert reading.report.tails[0].reason == "nothing was written yet"


def test_messages_larger_than_a_page_are_saved_whole(tmp_path):
    path = tmp_path / "run_0.db3"
    with closing(create(path, range(3))) as database:
        large = [(n, 1, n, text(n, 10_000 * n)) for n in range(10, 20)]
        database.executemany("INSERT INTO messages VALUES (?, ?, ?, ?)", large)
        database.commit()
    scan = SqliteScan(path)
    rows = {row.id: row.data for row in scan.salvaged()}
    assert all(rows[n] == data for n, _, _, data in large)
    assert scan.holes == ["messages 4 to 9 are not there"]


def test_a_message_of_no_topic_is_noticed_whatever_topics_are_asked_for(tmp_path):
    with closing(create(tmp_path / "run_0.db3", range(9))) as database:
        database.execute("UPDATE messages SET topic_id = 3 WHERE id = 5")
        database.commit()
    for topics in (None, ["/said"], ["/other"]):
        with pytest.raises(BagError, match="1 messages are of no topic"):
            list(read_messages(tmp_path, topics))
    scan = SqliteScan(tmp_path / "run_0.db3")
    assert [row.id for row in scan.salvaged()] == [1, 2, 3, 4, 6, 7, 8, 9]
    assert scan.holes == ["messages 5 to 5 are not there"]


def test_rows_that_were_deleted_do_not_come_back(tmp_path):
    path = tmp_path / "run_0.db3"
    with closing(create(path, range(3000))) as database:
        database.execute("PRAGMA secure_delete=OFF")
        database.execute("DELETE FROM messages")  # whole pages are given free as they are
        database.execute("INSERT INTO messages VALUES (1, 1, 7, ?)", [text(1)])
        database.commit()
    assert [row.id for row in SqliteScan(path).salvaged()] == [1]


def test_an_old_copy_of_a_page_gives_no_row_twice(tmp_path):
    path = tmp_path / "run_0.db3"
    create(path, range(3000)).close()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[len(whole) // 2 // 4096 * 4096 :][:4096])
    assert [row.id for row in SqliteScan(path).salvaged()] == list(range(1, 3001))
