"""Recoveries: which faults, in which order, and how many."""

import pytest

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.bus_errors import BusError
from smm_ros.dclaw.hand_fault import Trouble
from smm_ros.dclaw.recovery import BOOT_TIME, Recovery, RecoveryConfig

OVERLOAD, HOT = 1 << reg.OVERLOAD_BIT, 1 << reg.OVERHEATING_BIT


def trouble(*failed, **others):
    return Trouble("on purpose", frozenset(failed), **others)


class Motors:
    """Writes down what is done to it."""

    def __init__(self, status=0):
        self.done, self.status, self.bus = [], status, self

    def reboot(self, motor):
        self.done.append(("reboot", motor))

    def configure(self, motors):
        self.done.append(("configure", motors))

    def read(self, motor, register):
        assert register is reg.HARDWARE_ERROR_STATUS
        return self.status


def test_an_overloaded_motor_rests_starts_anew_and_is_set_up_again():
    motors, recovery = Motors(), Recovery(RecoveryConfig(rest=2.0))
    steps = recovery.steps(motors, trouble(errors={11: OVERLOAD}), 0.0)
    assert next(steps) == (2.0, True)
    assert motors.done == []
    assert next(steps) == (BOOT_TIME, False)
    assert motors.done == [("reboot", 11)]
    assert list(steps) == []
    assert motors.done[1:] == [("configure", [11])]
    assert recovery.count == 1


def test_a_motor_without_an_error_is_set_up_again_at_once():
    motors, recovery = Motors(), Recovery()
    assert {pause.seconds for pause in recovery.steps(motors, trouble(20, 12), 0.0)} == {0.0}
    assert motors.done == [("configure", [12, 20])]


def test_an_error_that_stays_is_no_recovery():
    recovery = Recovery()
    with pytest.raises(BusError, match="motor 11 still reports overload after"):
        list(recovery.steps(Motors(OVERLOAD), trouble(errors={11: OVERLOAD}), 0.0))
    assert recovery.count == 0


@pytest.mark.parametrize("status", [HOT, HOT | OVERLOAD, 1 << reg.VOLTAGE_BIT])
def test_other_errors_are_for_a_person(status):
    refusal = Recovery().refusal(trouble(errors={11: OVERLOAD, 12: status}), 0.0)
    assert refusal.startswith("motor 12 reports ")
    assert "overload" not in refusal
    assert Recovery().refusal(trouble(errors={11: OVERLOAD}), 0.0) == ""


@pytest.mark.parametrize(
    "what",
    [
        trouble(10, 11, restarted=frozenset({10, 11})),
        trouble(11, absence=1.1),
        trouble(11, restarted=frozenset({11}), absence=3.0),
    ],
)
def test_what_looks_like_a_switch_or_a_plug_waits_for_a_person(what):
    assert "look at the hand, then clear the stop" in Recovery().refusal(what, 0.0)


@pytest.mark.parametrize(
    "what",
    [
        trouble(11, restarted=frozenset({11})),
        trouble(11, 12, absence=0.3),
        trouble(*range(10, 20)),
    ],
)
def test_a_short_failure_is_recovered_from(what):
    assert Recovery().refusal(what, 0.0) == ""


def test_after_some_within_an_hour_a_person_is_waited_for():
    recovery = Recovery(RecoveryConfig(per_hour=3))
    for now in (0.0, 600.0, 1200.0):
        assert recovery.refusal(trouble(11), now) == ""
        list(recovery.steps(Motors(), trouble(11), now))
    assert recovery.refusal(trouble(11), 1300.0).startswith("3 recoveries within an hour")
    assert recovery.refusal(trouble(11), 3601.0) == ""
    list(recovery.steps(Motors(), trouble(11), 3601.0))
    assert recovery.refusal(trouble(11), 3700.0)
    recovery.forgive()
    assert recovery.refusal(trouble(11), 3700.0) == ""


def test_none_at_all_may_be_asked_for():
    assert Recovery(RecoveryConfig(per_hour=0)).refusal(trouble(11), 0.0)


@pytest.mark.parametrize("values", [{"per_hour": -1}, {"rest": float("inf")}])
def test_numbers_that_are_none_are_refused(values):
    with pytest.raises(ValueError, match="expected"):
        RecoveryConfig(**values)
