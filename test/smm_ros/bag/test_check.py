"""`smm bag check`: silent about a sound bag, and exact about what is amiss in another."""

import os
import shutil
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import yaml
from mcap.writer import Writer

from smm_ros.bag.check import check, main
from smm_ros.bag.finding import Level
from smm_ros.bag.mcap_file import FileScan
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter


def findings(path):
    return [(f.level.value, f.place, f.text) for f in check(path)[0]]


def told(path):
    return "\n".join(" ".join(finding) for finding in findings(path))


def edit_metadata(folder, **values):
    path = folder / "metadata.yaml"
    content = yaml.safe_load(path.read_text())
    content["rosbag2_bagfile_information"].update(values)
    path.write_text(yaml.safe_dump(content))


def alter(path, place, count=1):
    data = bytearray(path.read_bytes())
    for at in range(place, place + count):
        data[at] ^= 0xFF
    path.write_bytes(data)


@pytest.fixture
def bag(tmp_path, explore, write_bag):
    return write_bag(tmp_path / "run", explore(episodes=3))


def test_a_sound_bag_is_fine(recorded_run, capsys):
    assert main([str(recorded_run.path)]) == 0
    assert "nothing is amiss" in capsys.readouterr().out


def test_a_damaged_chunk_is_told_with_its_place_and_the_cure(bag, capsys):
    path = bag / "run_0.mcap"
    (place,) = (place.chunk_start_offset for place, _ in FileScan(path).chunks())
    alter(path, place + 2000)
    assert main([str(bag)]) == 1
    printed = capsys.readouterr().out
    assert f"run_0.mcap, byte {place}: its checksum does not hold" in printed
    assert "with 15 messages" in printed
    assert "smm bag repair" in printed


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"sequence": 8}, r"2 transitions are missing"),
        ({"observation": np.full(12, np.nan, np.float32)}, r"infinite or not a number"),
        ({"log_p_shaping": -np.inf}, r"infinite or not a number"),
        ({"observation": np.zeros(12, np.float32)}, r"states do not follow"),
        ({"step": 3}, r"steps do not follow, 3 comes behind 0"),
        ({"stamp_ns": 0}, r"stamps go back"),
        ({"skill": 7}, r"skill changes within an episode, from 1 to 7"),
        ({"policy_version": 7}, r"policy_version changes within an episode"),
        ({"episode": 0}, r"episode goes back"),
        ({"episode": 2}, r"an episode begins late, with step 1"),
        ({"action": np.zeros(3, np.float32)}, r"sizes change"),
    ],
)
def test_transitions_that_do_not_fit_together_are_told(
    tmp_path, explore, write_bag, change, expected
):
    records = explore(episodes=3)
    number = 6  # the second step of the second episode
    records[number] = replace(records[number], **change)
    if "sequence" in change:
        del records[7:9]
    path = write_bag(tmp_path / "run", records)
    assert any(expected in text for _, _, text in findings(path))
    place = f"dclaw {records[number].sequence}"
    assert place in {where for _, where, _ in findings(path)}


@pytest.mark.filterwarnings("error")
def test_large_numbers_are_numbers(tmp_path, explore, write_bag):
    records = [replace(r, action=np.full(9, 3e38, np.float32)) for r in explore()]
    assert findings(write_bag(tmp_path / "run", records)) == []


def test_a_step_behind_the_end_of_an_episode_is_told(tmp_path, explore, write_bag):
    records = explore(episodes=2)
    records[2] = replace(records[2], terminated=True)
    assert "an episode goes on, that had ended" in told(write_bag(tmp_path / "run", records))


def test_gaps_and_repetitions_are_warnings_and_states_apart_in_time_need_not_follow(
    tmp_path, explore, write_bag
):
    records = explore(episodes=2, steps=9)
    late = [replace(r, stamp_ns=r.stamp_ns + 10**8) for r in records[5:]]
    late[0] = replace(late[0], observation=np.ones(12, np.float32))  # a sample was missed
    path = write_bag(tmp_path / "run", [*records[:5], *late[:8], late[6], *late[10:]])
    assert {level for level, _, _ in findings(path)} == {"warning"}
    assert main([str(path)]) == 0


def test_another_run_whose_numbers_begin_again_is_a_warning(tmp_path, explore, write_bag):
    again = [replace(r, sequence=r.sequence - 50) for r in explore(episodes=2, first_sequence=50)]
    path = write_bag(tmp_path / "run", [*explore(episodes=1), *again])
    assert findings(path) == [("warning", "dclaw 0", "the numbers begin again, behind 4")]


def test_many_of_a_kind_are_counted(tmp_path, explore, write_bag):
    records = [replace(r, stamp_ns=0) for r in explore(episodes=1, steps=500)]
    found, num_messages = check(write_bag(tmp_path / "run", records))
    assert num_messages == 500
    assert found.count(Level.ERROR) == 499
    assert len(list(found)) == 6


def test_messages_that_are_not_of_their_type_are_told(tmp_path, cdr):
    topics = [
        installed_topic("/dclaw/transitions", "smm_ros/msg/Transition"),
        installed_topic("/states", "sensor_msgs/msg/JointState"),
    ]
    with closing(BagWriter(tmp_path / "run", topics)) as writer:
        for topic in topics:
            writer.write(topic.name, 7, b"\0\1\0\0" + bytes(11))
    text = told(tmp_path / "run")
    for topic in topics:
        assert f"a message of {topic.name} is no {topic.type}" in text
    assert "at 7 ns" in text


def test_a_topic_of_two_types_is_told_by_both(tmp_path, explore, write_bag):
    path = write_bag(tmp_path / "run", explore())
    other = installed_topic("/dclaw/transitions", "std_msgs/msg/Empty")
    with closing(BagWriter(tmp_path / "other", [other])) as writer:
        writer.write(other.name, 0, bytes((0, 1, 0, 0, 0)))
    shutil.copy(tmp_path / "other" / "other_0.mcap", path / "run_1.mcap")
    text = told(path)
    assert "is std_msgs/msg/Empty here, but smm_ros/msg/Transition before" in text
    assert "does not name run_1.mcap" in text


def test_another_layout_is_told(tmp_path, explore, write_bag, monkeypatch):
    path = write_bag(tmp_path / "run", explore())
    here = installed_topic("/x", "smm_ros/msg/Transition")
    monkeypatch.setattr(
        "smm_ros.bag.stream_check.installed_topic",
        lambda name, kind: replace(here, type_hash="RIHS01_00"),
    )
    assert "recorded with another layout of smm_ros/msg/Transition" in told(path)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"message_count": 3}, "it counts 3 messages, there are 15"),
        ({"topics_with_message_count": []}, "counts 0 messages of /dclaw/transitions"),
        ({"relative_file_paths": ["run_0.mcap", "run_1.mcap"]}, "names run_1.mcap, which is miss"),
        ({"relative_file_paths": []}, "it does not name run_0.mcap"),
        ({"duration": {"nanoseconds": 3}}, "it says 3 ns from 0 on"),
        ({"relative_file_paths": 3}, "is not what rosbag2 writes"),
    ],
)
def test_metadata_that_is_wrong_about_the_files_is_told(bag, values, expected):
    edit_metadata(bag, **values)
    assert expected in told(bag)


def test_a_missing_metadata_yaml_is_told(bag):
    (bag / "metadata.yaml").unlink()
    assert "metadata.yaml" in str(next(iter(check(bag)[0])).path)


def test_a_file_that_is_not_ended_is_an_error_but_not_while_it_is_written(tmp_path, explore):
    topic = installed_topic("/x", "std_msgs/msg/Empty")
    writer = BagWriter(tmp_path / "run", [topic])
    writer.write("/x", 0, bytes((0, 1, 0, 0, 0)))
    writer.flush()
    shutil.copytree(tmp_path / "run", tmp_path / "killed")
    assert findings(tmp_path / "run") == [("warning", "", "is being written")]
    assert "was not ended" in told(tmp_path / "killed")
    assert main([str(tmp_path / "killed")]) == 1
    writer.close()
    assert findings(tmp_path / "run") == []


def test_what_stands_outside_of_checksums_is_compared(bag):
    path = bag / "run_0.mcap"
    whole = path.read_bytes()
    (place,) = (place for place, _ in FileScan(path).chunks())
    start = place.chunk_start_offset
    for at, expected in (
        (start + 9, "says"),  # the first log time of the chunk
        (start + place.chunk_length + 20, "the index of channel 1"),
        (len(whole) - 60, "the summary's checksum does not hold"),
    ):
        path.write_bytes(whole)
        alter(path, at)
        assert expected in told(path), at


def test_the_checksum_of_all_data_is_held_to(tmp_path):
    path = tmp_path / "foreign.mcap"
    with path.open("wb") as file:
        writer = Writer(file, use_chunking=False, enable_data_crcs=True)
        writer.start("ros2", "foreign")
        schema = writer.register_schema("std_msgs/msg/Empty", "ros2msg", b"")
        channel = writer.register_channel("/x", "cdr", schema)
        writer.add_message(channel, 0, bytes((0, 1, 0, 0, 0)), 0)
        writer.finish()
    assert {level for level, _, _ in findings(path)} == {"warning"}
    path.write_bytes(path.read_bytes().replace(b"foreign", b"forging", 1))
    assert "the checksum of all data does not hold" in told(path)


def test_bags_without_checksums_are_called_so(tmp_path, explore, foreign_bag):
    for storage in ("mcap", "sqlite3"):
        path = foreign_bag(tmp_path / storage, explore(), storage)
        assert "goes unnoticed" in told(path)
        assert main([str(path)]) == 0


def test_nothing_is_changed(bag):
    os.truncate(bag / "run_0.mcap", 3000)
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in bag.iterdir()}
    check(bag)
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in bag.iterdir()} == before


def test_what_is_no_bag_ends_with_status_1(tmp_path, capsys):
    assert main([str(tmp_path / "none")]) == 1
    assert "no bag at" in capsys.readouterr().out
