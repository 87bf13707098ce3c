"""What learners take from a bag: all of its transitions, or a word on the one that is none."""

import numpy as np
import pytest

from smm_core.transitions import Layout
from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.offline.experience import Experience
from smm_ros.bag.reading import read_messages
from smm_ros.bag.transition_source import TransitionSource
from smm_ros.bag.writer import BagWriter
from smm_ros.interfaces import JOINT_COMMAND, JOINT_STATES

LAYOUT = Layout(4, 2, num_skills=3)


def small(make_record, sequence, **fields):
    return make_record(sequence, 4, 2, **fields)


def test_all_hands_transitions_come_in_the_order_recorded(make_record, bag_of):
    records = [small(make_record, s, hand=hand, skill=s % 3) for s in range(5) for hand in "ab"]
    found = list(Experience(TransitionSource(bag_of("bag", records)), LAYOUT))
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
    found = iter(Experience(TransitionSource(bag), LAYOUT))
    for _ in range(3):
        next(found)
    with pytest.raises(BagError, match=rf"odd_bag: transition 3 of dclaw .*{words}"):
        next(found)


def test_joint_states_and_commands_alone_are_learnt_from_too(recorded_run, tmp_path):
    """A copy of a run's bag without its transitions: what it had, one for one."""
    names = [f"/dclaw/{JOINT_STATES}", f"/dclaw/{JOINT_COMMAND}"]
    messages = list(read_messages(recorded_run.path, names))
    topics = {message.topic.name: message.topic for message in messages}
    writer = BagWriter(tmp_path / "joints", list(topics.values()))
    for message in messages:
        writer.write(message.topic.name, message.log_time_ns, message.data)
    writer.close()
    layout = Layout(12, 9, num_skills=10)
    found = list(Experience(TransitionSource(tmp_path / "joints"), layout))
    recorded = list(Experience(TransitionSource(recorded_run.path), layout))
    assert len(found) == len(recorded) == len(recorded_run.transitions)
    for one, other in zip(found, recorded, strict=True):
        assert np.array_equal(one.next_obs, other.next_obs)
        assert np.array_equal(one.reward, other.reward)


def test_a_bag_that_holds_nothing_to_learn_from_is_refused(bag_of):
    with pytest.raises(BagError, match="nothing"):
        list(Experience(TransitionSource(bag_of("nothing", [])), LAYOUT))
