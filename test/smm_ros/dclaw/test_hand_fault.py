"""What is made of a measurement, and of what went before it."""

import numpy as np
import pytest

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.motor_sample import MotorSample
from smm_ros.dclaw.hand_fault import MOST_EVENTS, HandFault, find_trouble

IDS = (10, 11, 12)
ON = [True, True, False]


def sample(errors=(0, 0, 0), tripped=(), torque_on=ON):
    zeros = np.zeros(len(IDS))
    return MotorSample(
        asked=0.0,
        stamp=0.0,
        torque_on=np.array(torque_on),
        errors=np.array(errors, np.uint8),
        tripped=np.array([motor in tripped for motor in IDS]),
        clock=zeros,
        current=zeros,
        velocity=zeros,
        position=zeros,
        voltage=zeros + 12,
        temperature=zeros + 30,
    )


def test_where_all_is_as_it_is_meant_to_be_there_is_no_trouble():
    trouble = find_trouble(sample(), IDS, ON, {})
    assert (trouble.text, trouble.failed, dict(trouble.errors)) == ("", frozenset(), {})


@pytest.mark.parametrize(
    ("seen", "absent", "text", "failed", "holds_torque"),
    [
        (sample(tripped=[11]), {}, "motor 11 was stopped by its bus watchdog", {11}, False),
        (sample(torque_on=[True, False, False]), {}, "motor 11 has let go", {11}, False),
        (sample(torque_on=[True] * 3), {}, "motor 12 holds torque unasked", {12}, True),
        (sample(), {10: 0.2, 12: 0.3}, "motor 10, 12 answers again after 0.30 s", {10, 12}, False),
    ],
)
def test_what_has_failed_is_named(seen, absent, text, failed, holds_torque):
    trouble = find_trouble(seen, IDS, ON, absent)
    assert trouble.text == text
    assert trouble.failed == failed
    assert trouble.holds_torque == holds_torque
    assert trouble.absence == max(absent.values(), default=0.0)


def test_errors_come_before_what_follows_from_them_and_all_are_told():
    hot = 1 << reg.OVERHEATING_BIT | 1 << reg.OVERLOAD_BIT
    seen = sample(errors=(0, hot, 1), torque_on=[True, False, False])
    trouble = find_trouble(seen, IDS, ON, {})
    words = "motor 11 reports overheating, overload; motor 12 reports input voltage"
    assert trouble.text == words
    assert trouble.errors == {11: hot, 12: 1}


def test_a_loss_is_one_event_however_often_it_is_seen_and_lasts_from_the_first():
    fault = HandFault()
    for k in range(100):
        fault.lose((11,), f"no answer of motor 11 within {7 + k} ms", float(k))
    assert fault.take_events() == ["no answer of motor 11 within 7 ms"]
    assert fault.absence(100.0) == {11: 100.0}
    fault.clear()
    assert fault.absence(101.0) == {}


def test_events_that_nobody_takes_do_not_pile_up():
    fault = HandFault()
    for k in range(2 * MOST_EVENTS):
        fault.tell(str(k))
    assert fault.take_events()[0] == str(MOST_EVENTS)
    assert fault.take_events() == []


def test_a_fault_is_an_event_when_it_changes():
    fault = HandFault()
    for text in ("hot", "hot", "hotter"):
        fault.set(text, is_held=True)
    assert fault.take_events() == ["hot", "hotter"]
    assert fault.is_held
