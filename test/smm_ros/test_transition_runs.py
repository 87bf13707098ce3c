"""Runs of a hand told apart: nothing is lost where numbers begin again, nothing comes twice."""

import dataclasses
from functools import partial

import numpy as np
import pytest

from smm_ros import transition_runs
from smm_ros.records import TransitionRecord
from smm_ros.transition_runs import ALL_BELOW, EACH, Place, TransitionRuns


def told(runs, *transitions):
    """Return which of the transitions are new."""
    return [runs.take_record(transition) for transition in transitions]


def run(count, name, stamp=0, first=0):
    """Return transitions with these numbers, of a run of that name."""
    zero, skill = np.zeros(1, np.float32), ord(name[0])
    return [
        TransitionRecord(
            stamp + n, "dclaw", n, 0, 0, skill, 0, zero, zero, zero, 0.0, False, False
        )
        for n in range(first, first + count)
    ]


@pytest.mark.parametrize("stamp", [0, 10_000], ids=["stamps of the twin", "of a clock"])
def test_numbers_that_begin_again_with_other_content_are_another_run(stamp):
    runs = TransitionRuns()
    assert all(told(runs, *run(3000, "first"), *run(2000, "second", stamp)))
    assert runs.next == {"dclaw": Place(1, 2000)}
    assert (runs.gaps["dclaw"], runs.doubles["dclaw"]) == (0, 0)


def test_what_is_sent_again_is_not_new_wherever_it_begins():
    runs, all_of_it = TransitionRuns(), run(ALL_BELOW + 3 * EACH, "first")
    assert all(told(runs, *all_of_it))
    for first in (0, 17, ALL_BELOW + 1, len(all_of_it) - 1):
        assert not any(told(runs, *all_of_it[first:]))
    assert runs.next == {"dclaw": Place(0, len(all_of_it))}


def test_one_that_was_passed_over_and_comes_late_is_counted_with_the_doubles():
    runs = TransitionRuns()
    assert told(runs, *run(3, "a"), *run(3, "a", first=5), *run(1, "a", first=4)) == [True] * 6 + [
        False
    ]
    assert (runs.gaps["dclaw"], runs.doubles["dclaw"]) == (2, 1)


def test_gaps_are_counted_from_the_first_number_of_a_later_run():
    runs = TransitionRuns()
    told(runs, *run(5, "a"), *run(2, "b", first=2), *run(1, "b", first=7))
    assert runs.gaps["dclaw"] == 3


def test_a_run_that_begins_where_nothing_is_remembered_is_found_a_little_later():
    """And at once where its stamps are newer."""
    first, number = run(2 * ALL_BELOW, "first"), ALL_BELOW + 1
    runs = TransitionRuns()
    told(runs, *first)
    new = told(runs, *run(EACH, "second", first=number))
    assert new == [False] * (EACH - 1) + [True]
    runs = TransitionRuns()
    told(runs, *first)
    assert all(told(runs, *run(EACH, "second", stamp=10**6, first=number)))


def test_gone_through_once_more_all_is_passed_by_up_to_the_place_left():
    first, second = run(100, "first"), run(50, "second")
    for place in (Place(0, 70), Place(1, 20), Place(1, 50)):
        runs = TransitionRuns({"dclaw": place})
        runs.begin_again()
        new = told(runs, *first, *second)
        expected = [(0, n) >= place for n in range(100)] + [(1, n) >= place for n in range(50)]
        assert new == expected
        assert runs.next == {"dclaw": Place(1, 50)}
        assert runs.gaps["dclaw"] == 0


def test_going_on_it_does_not_wait_for_what_a_recording_has_lost():
    runs = TransitionRuns({"dclaw": Place(1, 20)})
    runs.begin_again()
    assert not any(told(runs, *run(10, "first")))
    runs.go_on()
    assert told(runs, *run(2, "a", first=19)) == [False, True]


def test_a_record_is_told_by_what_was_observed(make_record):
    runs = TransitionRuns()
    record = make_record(3)
    other = dataclasses.replace(record, observation=record.observation + 1)
    assert [runs.take_record(r) for r in (record, record, other)] == [True, False, True]
    assert runs.next == {record.hand: Place(1, 4)}


def test_numbers_below_the_first_that_was_heard_are_another_run():
    runs = TransitionRuns()
    assert all(told(runs, *run(10, "a", stamp=900, first=5000), *run(3, "b")))
    assert runs.next == {"dclaw": Place(1, 3)}


def test_numbers_below_a_place_to_go_on_from_have_been_seen():
    """Although nothing of them is remembered."""
    runs = TransitionRuns({"dclaw": Place(0, 5000)})
    assert not any(told(runs, *run(10, "a", first=4980)))
    assert all(told(runs, *run(10, "a", first=5000)))


def test_of_a_long_run_few_are_remembered_and_what_is_sent_again_is_still_not_new(monkeypatch):
    monkeypatch.setattr(transition_runs, "MOST", ALL_BELOW + 10)
    runs, all_of_it, asked = TransitionRuns(), run(ALL_BELOW + 200 * EACH, "first"), []
    for transition in all_of_it:
        asked_for = partial(_noted, asked, transition)
        assert runs.take("dclaw", transition.sequence, transition.stamp_ns, asked_for)
    assert len(asked) < ALL_BELOW + 60
    for first in (0, ALL_BELOW + 1, 100 * EACH):
        assert not any(told(runs, *all_of_it[first:]))
    assert all(told(runs, *run(300, "second")))


def _noted(asked, transition):
    asked.append(transition.sequence)
    return transition
