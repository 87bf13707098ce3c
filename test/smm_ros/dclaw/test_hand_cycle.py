"""What follows when motors of a real hand fail: seen by the driver, and checked at the motors."""

import math
import time

import numpy as np
import pytest

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.bus_errors import BusError, MissingReplyError
from smm_ros.dclaw.hand import HandError, HandLimpError
from smm_ros.dclaw.hand_guard import Drive
from smm_ros.dclaw.recovery import RecoveryConfig
from smm_ros.dclaw.spec import NUM_JOINTS
from smm_ros.dclaw.virtual.hand import VirtualHand
from smm_ros.dclaw.virtual.port import VirtualPort

FINGERS_ON = [1] * 9 + [0]
ALL_OFF = [0] * 10


def take_up(hand, wait_until):
    """Clear a fault as a person does who has looked."""
    with pytest.raises(HandLimpError):
        hand.enable()
    wait_until(lambda: not hand.fault)
    hand.enable()


def test_an_overloaded_motor_makes_limp_is_named_and_comes_back(driver, port, torque, wait_until):
    driver.enable()
    port.command("overload 11")
    wait_until(lambda: driver.fault)
    assert driver.fault == "motor 11 reports overload"
    assert torque() == ALL_OFF
    with pytest.raises(HandLimpError, match="motor 11 reports overload"):
        driver.command(np.zeros(NUM_JOINTS))
    wait_until(lambda: not driver.fault)
    assert driver.report().recovered == 1
    assert driver.take_events() == [
        "motor 11 reports overload",
        "recovered from: motor 11 reports overload",
    ]
    for _ in driver.reset(0.0):
        time.sleep(0.02)
    assert torque() == FINGERS_ON


def test_a_hand_with_a_fault_from_before_is_not_switched_on_but_mended(
    drive, port, torque, wait_until
):
    port.command("overload 11")
    hand = drive(port)
    take_up(hand, wait_until)
    assert torque() == FINGERS_ON


def test_a_hot_motor_waits_for_a_person_who_gets_it_back(driver, port, torque, wait_until):
    driver.enable()
    port.command("heat 22 60")
    wait_until(lambda: driver.report().is_held)
    assert driver.fault.startswith("motor 22 reports overheating; ")
    with pytest.raises(HandLimpError, match="overheating"):
        list(driver.reset(0.0))
    assert torque() == ALL_OFF
    port.command("heat 22 0")
    take_up(driver, wait_until)
    assert torque() == FINGERS_ON


def test_recoveries_end_after_some(drive, port, wait_until):
    hand = drive(port, recovery=RecoveryConfig(per_hour=1, rest=0.0))
    port.command("overload 11")
    wait_until(lambda: hand.report().recovered == 1)
    port.command("overload 12")
    wait_until(lambda: hand.report().is_held)
    assert "1 recoveries within an hour" in hand.fault


def test_a_silent_motor_is_named_and_no_old_state_is_shown(driver, port, torque, wait_until):
    driver.enable()
    port.command("silent 20")
    wait_until(lambda: driver.report().drive is Drive.LIMP)
    with pytest.raises(HandError, match="no measurement: no answer of motor 20"):
        driver.read()
    assert "highest current (A)" not in driver.health().values
    wait_until(lambda: driver.health().warnings)
    assert driver.health().warnings[0].startswith("torque may be on: motor 20 does not say")
    assert max(driver.report().missed, key=driver.report().missed.get) == 20
    events = driver.take_events()
    assert events[0].startswith("no answer of motor 20")
    assert len(events) <= 3  # however long it lasts
    port.command("heard 20")
    wait_until(lambda: not driver.report().torque_unsure)
    assert torque() == ALL_OFF


def test_a_short_drop_out_is_got_over(driver, port, torque, wait_until):
    driver.enable()
    port.command("silent 20")
    wait_until(lambda: driver.fault)
    port.command("heard 20")
    wait_until(lambda: not driver.fault)
    assert torque() == ALL_OFF
    driver.enable()
    assert torque() == FINGERS_ON


@pytest.mark.parametrize(
    ("gone", "back"), [("unplug", "plug"), ("silent 20", "heard 20"), ("brownout", "show")]
)
def test_after_a_switch_or_a_plug_nothing_moves_until_a_person_says_so(
    driver, port, torque, wait_until, gone, back
):
    driver.enable()
    port.command(gone)
    wait_until(lambda: driver.report().drive is Drive.LIMP)
    time.sleep(1.5)
    port.command(back)
    wait_until(lambda: driver.report().is_held)
    assert "look at the hand, then clear the stop" in driver.fault
    with pytest.raises(HandLimpError, match="look at the hand"):
        list(driver.reset(0.0))
    time.sleep(0.3)
    assert torque() == ALL_OFF
    take_up(driver, wait_until)
    assert torque() == FINGERS_ON
    assert [s.get(reg.BUS_WATCHDOG) for s in port.hand.servos] == [100] * 9 + [0]


def test_a_plug_pulled_while_another_motor_rests_waits_for_a_person(drive, port, wait_until):
    hand = drive(port, recovery=RecoveryConfig(rest=2.5))
    hand.enable()
    port.command("overload 11")
    wait_until(lambda: hand.fault)
    port.command("cut 20 21 22")
    time.sleep(1.5)
    port.command("join 20 21 22")
    wait_until(lambda: hand.report().is_held)
    assert "as after the power switch or a plug" in hand.fault


def test_torque_that_comes_on_while_a_motor_rests_goes_off(drive, port, torque, wait_until):
    hand = drive(port, recovery=RecoveryConfig(rest=60.0))
    port.command("overload 11")
    wait_until(lambda: hand.fault)
    port.hand.servo(12).set(reg.TORQUE_ENABLE, 1)
    wait_until(lambda: torque() == ALL_OFF)


def test_a_single_miss_does_not_keep_a_hand_from_being_switched_on(driver, torque, monkeypatch):
    group, misses = driver._cycle.group, iter([False, True, False, True])
    sample = group.sample

    def sample_or_miss():
        if torque()[0] == 0 and next(misses, False):
            raise MissingReplyError([11], {}, 1, 0.007)
        return sample()

    monkeypatch.setattr(group, "sample", sample_or_miss)
    driver.enable()
    assert torque() == FINGERS_ON


def test_a_chain_that_is_silent_is_given_up_soon_and_all_its_motors_are_named(
    driver, port, torque, wait_until
):
    driver.enable()
    for motor in (20, 31):
        port.command(f"silent {motor}")
    wait_until(lambda: driver.report().torque_unsure)
    with pytest.raises(HandError, match="motor 20, 31 does not say that torque is off"):
        driver.disable()
    assert torque() == ALL_OFF  # they have heard it
    for motor in (20, 31):
        port.command(f"heard {motor}")
    driver.disable()


def test_noise_on_the_line_never_becomes_a_state(driver, port):
    driver.enable()
    low = driver.read().joint_position
    high = low.copy()
    high[::3] += 0.3
    port.command("corrupt 0.002")
    seen, end = 0, time.monotonic() + 3.0
    while time.monotonic() < end:
        try:
            # The truth goes to and fro, so that an old state is a wrong one.
            driver.command(high if int(2 * time.monotonic()) % 2 else low)
            state, truth = driver.read(), port.hand.data.qpos[:9].copy()
            late = time.time() - state.stamp
            np.testing.assert_allclose(state.joint_position, truth, atol=0.05 + 8.0 * late)
            seen += late < 0.03
        except HandError:
            pass
        time.sleep(0.01)
    port.command("corrupt 0")
    assert seen
    assert driver.report().damaged + sum(driver.report().missed.values()) > 0


def test_a_port_that_is_gone_is_an_error_until_somebody_plugs_it_in(drive, torque, wait_until):
    with VirtualPort(VirtualHand()) as port:
        hand = drive(port)
        hand.enable()
    wait_until(lambda: hand.fault)
    assert "is gone" in hand.fault
    assert "torque may be on" in hand.fault
    assert hand.health().warnings == (hand.fault,)
    for call in (hand.read, hand.disable, lambda: list(hand.reset(0.0))):
        with pytest.raises(HandError, match="is gone"):
            call()
    for _ in range(2):
        with pytest.raises(HandError, match="can not be opened"):
            hand.enable()
        assert "is gone" in hand.fault  # whoever tries in vain has mended nothing
    with pytest.raises(HandError, match="torque may be on"):
        hand.close()


def test_a_port_that_is_there_again_is_opened_again(drive, tmp_path, wait_until):
    link = tmp_path / "ttyHAND"
    with VirtualPort(VirtualHand()) as first:
        link.symlink_to(first.path)
        first.path = str(link)
        hand = drive(first)
        hand.enable()
    wait_until(lambda: hand.fault)
    with pytest.raises(HandError, match="can not be opened"):
        hand.enable()
    with VirtualPort(VirtualHand()) as second:
        link.unlink()
        link.symlink_to(second.path)
        hand.enable()
        assert [s.get(reg.TORQUE_ENABLE) for s in second.hand.servos] == FINGERS_ON
        hand.command(hand.read().joint_position)
        hand.close()


def test_torque_that_is_on_unasked_goes_off(driver, port, torque, wait_until):
    told = []
    port.hand.servo(12).set(reg.TORQUE_ENABLE, 1)
    wait_until(lambda: told.extend(driver.take_events()) or told)
    assert told[0] == "motor 12 holds torque unasked"
    wait_until(lambda: not driver.fault)
    assert torque() == ALL_OFF


def test_a_hand_that_can_not_be_switched_on_is_let_go_of(driver, torque, monkeypatch):
    group = driver._cycle.group
    monkeypatch.setattr(group, "sample", failing_with_torque(group))
    with pytest.raises(HandError, match="on purpose"):
        driver.enable()
    assert torque() == ALL_OFF


def failing_with_torque(group):
    """Return a `sample` that fails where torque is on."""
    sample = group.sample

    def sample_or_fail():
        found = sample()
        if found.torque_on.any():
            raise BusError("on purpose")
        return found

    return sample_or_fail


def test_a_hand_that_is_off_by_a_turn_is_not_driven_across_its_range(drive, port, torque):
    port.command("turn 12 1")
    hand = drive(port)
    with pytest.raises(HandError, match=r"joint_12 is at .* outside its limits"):
        hand.enable()
    assert torque() == ALL_OFF
    assert abs(hand.read().joint_position[2]) > math.pi
