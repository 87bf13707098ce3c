"""Transitions out of states and commands: none is made up, whichever way they come."""

import numpy as np
import pytest

from smm_ros.assembly import HORIZON_NS, Assembler
from smm_ros.dclaw import task
from smm_ros.dclaw.hand import HandState
from smm_ros.dclaw.safety_clamp import MAX_STEP
from smm_ros.dclaw.spec import PERIOD_NS, POSITION_HIGH, RESET_POSE
from smm_ros.records import JointTarget

ANSWERED, FOREIGN = True, False


def state(stamp_ns):
    """A measurement whose valve angle says when it was taken."""
    seconds = stamp_ns * 1e-9
    return HandState(seconds, RESET_POSE, np.zeros(9), np.zeros(9), seconds, 0.5, 0.0)


class Told:
    """An assembler with what it has returned."""

    def __init__(self):
        self.assembler, self.records = Assembler("dclaw"), []

    def see(self, *stamps_ns):
        for stamp in stamps_ns:
            self.records += self.assembler.see(stamp, state(stamp), stamp)

    def command(self, stamp_ns, received_ns=None, position=RESET_POSE):
        received = stamp_ns if received_ns is None else received_ns
        target = JointTarget(stamp_ns, np.asarray(position))
        self.records += self.assembler.command(target, received)

    def finish(self):
        self.records += self.assembler.finish()
        return [(r.stamp_ns, r.episode, r.step, r.truncated) for r in self.records]


def at(number, share=0):
    """Return the stamp of a control period; none is 0, which is no stamp."""
    return (1000 + number) * PERIOD_NS + share * PERIOD_NS // 10


def number_of(stamp_ns):
    return stamp_ns // PERIOD_NS - 1000


def periods(first, last):
    return [at(number) for number in range(first, last + 1)]


@pytest.fixture
def told():
    return Told()


def play(told, first, last, answered=True):
    """Show states and answer all but the last, as an episode does."""
    *answers, end = periods(first, last)
    for stamp in answers:
        told.see(stamp)
        told.command(stamp if answered else 0, stamp + 1)
    told.see(end)


def test_each_answered_state_and_the_next_one_make_a_transition(told):
    play(told, 0, 3)
    assert told.finish() == [
        (at(0), 0, 0, False),
        (at(1), 0, 1, False),
        (at(2), 0, 2, True),
    ]
    for record in told.records:
        seconds = record.stamp_ns * 1e-9
        seen = (seconds, seconds + 0.1)
        for obs, expected in zip((record.observation, record.next_observation), seen, strict=True):
            cos, sin = obs[[task.VALVE_COS, task.VALVE_SIN]]
            assert (cos, sin) == pytest.approx((np.cos(expected), np.sin(expected)), abs=1e-6)
        assert record.log_p_shaping == task.log_p_shaping(state(record.stamp_ns + PERIOD_NS))
    assert [record.sequence for record in told.records] == [0, 1, 2]


def test_the_action_asks_for_the_target_that_the_safety_clamp_lets_through(told):
    told.see(at(0))
    told.command(at(0), position=RESET_POSE + 10 * MAX_STEP)
    told.see(at(1))
    told.finish()
    (record,) = told.records
    target = np.minimum(RESET_POSE + MAX_STEP, POSITION_HIGH)
    found = task.target_from_action(record.action, state(at(0)))
    np.testing.assert_allclose(found, target, atol=1e-6)


def test_a_target_that_is_not_finite_is_the_measured_angle_as_for_the_hand(told):
    told.see(at(0))
    told.command(at(0), position=[np.nan, *RESET_POSE[1:]])
    told.see(at(1))
    told.finish()
    found = task.target_from_action(told.records[0].action, state(at(0)))
    np.testing.assert_allclose(found, RESET_POSE, atol=1e-6)


def test_of_two_commands_for_one_state_the_first_counts_as_for_the_hand(told):
    told.see(at(0))
    told.command(at(0), position=RESET_POSE)
    told.command(at(0), position=RESET_POSE - 0.1)
    told.see(at(1))
    told.finish()
    found = task.target_from_action(told.records[0].action, state(at(0)))
    np.testing.assert_allclose(found, RESET_POSE, atol=1e-6)


def test_a_command_before_the_first_state_does_not_settle_how_commands_answer(told):
    """As where a recorder finds the commands first: theirs is by stamp all the same."""
    told.command(at(-1))
    told.see(at(0))
    play(told, 1, 3)
    told.see(*periods(4, 9))
    assert told.finish() == [(at(1), 0, 0, False), (at(2), 0, 1, True)]


def test_the_last_state_of_an_episode_is_not_gone_on_from(told):
    play(told, 0, 2)
    told.see(*periods(3, 9))  # a reset, or a hand that waits
    play(told, 10, 12)
    assert told.finish() == [
        (at(0), 0, 0, False),
        (at(1), 0, 1, True),
        (at(10), 1, 0, False),
        (at(11), 1, 1, True),
    ]


def test_nothing_is_made_over_a_missing_state_or_command(told):
    play(told, 0, 2)
    told.command(at(2))  # its next state, 3, is missing
    play(told, 4, 6)
    told.see(at(7))  # and 6 was not answered
    told.command(at(7))
    told.see(at(8))
    stamps = [(number_of(s), episode) for s, episode, _, _ in told.finish()]
    assert stamps == [(0, 0), (1, 0), (4, 1), (5, 1), (7, 2)]


def test_a_period_that_is_too_long_or_too_short_is_none(told):
    for stamp in (at(0), at(1) + PERIOD_NS // 9, at(2)):
        told.see(stamp)
        told.command(stamp)
    assert told.finish() == []


@pytest.mark.parametrize("kind", [ANSWERED, FOREIGN])
def test_faster_states_are_thinned_to_the_control_period(told, kind):
    for number in range(41):
        stamp = at(0, number)
        told.see(stamp)
        if number % 10 == 0:
            told.command(stamp if kind is ANSWERED else 0, stamp + 1)
    found = told.finish()
    assert [stamp for stamp, *_ in found] == periods(0, 3)
    assert [s for *_, s in found] == [False, False, False, True]


def test_of_faster_states_the_answered_one_is_gone_on_from(told):
    for number in range(40):
        told.see(at(0, number))
        if number % 11 == 0:  # a policy that is a little late each time
            told.command(at(0, number))
    assert told.finish() == [(at(0, 11 * step), 0, step, step == 2) for step in range(3)]


def test_without_answering_stamps_the_last_command_received_counts(told):
    for number, stamp in enumerate(periods(0, 60)):
        told.see(stamp)
        if number % 2 == 0:  # at half the rate: held in between
            told.command(123, stamp + 1, RESET_POSE + number * 1e-3)
    found = told.finish()
    assert [stamp for stamp, *_ in found] == periods(0, 59)
    for number, record in enumerate(told.records):
        target = task.target_from_action(record.action, state(record.stamp_ns))
        np.testing.assert_allclose(target, RESET_POSE + number // 2 * 2e-3, atol=1e-6)


def test_a_command_from_before_a_gap_is_not_held_over_it(told):
    play(told, 0, 10, FOREIGN)
    told.see(*periods(20, 25))
    told.command(0, at(25) + 1)
    told.see(at(26))
    stamps = [number_of(stamp) for stamp, *_ in told.finish()]
    assert stamps == [*range(10), 25]


def test_states_alone_and_commands_alone_make_nothing_and_fill_no_memory(told):
    told.see(*periods(0, 2000))
    assert len(told.assembler._pending) <= HORIZON_NS // PERIOD_NS + 2
    assert told.finish() == []
    for number in range(25_000):
        told.command(1 + number, number)
    assert len(told.assembler._answers) <= 10_000
    assert told.finish() == []


def test_a_clock_that_is_started_anew_begins_a_segment(told):
    play(told, 100, 102)
    play(told, 0, 2)
    assert [(number_of(s), e) for s, e, _, _ in told.finish()] == [
        (100, 0),
        (101, 0),
        (0, 1),
        (1, 1),
    ]


def test_states_with_numbers_that_are_not_finite_are_missing_ones(told):
    play(told, 0, 2)
    told.command(at(2))
    bad = state(at(3))
    bad.joint_velocity[4] = np.nan
    told.records += told.assembler.see(at(3), bad, at(3))
    play(told, 4, 5)
    assert [number_of(s) for s, *_ in told.finish()] == [0, 1, 4]
    assert told.assembler.refused == 1


@pytest.mark.parametrize("delay", [0, 3, 30])
@pytest.mark.parametrize("late", ["states", "commands"])
def test_the_result_does_not_depend_on_which_of_the_two_topics_is_late(delay, late):
    """Episodes of 20 periods with pauses; one topic lags by so many messages."""
    events = []
    for begin in (0, 30, 70):
        events += [("states", stamp) for stamp in periods(begin, begin + 20)]
        events += [("commands", stamp) for stamp in periods(begin, begin + 19)]
    shift = delay * PERIOD_NS
    order = {name: shift * (name == late) for name in ("states", "commands")}
    results = []
    for key in (lambda e: (e[1], e[0] == "commands"), lambda e: e[1] + order[e[0]]):
        told = Told()
        for name, stamp in sorted(events, key=key):
            (told.see if name == "states" else told.command)(stamp)
        results.append(told.finish())
    assert results[0] == results[1]
    assert len(results[0]) == 60
