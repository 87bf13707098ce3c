"""The episode logic against a scripted hand: no ROS, no physics."""

import numpy as np
import pytest

from smm_core.acting import ActingPolicy
from smm_core.generators import Generators
from smm_core.history import HistoryConfig, PolicyHistory, Snapshot
from smm_core.networks import Actor
from smm_core.transitions import Layout
from smm_ros.dclaw import task
from smm_ros.dclaw.hand import HandState
from smm_ros.dclaw.safety_clamp import MAX_STEP
from smm_ros.dclaw.spec import PERIOD_NS, RESET_POSE
from smm_ros.episodes import Episodes, Phase
from smm_ros.sequence_file import SequenceFile

LENGTH = 4


def state(number, valve_angle=0.0):
    """A measurement one control period after the one numbered before it."""
    position = RESET_POSE + 0.01 * number
    return HandState(number * 0.1, position, np.zeros(9), np.zeros(9), valve_angle, 0.0, 0.0)


@pytest.fixture
def episodes():
    acting = ActingPolicy(Layout(12, 9), (8,), PolicyHistory(HistoryConfig()), [0])
    return Episodes("/dclaw", acting, SequenceFile(None), LENGTH)


def begin(episodes, number=0, allowed=None):
    """Let the hand be reset and show its first state; return what is to be sent."""
    episodes.allow(allowed, 0)
    episodes.see(number * PERIOD_NS, state(number))
    return episodes.reset_done(number * PERIOD_NS)


def play(episodes, first, last):
    return [episodes.see(n * PERIOD_NS, state(n)) for n in range(first, last + 1)]


def test_a_command_answers_the_state_after_the_reset_in_whichever_order_they_arrive(episodes):
    assert begin(episodes).command.stamp_ns == 0
    episodes.interrupt()
    episodes.reset_done(PERIOD_NS)
    assert episodes.phase is Phase.AWAITING_RESET_STATE
    assert episodes.see(PERIOD_NS, state(1)).command.stamp_ns == PERIOD_NS


def test_an_episode_is_one_transition_for_each_control_period(episodes):
    begin(episodes)
    outputs = play(episodes, 1, LENGTH)
    transitions = [output.transition for output in outputs]
    assert [t.sequence for t in transitions] == list(range(LENGTH))
    assert [t.step for t in transitions] == list(range(LENGTH))
    assert [t.stamp_ns for t in transitions] == [n * PERIOD_NS for n in range(LENGTH)]
    assert [t.truncated for t in transitions] == [False] * (LENGTH - 1) + [True]
    for before, after in zip(transitions[:-1], transitions[1:], strict=True):
        np.testing.assert_array_equal(before.next_observation, after.observation)
    assert episodes.phase is Phase.NEEDS_RESET


def test_the_last_state_ends_the_episode_without_a_command(episodes):
    begin(episodes)
    *_, last = play(episodes, 1, LENGTH)
    assert last.command is None
    assert (last.episode.steps, last.episode.interrupted) == (LENGTH, False)


def test_the_recorded_action_asks_for_the_target_that_was_commanded(episodes):
    target = begin(episodes).command.position
    transition = episodes.see(PERIOD_NS, state(1)).transition
    np.testing.assert_allclose(task.target_from_action(transition.action, state(0)), target)
    assert np.abs(target - state(0).joint_position).max() <= MAX_STEP + 1e-12


def test_the_summary_tells_how_far_the_valve_went(episodes):
    begin(episodes)
    for number, angle in enumerate((1.0, 4.0, -2.0, 0.5), start=1):
        output = episodes.see(number * PERIOD_NS, state(number, angle))
    summary = output.episode
    assert (summary.valve_start, summary.valve_end) == (0.0, 0.5)
    assert (summary.valve_min, summary.valve_max) == (-2.0, 4.0)


def test_it_pauses_at_the_allowance_and_goes_on_from_the_same_state(episodes):
    begin(episodes, allowed=2)
    outputs = play(episodes, 1, 2)
    assert outputs[1].transition.sequence == 1
    assert outputs[1].command is None
    assert episodes.phase is Phase.PAUSED
    assert episodes.allow(2, 0).command is None
    assert episodes.allow(3, 0).command.stamp_ns == 2 * PERIOD_NS
    assert episodes.see(3 * PERIOD_NS, state(3)).transition.sequence == 2


def test_an_episode_waits_for_the_policy_that_is_on_its_way(episodes):
    episodes.see(0, state(0))
    episodes.allow(10, policy_version=1)
    assert episodes.reset_done(0).command is None
    assert episodes.phase is Phase.PAUSED
    assert episodes.allow(10, policy_version=0).command is not None


def test_nothing_is_played_before_a_policy_that_was_announced_has_come_or_was_refused(episodes):
    episodes.allow(10, policy_version=2)
    episodes.see(0, state(0))
    assert episodes.reset_done(0).command is None
    weights = Actor(Generators([1]), 12, 9, (8,)).state_dict()
    snapshot = Snapshot(1, episodes.acting.layout, weights)
    episodes.acting.history.keep(snapshot, {1: 1.0})
    assert episodes.allow(10, 2).command is None
    episodes.refused_version = 2
    assert episodes.allow(10, 2).command is not None
    assert episodes.acting.version[0] == 1


def test_without_any_good_policy_a_refused_one_is_still_waited_for(episodes):
    episodes.refused_version = 1
    episodes.allow(10, policy_version=1)
    episodes.see(0, state(0))
    assert episodes.reset_done(0).command is None


def test_an_episode_begins_at_the_newest_state_when_the_hand_held_through_a_pause(episodes):
    begin(episodes, allowed=0)
    assert episodes.phase is Phase.PAUSED
    play(episodes, 1, 3)
    assert episodes.allow(10, 0).command.stamp_ns == 3 * PERIOD_NS
    assert episodes.see(4 * PERIOD_NS, state(4)).transition.step == 0


@pytest.mark.parametrize("allowed", [None, 0, 1])
def test_a_hand_whose_clock_went_back_is_reset(episodes, allowed):
    begin(episodes, number=100, allowed=allowed)
    episodes.see(101 * PERIOD_NS, state(101))
    output = episodes.see(0, state(0))
    assert (output.transition, output.command) == (None, None)
    assert episodes.phase is Phase.NEEDS_RESET


def test_a_state_from_before_the_reset_begins_no_episode(episodes):
    begin(episodes, number=100)
    play(episodes, 101, 100 + LENGTH)
    # The hand was started anew: its clock is behind.
    assert episodes.reset_done(PERIOD_NS).command is None
    assert episodes.see(PERIOD_NS, state(1)).command.stamp_ns == PERIOD_NS


def test_a_missing_sample_is_counted_and_makes_no_transition(episodes):
    begin(episodes)
    late = episodes.see(2 * PERIOD_NS, state(2))
    assert late.transition is None
    assert late.command.stamp_ns == 2 * PERIOD_NS
    assert episodes.missed_samples == 1
    assert episodes.see(3 * PERIOD_NS, state(3)).transition.sequence == 0


def test_a_state_within_the_control_period_is_no_sample(episodes):
    begin(episodes)
    output = episodes.see(PERIOD_NS // 2, state(0.5))
    assert (output.command, output.transition) == (None, None)
    assert episodes.see(PERIOD_NS, state(1)).transition is not None


def test_a_hand_that_moves_on_in_a_pause_interrupts_the_episode(episodes):
    begin(episodes, allowed=1)
    episodes.see(PERIOD_NS, state(1))
    output = episodes.see(2 * PERIOD_NS, state(2))
    assert output.episode.interrupted
    assert (output.transition, output.command) == (None, None)
    assert episodes.phase is Phase.NEEDS_RESET


def test_an_interrupted_step_is_not_told_and_leaves_no_gap(episodes):
    begin(episodes)
    episodes.see(PERIOD_NS, state(1))
    assert episodes.interrupt().episode.steps == 1
    begin(episodes, number=7)
    assert episodes.see(8 * PERIOD_NS, state(8)).transition.sequence == 1
    assert episodes.interrupted == 1


def test_skill_and_policy_are_held_through_an_episode():
    history = PolicyHistory(HistoryConfig())
    acting = ActingPolicy(Layout(12, 9, num_skills=5), (8,), history, [3])
    episodes = Episodes("/dclaw", acting, SequenceFile(None), LENGTH)
    skills = []
    for episode in range(20):
        start = episode * (LENGTH + 1)
        begin(episodes, start)
        outputs = play(episodes, start + 1, start + LENGTH)
        seen = {output.transition.skill for output in outputs}
        assert len(seen) == 1
        skills += seen
    assert len(set(skills)) > 1
