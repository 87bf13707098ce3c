"""The transitions of bags as datasets hold them: nothing is lost unsaid."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from smm_ros.bag.datasets.dataset import LEAVE_OUT, Choice, DatasetError, SegmentReading
from smm_ros.bag.datasets.segment import Layout, records_of
from smm_ros.bag.reading import BagError, read_messages
from smm_ros.bag.writer import BagWriter


def sequences(reading):
    return [segment.columns["sequence"].tolist() for segment in reading]


def test_whole_episodes_come_as_they_are(tmp_path, explore, write_bag):
    records = explore(episodes=3, steps=4)
    reading = SegmentReading([write_bag(tmp_path / "bag", records)])
    segments = list(reading)
    assert [segment.columns["episode"][0] for segment in segments] == [0, 1, 2]
    assert all(segment.is_ended and segment.hand == "dclaw" for segment in segments)
    back = [r for s in segments for r in records_of([s.hand] * len(s), s.columns)]
    for record, expected in zip(back, records, strict=True):
        for name, value in vars(expected).items():
            assert np.array_equal(getattr(record, name), value), name
    report = reading.report
    assert (report.transitions, report.segments, report.episodes) == (12, 3, 3)
    assert (report.broken_episodes, report.doubled, report.missing.total()) == (0, 0, 0)


def test_a_gap_makes_two_segments_and_is_counted(tmp_path, explore, write_bag):
    records = explore(episodes=2, steps=6)
    del records[2:4]
    reading = SegmentReading([write_bag(tmp_path / "bag", records)])
    assert sequences(reading) == [[0, 1], [4, 5], [6, 7, 8, 9, 10, 11]]
    assert (reading.report.broken_episodes, reading.report.missing["dclaw"]) == (1, 2)


@pytest.mark.parametrize("cut", [slice(0, 1), slice(2, 3), slice(5, 6)])
def test_a_broken_episode_is_left_out_where_that_is_asked_for(tmp_path, explore, write_bag, cut):
    records = explore(episodes=2, steps=6)
    del records[cut]
    reading = SegmentReading(
        [write_bag(tmp_path / "bag", records)], Choice(broken_episodes=LEAVE_OUT)
    )
    assert sequences(reading) == [[6, 7, 8, 9, 10, 11]]
    assert (reading.report.broken_episodes, reading.report.left_out) == (1, 5)


def test_what_is_missing_between_whole_episodes_breaks_none(tmp_path, explore, write_bag):
    records = explore(episodes=3, steps=4)
    del records[4:8]
    reading = SegmentReading([write_bag(tmp_path / "bag", records)])
    assert sequences(reading) == [[0, 1, 2, 3], [8, 9, 10, 11]]
    assert (reading.report.broken_episodes, reading.report.missing["dclaw"]) == (0, 4)


def test_hands_take_turns_and_keep_their_order(tmp_path, explore, write_bag):
    left, right = explore("left", episodes=2), explore("right", episodes=2)
    mixed = [record for pair in zip(left, right, strict=True) for record in pair]
    bag = write_bag(tmp_path / "bag", mixed, ["left", "right"])
    found = [
        (segment.hand, int(segment.columns["episode"][0])) for segment in SegmentReading([bag])
    ]
    assert sorted(found) == [("left", 0), ("left", 1), ("right", 0), ("right", 1)]
    only = SegmentReading([bag], Choice(["right"]))
    assert {segment.hand for segment in only} == {"right"} == only.report.hands


def test_doubles_are_dropped_and_counted(tmp_path, explore, write_bag):
    records = explore(episodes=2, steps=4)
    reading = SegmentReading([write_bag(tmp_path / "bag", records[:6] + records[3:])])
    assert [n for segment in sequences(reading) for n in segment] == list(range(8))
    assert reading.report.doubled == 3


def test_bags_are_runs_of_their_own(tmp_path, explore, write_bag):
    # Two runs of a hand both count from 0: the second is not taken for a repetition of the first.
    bags = [write_bag(tmp_path / name, explore(episodes=2)) for name in "ab"]
    reading = SegmentReading(bags)
    assert [segment.run for segment in reading] == [0, 0, 1, 1]
    assert reading.report.doubled == 0


def test_numbers_that_begin_again_within_a_bag_are_another_run(tmp_path, explore, write_bag):
    first = explore(episodes=3)
    second = [replace(r, log_p_shaping=-9.0) for r in explore(episodes=2)]
    bags = [write_bag(tmp_path / "a", first[:-2] + second), write_bag(tmp_path / "b", first)]
    reading = SegmentReading(bags)
    assert [(s.run, len(s)) for s in reading] == [
        *((0, 5), (0, 5), (0, 3)),
        *((1, 5), (1, 5)),
        *((2, 5), (2, 5), (2, 5)),
    ]
    assert (reading.report.doubled, reading.report.missing.total()) == (0, 0)
    assert reading.report.broken_episodes == 1


def test_counts_are_of_all_bags_together(tmp_path, explore, write_bag):
    records = explore(episodes=2)
    bags = [
        write_bag(tmp_path / "a", records[:4] + records[3:]),
        write_bag(tmp_path / "b", records[:6] + records[7:]),
        write_bag(tmp_path / "c", records),
    ]
    reading = SegmentReading(bags)
    list(reading)
    assert (reading.report.doubled, reading.report.missing["dclaw"]) == (1, 1)
    assert (reading.report.episodes, reading.report.transitions) == (6, 29)


def test_it_tells_how_far_it_is(tmp_path, explore, write_bag):
    told = []
    list(SegmentReading([write_bag(tmp_path / "bag", explore(episodes=3))], tell=told.append))
    assert told == [5, 10, 15]


def test_hands_of_different_kinds_are_refused_unless_one_is_chosen(tmp_path, explore, write_bag):
    records = explore("left") + explore("right", obs_size=4)
    bag = write_bag(tmp_path / "bag", records, ["left", "right"])
    with pytest.raises(DatasetError, match="4 numbers in its observation.*--hand"):
        list(SegmentReading([bag]))
    reading = SegmentReading([bag], Choice(["right"]))
    assert reading.layout == Layout(4, 9)
    assert len(list(reading)) == 3


def test_no_transitions_are_an_error(tmp_path, explore, write_bag):
    with pytest.raises(BagError, match="empty: holds no .*joint_states"):
        SegmentReading([write_bag(tmp_path / "empty", [])])
    bag = write_bag(tmp_path / "bag", explore())
    with pytest.raises(BagError, match="no transitions of other in .*; there are some of dclaw"):
        SegmentReading([bag], Choice(["other"]))


def test_a_bag_of_joint_states_and_commands_gives_the_transitions_recorded_beside_them(
    tmp_path, recorded_run
):
    messages = [m for m in read_messages(recorded_run.path) if "joint" in m.topic.name]
    writer = BagWriter(tmp_path / "joints", list(dict.fromkeys(m.topic for m in messages)))
    for message in messages:
        writer.write(message.topic.name, message.log_time_ns, message.data)
    writer.close()
    assembled, recorded = (
        SegmentReading([tmp_path / "joints"]),
        SegmentReading([recorded_run.path]),
    )
    assert sequences(assembled) == sequences(recorded)
    assert (
        assembled.report.assembled == recorded.report.transitions > 0 == recorded.report.assembled
    )


def test_memory_does_not_grow_with_the_number_of_episodes(tmp_path, explore, write_bag):
    def peak(bag):
        tracemalloc.start()
        for _ in SegmentReading([bag]):
            pass
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    few, many = (
        peak(write_bag(tmp_path / str(count), explore(episodes=count, steps=20)))
        for count in (300, 1200)
    )
    assert many < 1.5 * few  # of four times as many
