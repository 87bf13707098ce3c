"""Which episode of a recording is driven, and which are refused."""

import dataclasses

import numpy as np
import pytest

from smm_ros.bag.replay.recorded_episode import EpisodeError, find_episode
from smm_ros.dclaw import task
from smm_ros.dclaw.hand import HandState
from smm_ros.dclaw.spec import RESET_POSE
from smm_ros.records import TransitionRecord

PERIOD_NS = 100_000_000


def record(episode, step, length=4, hand="dclaw", **fields):
    values = {
        "stamp_ns": (100 * episode + step) * PERIOD_NS,
        "hand": hand,
        "sequence": 1000 * episode + step,
        "episode": episode,
        "step": step,
        "skill": 0,
        "policy_version": 0,
        "observation": seen(step),
        "action": np.full(9, 0.1 * step, np.float32),
        "next_observation": seen(step + 1),
        "log_p_shaping": 0.0,
        "terminated": False,
        "truncated": step == length - 1,
    }
    return TransitionRecord(**values | fields)


def seen(step):
    pose = RESET_POSE + 0.01 * step
    angle = 3.0 + 0.1 * step  # beyond pi it begins again at -pi
    return np.array([*pose, np.cos(angle), np.sin(angle), 0.0], np.float32)


def episode(number, steps=range(4), **fields):
    return [record(number, step, **fields) for step in steps]


def test_without_a_number_it_is_the_last_whole_one():
    records = episode(0) + episode(1) + episode(2, range(3))
    assert find_episode(records).number == 1
    assert find_episode(records, number=0).number == 0


def test_what_is_there_of_an_interrupted_episode_can_be_named():
    found = find_episode(episode(0) + episode(2, range(3)), number=2)
    assert found.num_steps == 3


def test_it_holds_what_was_done_and_what_was_seen():
    found = find_episode(episode(5))
    assert (found.hand, found.number, found.num_steps) == ("dclaw", 5, 4)
    (whole,) = found.stretches
    np.testing.assert_allclose(whole.actions[:, 0], [0, 0.1, 0.2, 0.3], atol=1e-6)
    assert whole.poses.shape == (5, 9)
    np.testing.assert_allclose(whole.poses[:, 0] - RESET_POSE[0], 0.01 * np.arange(5), atol=1e-6)
    np.testing.assert_allclose(found.valve, 3.0 + 0.1 * np.arange(5), atol=1e-6)


def test_places_between_steps_lie_on_straight_ways():
    (found,) = find_episode(episode(0)).stretches
    for place in (0.0, 0.25, 1.5, 3.9, 4.0):
        np.testing.assert_allclose(found.pose(place) - RESET_POSE, 0.01 * place, atol=1e-6)


def test_at_full_speed_the_target_is_what_the_action_asked_for():
    (found,) = find_episode(episode(0)).stretches
    for step in range(4):
        state = HandState(0.0, found.poses[step], *2 * (np.zeros(9),), 0.0, 0.0, 0.0)
        asked = task.target_from_action(found.actions[step], state)
        np.testing.assert_allclose(found.target(step, 1.0), asked)
        half = (found.poses[step] + asked) / 2
        np.testing.assert_allclose(found.target(step, 0.5), half)


def test_of_several_hands_one_is_named():
    records = episode(0) + episode(0, hand="lab/left")
    with pytest.raises(EpisodeError, match="dclaw, lab/left; name one with --recorded"):
        find_episode(records)
    assert find_episode(records, "lab/left").hand == "lab/left"
    with pytest.raises(EpisodeError, match="no transitions of right, but of dclaw, lab/left"):
        find_episode(records, "right")


def test_what_is_not_there_is_named():
    with pytest.raises(EpisodeError, match="holds no transitions"):
        find_episode([])
    with pytest.raises(EpisodeError, match="no episode 7 of dclaw; the bag has 2 to 3"):
        find_episode(episode(2) + episode(3), number=7)
    with pytest.raises(EpisodeError, match="none of the episodes 4 to 4 of dclaw is whole"):
        find_episode(episode(4, [0, 1, 3]))


@pytest.mark.parametrize(
    ("steps", "words", "parts"),
    [([0, 1, 3], "between steps 1 and 3", [2, 1]), ([2, 3], "begins with step 2", [2])],
)
def test_an_episode_with_gaps_is_refused_unless_they_are_to_be_skipped(steps, words, parts):
    with pytest.raises(EpisodeError, match=words):
        find_episode(episode(1, steps), number=1)
    found = find_episode(episode(1, steps), number=1, skip_gaps=True)
    assert [stretch.num_steps for stretch in found.stretches] == parts
    assert found.num_steps == len(steps)


def test_what_follows_a_gap_begins_where_it_was_recorded():
    found = find_episode(episode(1, [0, 1, 3]), number=1, skip_gaps=True)
    places = [(stretch.poses[:, 0] - RESET_POSE[0]) / 0.01 for stretch in found.stretches]
    np.testing.assert_allclose(places[0], [0, 1, 2], atol=1e-4)
    np.testing.assert_allclose(places[1], [3, 4], atol=1e-4)
    np.testing.assert_allclose(found.valve, 3.0 + 0.1 * np.arange(5), atol=1e-6)


def test_a_pause_between_two_steps_is_a_gap():
    records = episode(1)
    records[2:] = [
        dataclasses.replace(each, stamp_ns=each.stamp_ns + PERIOD_NS) for each in records[2:]
    ]
    with pytest.raises(EpisodeError, match=r"has 0\.20 s between steps 1 and 2"):
        find_episode(records, number=1)
    found = find_episode(records, number=1, skip_gaps=True)
    assert [stretch.num_steps for stretch in found.stretches] == [2, 2]


def test_a_step_that_begins_elsewhere_than_the_one_before_it_led_to_is_a_gap():
    records = episode(0) + episode(1)
    moved = seen(3)
    moved[0] += 0.4
    records[5] = dataclasses.replace(records[5], next_observation=moved)
    with pytest.raises(EpisodeError, match="begins step 2 elsewhere than step 1 has led to"):
        find_episode(records, number=1)
    found = find_episode(records, number=1, skip_gaps=True)
    assert [stretch.num_steps for stretch in found.stretches] == [2, 2]
    assert find_episode(records).number == 0, "the last whole one"


def test_a_step_in_which_a_joint_jumps_is_a_gap_and_left_out():
    """As where somebody had the hand reset in the middle."""
    records = episode(1)
    for number, name in ((1, "next_observation"), (2, "observation"), (2, "next_observation")):
        away = getattr(records[number], name).copy()
        away[4] += 1.7
        records[number] = dataclasses.replace(records[number], **{name: away})
    records[3] = dataclasses.replace(records[3], observation=records[2].next_observation)
    with pytest.raises(EpisodeError, match=r"has joint_21 move by 1\.71 rad within step 1"):
        find_episode(records, number=1)
    found = find_episode(records, number=1, skip_gaps=True)
    assert [stretch.num_steps for stretch in found.stretches] == [1, 1]
    with pytest.raises(EpisodeError, match="and has nothing else"):
        find_episode(records[1:2], number=1, skip_gaps=True)


def test_of_several_runs_in_one_bag_the_last_with_the_number_is_taken():
    records = episode(1) + episode(2) + episode(1, action=np.full(9, 0.5, np.float32))
    found = find_episode(records, number=1)
    assert found.num_steps == 4
    assert (found.stretches[0].actions == 0.5).all()


def test_another_hand_s_actions_are_refused():
    with pytest.raises(EpisodeError, match="actions of 4 numbers; the hand's have 9"):
        find_episode(episode(0, action=np.zeros(4, np.float32)))
    with pytest.raises(EpisodeError, match="observations of 3 numbers; the hand's have 12"):
        find_episode(episode(0, observation=np.zeros(3, np.float32)))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(wrong):
    with pytest.raises(EpisodeError, match="expected finite numbers"):
        find_episode(episode(0, action=np.full(9, wrong, np.float32)))
    with pytest.raises(EpisodeError, match="expected finite numbers"):
        find_episode(episode(0, next_observation=np.full(12, wrong, np.float32)), number=0)
