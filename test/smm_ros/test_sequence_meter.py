"""Every number of a hand is counted once: received, missing, dropped, skipped or repeated."""

from hypothesis import given
from hypothesis import strategies as st

from smm_ros.sequence_meter import SequenceMeter


def test_missing_and_repeated_numbers_are_counted_per_hand_from_the_first_expected():
    meter = SequenceMeter()
    meter.expect({"a": 4})
    marks = [("a", 3), ("a", 5), ("b", 7), ("a", 6), ("a", 9), ("a", 6), ("b", 10), ("a", 10)]
    assert [meter.mark(hand, sequence) for hand, sequence in marks] == [
        False, True, True, True, True, False, True, True,
    ]  # fmt: skip
    assert meter.missing == {"a": 3, "b": 2}
    assert meter.received == {"a": 4, "b": 2}
    assert meter.repeated == {"a": 2}


def test_a_hand_that_only_the_bag_knows_has_no_counts():
    meter = SequenceMeter()
    meter.expect({"a": 4})
    assert meter.hands == []


def test_what_is_skipped_or_dropped_is_not_missing():
    meter = SequenceMeter()
    meter.mark("a", 0)
    assert meter.skip("a", 3)  # 1 and 2 went by as well
    assert not meter.skip("a", 2)
    meter.mark("a", 4)
    meter.drop("a", 9, 3)  # of 5 to 9 three were dropped, two never came
    meter.mark("a", 10)
    assert meter.losses("a") == {"gaps": 2, "dropped": 3, "skipped": 3}
    assert meter.received["a"] == 3


def test_what_was_dropped_before_anything_was_known_of_the_hand_counts_as_dropped_alone():
    meter = SequenceMeter()
    meter.drop("a", 9, 3)
    assert meter.losses("a") == {"gaps": 0, "dropped": 3, "skipped": 0}
    assert meter.mark("a", 10)


FATES = st.lists(st.sampled_from(["mark", "skip", "drop", "lose", "repeat"]), max_size=60)


@given(FATES)
def test_counts_agree_with_the_numbers_whatever_becomes_of_them(fates):
    meter, number, told = SequenceMeter(), 0, 0
    meter.expect({"a": 0})
    for fate in fates:
        if fate == "repeat":
            meter.mark("a", told - 1)
            continue
        if fate != "lose":
            meter.drop("a", number, 1) if fate == "drop" else getattr(meter, fate)("a", number)
            told = number + 1
        number += 1
    assert meter.received["a"] + sum(meter.losses("a").values()) == told
