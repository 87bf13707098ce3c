"""`smm bag info`: counts, episodes and gaps as they are in the bag."""

import json
import os
from contextlib import closing
from dataclasses import replace

import pytest
from diagnostic_msgs.msg import DiagnosticArray

from smm_ros.bag.info import main
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.conversions import mark_to_msg, report_to_msg
from smm_ros.reports import Level, Report


def info(capsys, *words):
    status = main([*map(str, words), "--json"])
    printed = capsys.readouterr()
    return status, json.loads(printed.out)[0], printed.err


def report(name, dropped):
    return report_to_msg(Report(name, Level.OK, "", {"dropped": dropped}), 0)


def test_topics_have_counts_sizes_and_rates(tmp_path, capsys, explore, write_bag):
    records = explore(episodes=4, steps=5)
    status, found, _ = info(capsys, write_bag(tmp_path / "run", records))
    assert status == 0
    assert (found["storage"], found["num_messages"]) == ("mcap", 20)
    assert found["duration_ns"] == records[-1].stamp_ns - records[0].stamp_ns
    (topic,) = found["topics"]
    assert (topic["name"], topic["num_messages"]) == ("/dclaw/transitions", 20)
    assert topic["rate"] == pytest.approx(19 / (found["duration_ns"] * 1e-9))


def test_episodes_are_complete_interrupted_or_torn(tmp_path, capsys, explore, write_bag):
    records = explore(episodes=5, steps=6)
    given_up = [replace(r, truncated=False) for r in records if r.episode == 1][:4]
    # Of the third a step is missing, of the fourth the first one.
    later = [r for r in records if r.episode > 1 and r.sequence not in (14, 18)]
    shift = 2  # the numbers of those that were never taken
    kept = [r for r in records if r.episode == 0] + given_up
    kept += [replace(r, sequence=r.sequence - shift) for r in later]
    _, found, _ = info(capsys, write_bag(tmp_path / "run", kept))
    hand = found["hands"]["dclaw"]
    assert hand["complete_episodes"] == {"6": 2}
    assert hand["interrupted_episodes"] == {"4": 1}
    assert hand["torn_episodes"] == {"5": 2}
    assert hand["skills"] == {"0": 17, "1": 9}
    assert hand["policy_versions"] == {"0": 6, "1": 4, "2": 5, "3": 5, "4": 6}


def test_gaps_have_their_place_and_repetitions_are_counted(tmp_path, capsys, explore, write_bag):
    records = explore(episodes=4, steps=5)
    kept = [*records[3:8], records[6], *records[12:]]
    _, found, _ = info(capsys, write_bag(tmp_path / "run", kept))
    hand = found["hands"]["dclaw"]
    assert (hand["first"], hand["last"]) == (3, 19)
    assert (hand["num_missing"], hand["num_gaps"], hand["num_repeated"]) == (4, 1, 1)
    assert hand["gaps"] == [{"first": 8, "last": 11, "log_time_ns": records[12].stamp_ns}]


def test_runs_whose_numbers_begin_again_are_counted_each_by_itself(
    tmp_path, capsys, explore, write_bag
):
    again = [replace(r, sequence=r.sequence - 50) for r in explore(first_sequence=50)]
    folder = write_bag(tmp_path / "run", [*explore()[:8], *again[:3], *again[4:]])
    _, found, _ = info(capsys, folder)
    hand = found["hands"]["dclaw"]
    assert (hand["num_transitions"], hand["num_runs"], hand["num_repeated"]) == (22, 2, 0)
    assert (hand["first"], hand["last"]) == (0, 14)
    assert [(gap["first"], gap["last"]) for gap in hand["gaps"]] == [(3, 3)]
    episodes = [hand[f"{kind}_episodes"] for kind in ("complete", "interrupted", "torn")]
    assert episodes == [{"5": 3}, {"3": 1}, {"4": 1}]
    assert main([str(folder)]) == 0
    assert "22, numbers 0 to 14, in 2 runs" in capsys.readouterr().out


def test_each_hand_is_counted_by_itself(tmp_path, capsys, explore, write_bag):
    records = [r for pair in zip(explore("left"), explore("right"), strict=True) for r in pair]
    _, found, _ = info(capsys, write_bag(tmp_path / "run", records, ["left", "right"]))
    for hand in ("left", "right"):
        assert found["hands"][hand]["num_transitions"] == 15
        assert found["hands"][hand]["num_missing"] == 0


def test_drops_that_recorders_told_are_added_over_their_starts(tmp_path, capsys, cdr):
    topic = installed_topic("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")
    with closing(BagWriter(tmp_path / "run", [topic])) as writer:
        for number, dropped in enumerate([0, 3, 7, 0, 2]):
            told = (report("recorder", dropped), report("right: recorder", 5))
            for message in (*told, report("dclaw: hand", 100)):
                writer.write(topic.name, number, cdr(message, topic.type))
        writer.write(topic.name, 9, cdr(DiagnosticArray(), topic.type))
    _, found, _ = info(capsys, tmp_path / "run")
    assert found["reported_drops"] == 7 + 2 + 5


def test_marks_and_what_the_metadata_adds_are_shown(tmp_path, capsys, cdr):
    topic = installed_topic("/dclaw/marks", "rcl_interfaces/msg/Log")
    with closing(BagWriter(tmp_path / "run", [topic])) as writer:
        mark = mark_to_msg(10**9, "recorder", "valve slipped")
        writer.write(topic.name, 10**9, cdr(mark, topic.type))
        writer.lose({"dropped": 3})
    _, found, _ = info(capsys, tmp_path / "run")
    assert found["marks"] == [{"log_time_ns": 10**9, "text": "valve slipped"}]
    assert found["custom_data"]["dropped"] == "3"
    assert main([str(tmp_path / "run")]) == 0
    assert "valve slipped" in capsys.readouterr().out


def test_a_torn_end_is_told_and_damage_ends_with_status_1(tmp_path, capsys, explore, write_bag):
    path = write_bag(tmp_path / "run", explore()) / "run_0.mcap"
    content = path.read_bytes()
    os.truncate(path, 3000)
    status, found, _ = info(capsys, tmp_path / "run")
    assert status == 0
    assert found["unread_ends"][0]["reason"] == "incomplete record, or its length is wrong"
    assert any("not ended" in note for note in found["notes"])
    path.write_bytes(content[:400] + b"?" + content[401:])
    status, found, errors = info(capsys, tmp_path / "run")
    assert status == 1
    assert "smm bag repair" in found["error"]
    assert found["error"] in errors


def test_a_missing_bag_ends_with_status_1_and_no_traceback(tmp_path, capsys):
    assert main([str(tmp_path / "none")]) == 1
    assert "no bag at" in capsys.readouterr().err


def test_what_is_shown_fits_eighty_columns(tmp_path, capsys, monkeypatch, recorded_run):
    monkeypatch.setenv("COLUMNS", "80")
    assert main([str(recorded_run.path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines[1:])) <= 80
    count = len(recorded_run.transitions)
    assert any("transitions" in line and f"{count:,}" in line for line in lines)


def test_a_missing_file_is_told_and_the_others_are_shown(tmp_path, capsys, explore, write_bag):
    path = write_bag(tmp_path / "run", explore()) / "metadata.yaml"
    path.write_text(path.read_text().replace("paths:\n", "paths:\n  - run_7.mcap\n"))
    status, found, _ = info(capsys, tmp_path / "run")
    assert (status, found["num_messages"]) == (0, 15)
    assert found["notes"] == ["run_7.mcap is missing, which metadata.yaml names"]
