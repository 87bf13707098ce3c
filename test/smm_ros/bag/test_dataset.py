"""The transitions of bags as episodes: nothing lost unsaid, no break within a segment."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from smm_ros.bag import dataset
from smm_ros.bag.dataset import (
    LEAVE_OUT,
    SCALARS,
    DatasetError,
    Layout,
    SegmentReading,
    records_of,
    split,
)


def sequences(reading):
    return [segment.columns["sequence"].tolist() for segment in reading]


def steps(segments):
    return [segment.columns["step"].tolist() for segment in segments]


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
    reading = SegmentReading([write_bag(tmp_path / "bag", records)], (), LEAVE_OUT)
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
    only = SegmentReading([bag], ["right"])
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


def test_batches_are_handed_on_as_soon_as_they_are_full(explore, monkeypatch):
    monkeypatch.setattr(dataset, "ROWS", 12)
    taken = []

    def segments():
        for segment in split(explore(episodes=1)) * 7:
            taken.append(segment)
            yield segment

    sizes = [(len(batch), len(taken)) for batch in dataset.batches(segments())]
    assert sizes == [(3, 3), (3, 6), (1, 7)]


def broken_at(records, position, **fields):
    return [*records[:position], replace(records[position], **fields), *records[position + 1 :]]


@pytest.mark.parametrize(
    ("position", "fields"),
    [
        (3, {"observation": np.zeros(12, np.float32)}),  # not what the step before led to
        (3, {"stamp_ns": 10**9}),  # a state was missed
        (2, {"terminated": True}),
        (3, {"step": 4}),
    ],
)
def test_a_break_within_an_episode_ends_a_segment(explore, position, fields):
    records = explore(episodes=1, steps=6)
    assert [len(s) for s in split(records)] == [6]
    parts = split(broken_at(records, position, **fields))
    assert len(parts) > 1
    assert len(parts[0]) == 3


def test_an_observation_that_differs_by_the_sign_of_zero_is_another_one(explore):
    # Else what it was could not be told from what the step before led to.
    records = explore(episodes=1, steps=2, obs_size=1)
    zero = np.zeros(1, np.float32)
    records[0] = replace(records[0], next_observation=zero)
    assert steps(split([records[0], replace(records[1], observation=zero)])) == [[0, 1]]
    assert steps(split([records[0], replace(records[1], observation=-zero)])) == [[0], [1]]


def test_columns_have_the_types_of_the_message(explore):
    (segment,) = split(explore(episodes=1))
    assert {name: segment.columns[name].dtype.type for name in SCALARS} == SCALARS
    assert segment.columns["next_observation"].shape == (5, 12)


def test_hands_of_different_kinds_are_refused_unless_one_is_chosen(tmp_path, explore, write_bag):
    records = explore("left") + explore("right", obs_size=4)
    bag = write_bag(tmp_path / "bag", records, ["left", "right"])
    with pytest.raises(DatasetError, match="4 numbers in its observation.*--hand"):
        list(SegmentReading([bag]))
    reading = SegmentReading([bag], ["right"])
    assert reading.layout == Layout(4, 9)
    assert len(list(reading)) == 3


def test_no_transitions_are_an_error(tmp_path, explore, write_bag):
    with pytest.raises(DatasetError, match="no transitions in"):
        SegmentReading([write_bag(tmp_path / "empty", [])])
    bag = write_bag(tmp_path / "bag", explore())
    with pytest.raises(DatasetError, match="no transitions of other in"):
        SegmentReading([bag], ["other"])


def test_a_dclaw_is_known_by_its_sizes_and_its_entries_have_names():
    about = Layout(12, 9).describe()
    assert about["observation_names"][-1] == "valve_velocity"
    assert about["observation_units"][-1] == "rad/s"
    assert about["action_names"][0] == "joint_10"
    other = Layout(2, 1).describe()
    assert other["observation_names"] == ["observation_0", "observation_1"]
    assert other["observation_units"] is None


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
