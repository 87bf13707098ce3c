"""Lock step: one control period per command that answers the current state."""

import pytest

from smm_ros.lockstep import LockStep, Pace, Phase

PERIOD_NS = 100_000_000


@pytest.fixture
def lockstep() -> LockStep:
    """A lock step just after a reset, with the state of stamp 1 s shown at wall time 0."""
    lockstep = LockStep(command_timeout=5.0)
    lockstep.begin_reset()
    lockstep.end_reset(success=True)
    lockstep.show(10 * PERIOD_NS, now=0.0)
    return lockstep


def test_command_for_the_current_state_is_taken_once(lockstep: LockStep) -> None:
    """The same command twice moves the hand once."""
    assert lockstep.take(10 * PERIOD_NS) is None
    assert lockstep.take(10 * PERIOD_NS) == "already answered"
    assert lockstep.taken == 1


def test_fifty_commands_give_fifty_steps(lockstep: LockStep) -> None:
    """Each shown state takes exactly one command."""
    for step in range(10, 60):
        assert lockstep.take(step * PERIOD_NS) is None
        lockstep.show((step + 1) * PERIOD_NS, now=0.001 * step)
    assert lockstep.taken == 50
    assert not lockstep.refused


@pytest.mark.parametrize("stamp", [9 * PERIOD_NS, 11 * PERIOD_NS, 0, 10 * PERIOD_NS + 1])
def test_command_with_another_stamp_is_refused_and_counted(lockstep: LockStep, stamp: int) -> None:
    """One nanosecond off is off; the right command is still taken afterwards."""
    assert lockstep.take(stamp) == "wrong stamp"
    assert lockstep.refused == {"wrong stamp": 1}
    assert lockstep.take(10 * PERIOD_NS) is None


def test_no_command_is_taken_before_any_state_was_shown() -> None:
    """There is nothing to answer yet, whatever the stamp."""
    assert LockStep(1.0).take(0) == "wrong stamp"


def test_silence_ends_lock_step_and_a_matching_command_begins_it_again(lockstep: LockStep) -> None:
    """Time stands still up to the timeout and goes on after it."""
    assert not lockstep.holds(now=5.0)
    assert lockstep.holds(now=5.01)
    lockstep.show(11 * PERIOD_NS, now=5.01)
    assert lockstep.take(10 * PERIOD_NS) == "wrong stamp"
    assert lockstep.take(11 * PERIOD_NS) is None
    assert not lockstep.holds(now=100.0)


def test_stop_latches_until_it_is_cleared(lockstep: LockStep) -> None:
    """No command passes a stop, not even after a reset."""
    lockstep.stop()
    assert lockstep.take(10 * PERIOD_NS) == "stopped"
    assert lockstep.holds(now=0.0)
    lockstep.clear_stop()
    assert lockstep.take(10 * PERIOD_NS) is None


def test_reset_refuses_commands_and_a_failed_one_goes_on_holding(lockstep: LockStep) -> None:
    """A stop in the middle of a reset does not end the reset by itself."""
    lockstep.begin_reset()
    assert lockstep.take(10 * PERIOD_NS) == "resetting"
    lockstep.stop()
    assert lockstep.phase is Phase.RESETTING
    lockstep.end_reset(success=False)
    assert lockstep.phase is Phase.HOLDING


def test_pace_of_zero_is_never_late() -> None:
    """As fast as it can: everything is due at once."""
    pace = Pace(0.0, PERIOD_NS)
    pace.shown(0, now=10.0)
    assert pace.due(PERIOD_NS) == float("-inf")


@pytest.mark.parametrize(("factor", "period"), [(1.0, 0.1), (2.0, 0.05), (0.5, 0.2)])
def test_pace_spaces_states_by_the_factor(factor: float, period: float) -> None:
    """Small lateness does not add up: the hundredth state is due a hundred periods in."""
    pace = Pace(factor, PERIOD_NS)
    pace.shown(0, now=10.0)
    for step in range(1, 100):
        pace.shown(step * PERIOD_NS, pace.due(step * PERIOD_NS) + 0.002)
    assert pace.due(100 * PERIOD_NS) == pytest.approx(10.0 + 100 * period)


def test_pace_does_not_make_up_for_lost_time() -> None:
    """After a pause the next state is due a full period later."""
    pace = Pace(1.0, PERIOD_NS)
    pace.shown(0, now=0.0)
    pace.shown(PERIOD_NS, now=7.0)
    assert pace.due(2 * PERIOD_NS) == pytest.approx(7.1)


def test_pace_follows_a_hand_that_ran_ahead() -> None:
    """Holding goes on in real time; back in lock step at half pace nothing is due far ahead."""
    pace = Pace(0.5, PERIOD_NS)
    for step in range(100):
        pace.shown(step * PERIOD_NS, now=step * 0.1)
    assert pace.due(100 * PERIOD_NS) == pytest.approx(9.9 + 0.2)


def test_only_a_state_that_came_of_a_command_asks_for_an_answer_at_once(
    lockstep: LockStep,
) -> None:
    """The first state of an episode waits for the answer to the reset, and that is no delay."""
    assert lockstep.asked_at is None
    lockstep.take(10 * PERIOD_NS)
    lockstep.show(11 * PERIOD_NS, now=3.0)
    assert lockstep.asked_at == 3.0
    lockstep.begin_reset()
    lockstep.end_reset(success=True)
    assert lockstep.asked_at is None


def test_a_state_shown_while_holding_asks_for_nothing(lockstep: LockStep) -> None:
    """Nobody has to answer while time passes by itself."""
    lockstep.hold()
    lockstep.show(11 * PERIOD_NS, now=3.0)
    assert lockstep.asked_at is None
