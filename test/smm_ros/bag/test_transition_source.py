"""A bag's transitions, wherever they come from: chosen by hand, and nothing passed over unsaid."""

import dataclasses

import pytest

from smm_ros.bag.reading import BagError
from smm_ros.bag.transition_source import (
    AUTO,
    JOINT_STATES,
    SOURCES,
    TRANSITIONS,
    TransitionSource,
    check_hands,
)


@pytest.mark.parametrize("kind", SOURCES)
def test_recorded_and_assembled_ones_are_the_same_states(recorded_run, kind):
    source = TransitionSource(recorded_run.path, kind)
    found = [(record.stamp_ns, record.next_observation.tobytes()) for record in source]
    assert found == [(r.stamp_ns, r.next_observation.tobytes()) for r in recorded_run.transitions]
    assert source.taken_from == (JOINT_STATES if kind == JOINT_STATES else TRANSITIONS)
    assert source.assembled == (len(found) if kind == JOINT_STATES else 0)
    assert source.notes == []


def test_of_the_hands_chosen_the_run_and_the_doubles_are_told(explore, write_bag, tmp_path):
    left, right = explore("left"), explore("right")
    second = [dataclasses.replace(record, skill=5) for record in left]
    bag = write_bag(tmp_path / "bag", left + right + right[2:] + second, ["left", "right"])
    source, runs = TransitionSource(bag, AUTO, hands=["left"]), []
    for record in source:
        runs.append((record.hand, source.run("left")))
    assert runs == [("left", 0)] * 15 + [("left", 1)] * 15
    assert source.doubles.total() == 0
    assert source.hands == {"left", "right"}
    both = TransitionSource(bag)
    assert len(list(both)) == 45
    assert both.notes == [
        f"{bag}: 13 transitions of right came more than once, or late, and were passed over"
    ]


def test_a_hand_that_is_in_none_of_the_bags_is_named_with_those_that_are(
    explore, write_bag, tmp_path
):
    sources = [
        TransitionSource(write_bag(tmp_path / hand, explore(hand), [hand]), hands=["a", "other"])
        for hand in ("a", "b")
    ]
    assert [len(list(source)) for source in sources] == [15, 0]
    check_hands(sources, ["a", "other"])
    with pytest.raises(BagError, match="no transitions of other in .*/a, .*/b; .* some of a, b"):
        check_hands(sources, ["other"])
    check_hands(sources, [])


def test_a_bag_without_what_is_asked_for_says_where_else_to_look(write_bag, tmp_path):
    with pytest.raises(BagError, match="holds no transitions; take them from its joint_states"):
        list(TransitionSource(write_bag(tmp_path / "empty", []), TRANSITIONS))
    with pytest.raises(BagError, match="no bag at"):
        TransitionSource(tmp_path / "absent")
