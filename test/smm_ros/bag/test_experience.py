"""What learners take from a bag: all of its transitions, or a word on the one that is none."""

import numpy as np
import pytest

from smm_core.transitions import Layout
from smm_ros.bag.experience import Experience
from smm_ros.bag.mcap_file import BagError

LAYOUT = Layout(4, 2, num_skills=3)


def small(make_record, sequence, **fields):
    return make_record(sequence, 4, 2, **fields)


def test_all_hands_transitions_come_in_the_order_recorded(make_record, bag_of):
    records = [small(make_record, s, hand=hand, skill=s % 3) for s in range(5) for hand in "ab"]
    found = list(Experience(bag_of("bag", records), LAYOUT))
    assert len(found) == 10
    for transition, record in zip(found, records, strict=True):
        for name, values in vars(record.as_transition()).items():
            assert np.array_equal(getattr(transition, name), values), name


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"skill": 3}, "skill is .3."),
        ({"observation": np.zeros(5, np.float32)}, "obs has shape"),
        ({"action": np.zeros(3, np.float32)}, "action has shape"),
        ({"next_observation": np.array([0, 0, np.nan, 0], np.float32)}, "next_obs.* is nan"),
        ({"log_p_shaping": float("-inf")}, "reward.* is -inf"),
    ],
)
def test_what_can_not_be_learnt_from_is_named_with_its_bag(make_record, bag_of, fields, words):
    records = [small(make_record, s, **(fields if s == 3 else {})) for s in range(5)]
    bag = bag_of("odd_bag", records)
    found = iter(Experience(bag, LAYOUT))
    for _ in range(3):
        next(found)
    with pytest.raises(BagError, match=rf"odd_bag: transition 3 of dclaw .*{words}"):
        next(found)


def test_a_missing_bag_is_named_before_anything_is_read(tmp_path):
    with pytest.raises(BagError, match="absent"):
        Experience(tmp_path / "absent", LAYOUT)


def test_a_bag_that_holds_nothing_to_learn_from_is_refused(bag_of):
    with pytest.raises(BagError, match="nothing"):
        list(Experience(bag_of("nothing", []), LAYOUT))
