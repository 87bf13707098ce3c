"""What bags hold: the same whether a file says so itself or has to be read."""

import os
import shutil
from dataclasses import replace

import pytest
from mcap.writer import Writer

from smm_ros.bag import contents
from smm_ros.bag.contents import read_contents
from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter

X, Y = (installed_topic(name, "std_msgs/msg/Header") for name in ("/x", "/y"))


def write(folder, topics, times):
    writer = BagWriter(folder, topics, max_file_bytes=2**12)
    for time in times:
        for topic in topics:
            writer.write(topic.name, time, bytes(64))
        writer.flush()
    writer.close()
    return folder


def test_topics_counts_and_times_are_those_of_all_files(tmp_path):
    first = write(tmp_path / "a", [X, Y], range(1000, 1100))
    second = write(tmp_path / "b", [Y], range(50, 60))
    assert len(list(first.glob("*.mcap"))) > 1
    found = read_contents([first, second])
    assert found.counts == {"/x": 100, "/y": 110}
    assert found.topics == {"/x": [X], "/y": [Y]}
    assert (found.start_ns, found.end_ns) == (50, 1099)


def test_a_file_without_summary_is_read_for_the_same(tmp_path):
    folder = write(tmp_path / "a", [X, Y], range(10, 30))
    whole = read_contents([folder])
    for file in folder.glob("*.mcap"):
        os.truncate(file, file.stat().st_size - 8)
    torn = read_contents([folder])
    assert (torn.counts, torn.topics) == (whole.counts, whole.topics)
    assert (torn.start_ns, torn.end_ns) == (10, 29)


def test_a_closed_file_is_not_read_through(tmp_path, monkeypatch):
    folder = write(tmp_path / "a", [X], range(10))
    monkeypatch.setattr(contents, "read_messages", None)
    assert read_contents([folder]).counts == {"/x": 10}


def test_a_topic_that_changed_is_told_in_each_of_its_forms(tmp_path):
    changed = replace(X, type_hash="RIHS01_00")
    first, second = write(tmp_path / "a", [X], [1]), write(tmp_path / "b", [changed], [2])
    assert read_contents([first, second]).topics == {"/x": [X, changed]}


def test_a_topic_without_a_type_is_told_like_others(tmp_path):
    with (tmp_path / "foreign.mcap").open("wb") as file:
        writer = Writer(file)
        writer.start("ros2", "foreign")
        writer.add_message(writer.register_channel("/x", "cdr", 0), 7, bytes((0, 1, 0, 0)), 7)
        writer.finish()
    found = read_contents([tmp_path / "foreign.mcap"])
    assert (found.counts, found.start_ns) == ({"/x": 1}, 7)
    assert [topic.type for topic in found.topics["/x"]] == [""]


def test_nothing_is_an_error(tmp_path):
    empty = write(tmp_path / "a", [X], [])
    with pytest.raises(BagError, match="there is no message in"):
        read_contents([empty])
    shutil.rmtree(empty)
    with pytest.raises(BagError, match="no bag at"):
        read_contents([empty])
