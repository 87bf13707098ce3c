"""Every number of a hand is counted once: received, missing, dropped, skipped or repeated."""

from hypothesis import given
from hypothesis import strategies as st

from smm_ros.sequence_meter import Numbered, SequenceMeter


def at(sequence):
    """A transition of a run that is published one number per ns."""
    return Numbered(sequence, sequence)


def test_missing_and_repeated_numbers_are_counted_per_hand_from_the_first_expected():
    meter = SequenceMeter()
    meter.expect_after({"a": at(3)})
    marks = [("a", 3), ("a", 5), ("b", 7), ("a", 6), ("a", 9), ("a", 6), ("b", 10), ("a", 10)]
    assert [meter.mark(hand, at(sequence)) for hand, sequence in marks] == [
        False, True, True, True, True, False, True, True,
    ]  # fmt: skip
    assert meter.missing == {"a": 3, "b": 2}
    assert meter.received == {"a": 4, "b": 2}
    assert meter.repeated == {"a": 2}


def test_a_hand_that_only_the_bag_knows_has_no_counts():
    meter = SequenceMeter()
    meter.expect_after({"a": at(3)})
    assert meter.hands == []


def test_what_is_skipped_or_dropped_is_not_missing():
    meter = SequenceMeter()
    meter.mark("a", at(0))
    assert meter.skip("a", at(3))  # 1 and 2 went by as well
    assert not meter.skip("a", at(2))
    meter.mark("a", at(4))
    meter.drop("a", at(9), 3)  # of 5 to 9 three were dropped, two never came
    meter.mark("a", at(10))
    assert meter.losses("a") == {"gaps": 2, "dropped": 3, "skipped": 3}
    assert meter.received["a"] == 3


def test_what_was_dropped_before_anything_was_known_of_the_hand_counts_as_dropped_alone():
    meter = SequenceMeter()
    meter.drop("a", at(9), 3)
    assert meter.losses("a") == {"gaps": 0, "dropped": 3, "skipped": 0}
    assert meter.mark("a", at(10))


def test_an_old_number_published_later_begins_another_run_and_one_kept_from_before_does_not():
    meter = SequenceMeter()
    meter.expect_after({"a": at(100)})
    assert not meter.mark("a", at(99))
    assert meter.mark("a", Numbered(0, 101))
    assert meter.mark("a", Numbered(2, 103))
    assert not meter.mark("a", Numbered(0, 101))
    assert (meter.restarts["a"], meter.repeated["a"], meter.received["a"]) == (1, 2, 2)
    assert meter.losses("a")["gaps"] == 1


def test_a_run_that_begins_while_nothing_is_wanted_or_has_room_is_counted_as_that():
    meter = SequenceMeter()
    meter.expect_after({"a": at(100)})
    assert meter.skip("a", Numbered(3, 101))
    meter.drop("a", Numbered(1, 200), 2)  # its 0 and 1
    assert meter.losses("a") == {"gaps": 0, "dropped": 2, "skipped": 1}
    assert meter.restarts["a"] == 2


FATES = st.lists(
    st.sampled_from(["mark", "skip", "drop", "lose", "repeat", "restart"]), max_size=60
)


@given(FATES)
def test_counts_agree_with_the_numbers_whatever_becomes_of_them(fates):
    meter, number, told, earlier = SequenceMeter(), 0, 0, 0
    meter.expect_after({"a": Numbered(-1, -1)})
    for time, fate in enumerate(fates):
        if fate == "repeat":
            meter.mark("a", Numbered(told - 1, -1))
        elif fate == "restart":
            meter.mark("a", Numbered(0, time))
            earlier, number, told = earlier + told, 1, 1
        else:
            if fate == "drop":
                meter.drop("a", Numbered(number, time), 1)
            elif fate != "lose":
                getattr(meter, fate)("a", Numbered(number, time))
            number += 1
            told = told if fate == "lose" else number
    assert meter.received["a"] + sum(meter.losses("a").values()) == earlier + told
