"""The real hand's driver at the end of real bytes: it moves, holds, and lets go."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest

from smm_ros.dclaw.calibration import Calibration, default_calibration
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.motors import MotorSettings
from smm_ros.dclaw.dynamixel_config import DynamixelConfig
from smm_ros.dclaw.dynamixel_hand import DynamixelHand
from smm_ros.dclaw.glide import glide
from smm_ros.dclaw.hand import HandError, HandLimpError
from smm_ros.dclaw.hand_guard import OUTSIDE, Drive, GuardConfig
from smm_ros.dclaw.safety_clamp import MAX_STEP
from smm_ros.dclaw.spec import NUM_JOINTS, POSITION_HIGH, POSITION_LOW, RESET_POSE
from smm_ros.dclaw.virtual.hand import VirtualHand, VirtualHandConfig
from smm_ros.dclaw.virtual.port import VirtualPort

FINGERS_ON = [1] * 9 + [0]
ALL_OFF = [0] * 10


def follow(hand, target, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        hand.command(target)
        time.sleep(0.05)


def iterate(stages):
    names = []
    for stage in stages:
        names.append(stage.name)
        time.sleep(0.02)
    return names


# A day without trouble.


def test_it_measures_what_the_joints_do(driver, port):
    driver.enable()
    time.sleep(0.5)
    state = driver.read()
    np.testing.assert_allclose(state.joint_position, port.hand.data.qpos[:9], atol=0.01)
    assert state.valve_angle == pytest.approx(port.hand.data.qpos[9], abs=0.01)
    assert abs(state.stamp - time.time()) < 1.0


def test_stamps_rise_and_a_measurement_is_never_old(driver):
    before = 0.0
    for _ in range(20):
        state = driver.read()
        assert time.time() - state.stamp < 0.5
        assert state.stamp >= before
        before = state.stamp
        time.sleep(0.02)


def test_torque_comes_on_without_a_move_and_goes_off(driver, torque):
    assert torque() == ALL_OFF
    before = driver.read().joint_position
    driver.enable()
    assert torque() == FINGERS_ON
    time.sleep(0.3)
    np.testing.assert_allclose(driver.read().joint_position, before, atol=0.15)
    driver.disable()
    driver.disable()
    assert torque() == ALL_OFF


def test_targets_are_gone_to(driver):
    driver.enable()
    target = driver.read().joint_position + 0.2
    follow(driver, target, 1.0)
    np.testing.assert_allclose(driver.read().joint_position, target, atol=0.1)


def test_a_finger_that_presses_shows_its_torque_up_to_the_cap(driver):
    driver.enable()
    beyond = driver.read().joint_position.copy()
    beyond[::3] = POSITION_LOW[::3]
    follow(driver, beyond, 1.5)
    model = reg.model_of(1050)
    assert np.abs(driver.read().joint_effort).max() <= 0.5 * model.torque_constant + 0.01


def test_the_motors_bound_their_own_speed(drive, port):
    settings = MotorSettings(watchdog=2.0, profile_velocity=1.0, profile_acceleration=100.0)
    hand = drive(port, motors=settings)
    hand.enable()
    fastest, end = 0.0, time.monotonic() + 0.8
    while time.monotonic() < end:
        hand.command(hand.read().joint_position + 0.5)
        fastest = max(fastest, np.abs(hand.read().joint_velocity).max())
    assert 0.2 < fastest < 2.0


def test_a_reset_brings_fingers_and_valve_to_their_places(driver, torque):
    driver.enable()
    follow(driver, np.zeros(NUM_JOINTS), 0.5)
    stages = iterate(driver.reset(1.0))
    state = driver.read()
    np.testing.assert_allclose(state.joint_position, RESET_POSE, atol=math.radians(5))
    assert state.valve_angle == pytest.approx(1.0, abs=math.radians(5))
    assert stages[0] == "lift the fingers"
    assert torque() == FINGERS_ON


def test_a_reset_that_is_closed_early_leaves_the_hand_where_it_is(driver, torque):
    driver.enable()
    follow(driver, np.zeros(NUM_JOINTS), 0.5)
    stages = driver.reset(1.0)
    for _ in range(5):
        next(stages)
        time.sleep(0.02)
    stages.close()
    assert driver.report().drive is Drive.HOLD
    assert torque() == FINGERS_ON
    time.sleep(0.3)
    here = driver.read().joint_position
    time.sleep(0.5)
    np.testing.assert_allclose(driver.read().joint_position, here, atol=0.05)
    assert np.abs(here - RESET_POSE).max() > 0.3  # it was on its way


def test_nobody_is_switched_on_again_who_was_switched_off_on_purpose(driver, torque):
    with pytest.raises(HandError, match="a reset needs torque"):
        driver.reset(0.0)
    driver.enable()
    driver.disable()
    with pytest.raises(HandError, match="a reset needs torque"):
        driver.reset(0.0)
    assert torque() == ALL_OFF


def test_a_reset_does_not_switch_on_what_is_switched_off_meanwhile(
    driver, port, torque, wait_until
):
    driver.enable()
    port.command("overload 11")
    wait_until(lambda: driver.report().recovered)
    stages = driver.reset(0.0)
    assert next(stages).name == "switch on"
    driver.disable()
    with pytest.raises(HandError, match="torque was switched off"):
        next(stages)
    assert torque() == ALL_OFF


def test_the_valve_is_not_turned_by_a_hand_that_has_let_go(driver, torque):
    driver.enable()
    way = glide(np.zeros(1), np.ones(1), time.monotonic(), 1.0)
    driver.disable()
    with pytest.raises(HandLimpError, match="the hand is limp: torque was switched off"):
        driver._do(lambda cycle: cycle.turn_valve(way))
    assert torque() == ALL_OFF


def test_a_valve_that_was_turned_a_hundred_times_is_counted_anew(driver, port):
    driver.enable()
    port.command("turn 50 120")
    time.sleep(0.1)
    assert abs(driver.read().valve_angle) > 110 * 2 * math.pi
    assert "forget the valve's turns" in iterate(driver.reset(1.0))
    assert driver.read().valve_angle == pytest.approx(1.0, abs=math.radians(5))
    assert abs(port.hand.servo(50).get(reg.PRESENT_POSITION)) < 3 * 4096


def test_joints_that_are_mounted_otherwise_are_the_same_to_the_user(drive):
    motors = [replace(m, direction=-1, zero=math.pi) for m in default_calibration().motors]
    other = Calibration(tuple(motors))
    with VirtualPort(VirtualHand(calibration=other)) as port:
        hand = drive(port, other)
        hand.enable()
        target = hand.read().joint_position + 0.2
        follow(hand, target, 1.0)
        np.testing.assert_allclose(port.hand.data.qpos[:9], target, atol=0.1)
        hand.close()


# Nothing unsafe.


def test_a_limp_hand_takes_no_command(driver):
    with pytest.raises(HandLimpError, match="the hand is limp: torque was not switched on yet"):
        driver.command(np.zeros(NUM_JOINTS))


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, 1e9])
def test_what_is_unsafe_is_clamped_and_counted(driver, wrong):
    driver.enable()
    before = driver.read().joint_position
    sent = driver.command(np.full(NUM_JOINTS, wrong))
    assert ((sent >= POSITION_LOW) & (sent <= POSITION_HIGH)).all()
    assert np.abs(sent - before).max() <= MAX_STEP + 0.1
    assert sum(driver.clamp.counts.values()) > 0


def mounted_off_by(angle):
    """Return a calibration by which the outermost joint of the first finger is off, rad."""
    motors = list(default_calibration().motors)
    motors[2] = replace(motors[2], zero=motors[2].zero + angle)
    return Calibration(tuple(motors))


def test_a_hand_far_outside_its_limits_is_not_switched_on(drive, port, torque):
    off = POSITION_HIGH[2] - RESET_POSE[2] + OUTSIDE + 0.2
    hand = drive(port, mounted_off_by(off))
    with pytest.raises(HandError, match=r"joint_12 is at 2\.\d+ rad, 0\.\d+ outside its limits"):
        hand.enable()
    assert torque() == ALL_OFF


def test_a_hand_a_little_outside_its_limits_is_eased_in(drive, port):
    hand = drive(port, mounted_off_by(POSITION_HIGH[2] - RESET_POSE[2] + 0.28))
    before = hand.read().joint_position[2]
    assert before > POSITION_HIGH[2] + 0.2
    hand.enable()
    time.sleep(1.5)
    assert hand.read().joint_position[2] == pytest.approx(POSITION_HIGH[2], abs=0.1)


def test_a_policy_that_goes_silent_is_held_and_then_let_go_of(driver, torque, wait_until):
    driver.enable()
    driver.command(driver.read().joint_position)
    assert driver.report().drive is Drive.FOLLOW
    wait_until(lambda: driver.report().drive is Drive.HOLD)
    assert torque()[0] == 1
    wait_until(lambda: torque() == ALL_OFF)
    with pytest.raises(HandLimpError, match="no command for 2 s"):
        driver.command(np.zeros(NUM_JOINTS))
    (warning,) = driver.health().warnings
    assert warning == "limp: no command for 2 s; a reset takes the hand up again"
    assert driver.take_events() == ["let go: no command for 2 s"]
    iterate(driver.reset(0.0))
    assert driver.health().warnings == ()
    wait_until(lambda: torque() == ALL_OFF)  # nobody steers after the reset either


def test_a_hand_that_nobody_ever_steers_lets_go(drive, port, torque, wait_until):
    guard = GuardConfig(hold_after=0.5, limp_after=0.5, idle_after=0.6, blind_for=0.5)
    hand = drive(port, guard=guard)
    hand.enable()
    wait_until(lambda: torque() == ALL_OFF)
    assert hand.health().warnings[0].startswith("limp: no command for 0.6 s")


def test_closing_switches_torque_off(driver, torque):
    driver.enable()
    driver.close()
    driver.close()
    assert torque() == ALL_OFF
    with pytest.raises(HandError, match="not connected"):
        driver.read()
    driver.connect()
    assert driver.read().joint_position.shape == (NUM_JOINTS,)


# What can not be connected.


def test_a_hand_that_is_not_there_or_incomplete_is_refused_by_name(port):
    with pytest.raises(HandError, match="/dev/none"):
        DynamixelHand(DynamixelConfig("/dev/none")).connect()
    port.command("silent 31")
    hand = DynamixelHand(DynamixelConfig(port.path))
    with pytest.raises(HandError, match="no answer of motor 31"):
        hand.connect()
    port.command("heard 31")
    hand.connect()  # the port was let go of
    with pytest.raises(HandError, match="connected already"):
        hand.connect()
    hand.close()


def test_a_factory_hand_is_set_up(drive):
    with VirtualPort(VirtualHand(VirtualHandConfig(return_delay_us=500))) as port:
        hand = drive(port)
        assert [s.get(reg.RETURN_DELAY_TIME) for s in port.hand.servos] == [0] * 10
        hand.close()


@pytest.mark.parametrize("rate", [0.0, 5.0, 1000.0, math.nan])
def test_rates_that_can_not_be_are_refused(rate):
    with pytest.raises(ValueError, match="expected 10 to 500 Hz"):
        DynamixelConfig("/dev/none", rate=rate)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": 20.0}, "watchdog is 0.1 s, expected at least 0.15 s, for which the bus"),
        ({"motors": MotorSettings(watchdog=0.06)}, "watchdog is 0.06 s, expected at least 0.079"),
        ({"margin": 0.02}, "margin is 0.02 s, expected at most half of blind_for, 0.0175 s"),
    ],
)
def test_times_that_do_not_go_together_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        DynamixelConfig("/dev/none", **values)
