"""The real hand's driver at the end of real bytes: it moves, it stops, and it lets go.

Limits of time are wide here, since the machine may be busy; how short they can be is measured by
benchmarks.
"""

import math
import time
from dataclasses import replace

import numpy as np
import pytest

from smm_ros.dclaw.calibration import Calibration, default_calibration
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.bus_errors import BusError
from smm_ros.dclaw.dynamixel.motors import MotorSettings
from smm_ros.dclaw.dynamixel_hand import DynamixelConfig, DynamixelHand
from smm_ros.dclaw.hand import HandError, HandLimpError
from smm_ros.dclaw.hand_guard import Drive, GuardConfig
from smm_ros.dclaw.recovery import RecoveryConfig
from smm_ros.dclaw.safety_clamp import MAX_STEP
from smm_ros.dclaw.spec import NUM_JOINTS, POSITION_HIGH, POSITION_LOW, RESET_POSE
from smm_ros.dclaw.virtual.hand import VirtualHand, VirtualHandConfig
from smm_ros.dclaw.virtual.port import VirtualPort

SETTINGS = {
    "rate": 50.0,
    "margin": 0.1,
    "motors": MotorSettings(current=0.5, watchdog=2.0),
    "guard": GuardConfig(hold_after=1.0, limp_after=2.0, blind_for=0.5),
    "recovery": RecoveryConfig(rest=0.2),
}


@pytest.fixture(name="port")
def open_port():
    with VirtualPort(VirtualHand()) as port:
        yield port


@pytest.fixture(name="hand")
def connected(port):
    hand = DynamixelHand(DynamixelConfig(port.path, **SETTINGS))
    hand.connect()
    yield hand
    hand.close()


def wait_until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def torque(port):
    return [servo.get(reg.TORQUE_ENABLE) for servo in port.hand.servos]


def follow(hand, target, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        hand.command(target)
        time.sleep(0.05)


# A day without trouble.


def test_it_measures_what_the_joints_do(hand, port):
    hand.enable()
    time.sleep(0.5)
    state = hand.read()
    np.testing.assert_allclose(state.joint_position, port.hand.data.qpos[:9], atol=0.01)
    assert state.valve_angle == pytest.approx(port.hand.data.qpos[9], abs=0.01)
    assert abs(state.stamp - time.time()) < 1.0


def test_stamps_rise_and_a_measurement_is_never_old(hand):
    before = 0.0
    for _ in range(20):
        state = hand.read()
        assert time.time() - state.stamp < 0.5
        assert state.stamp >= before
        before = state.stamp
        time.sleep(0.02)


def test_torque_comes_on_without_a_move_and_goes_off(hand, port):
    assert torque(port) == [0] * 10
    before = hand.read().joint_position
    hand.enable()
    assert torque(port) == [1] * 9 + [0]
    time.sleep(0.3)
    np.testing.assert_allclose(hand.read().joint_position, before, atol=0.15)
    hand.disable()
    hand.disable()
    assert torque(port) == [0] * 10


def test_targets_are_gone_to(hand):
    hand.enable()
    target = hand.read().joint_position + 0.2
    follow(hand, target, 1.0)
    np.testing.assert_allclose(hand.read().joint_position, target, atol=0.1)


def test_a_finger_that_presses_shows_its_torque_up_to_the_cap(port):
    hand = DynamixelHand(DynamixelConfig(port.path, **SETTINGS))
    hand.connect()
    hand.enable()
    beyond = hand.read().joint_position.copy()
    beyond[::3] = POSITION_LOW[::3]
    follow(hand, beyond, 1.5)
    model = reg.model_of(1050)
    assert np.abs(hand.read().joint_effort).max() <= 0.5 * model.torque_constant + 0.01
    hand.close()


def test_a_reset_brings_fingers_and_valve_to_their_places(hand, port):
    hand.enable()
    follow(hand, np.zeros(NUM_JOINTS), 0.5)
    stages = []
    for stage in hand.reset(1.0):
        stages.append(stage.name)
        time.sleep(0.02)
    state = hand.read()
    np.testing.assert_allclose(state.joint_position, RESET_POSE, atol=math.radians(5))
    assert state.valve_angle == pytest.approx(1.0, abs=math.radians(5))
    assert stages[0] == "lift the fingers"
    assert torque(port) == [1] * 9 + [0]


def test_a_reset_switches_a_limp_hand_on(hand, port):
    for _ in hand.reset(0.0):
        time.sleep(0.02)
    assert torque(port) == [1] * 9 + [0]


def test_joints_that_are_mounted_otherwise_are_the_same_to_the_user():
    motors = [
        replace(m, direction=-1, zero=math.pi) for m in default_calibration().motors
    ]  # fmt: skip
    other = Calibration(tuple(motors))
    with VirtualPort(VirtualHand(calibration=other)) as port:
        hand = DynamixelHand(DynamixelConfig(port.path, **SETTINGS), other)
        hand.connect()
        hand.enable()
        target = hand.read().joint_position + 0.2
        follow(hand, target, 1.0)
        np.testing.assert_allclose(port.hand.data.qpos[:9], target, atol=0.1)
        hand.close()


# Nothing unsafe.


def test_a_limp_hand_takes_no_command(hand):
    with pytest.raises(HandLimpError, match="the hand is limp: torque was not switched on yet"):
        hand.command(np.zeros(NUM_JOINTS))


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, 1e9])
def test_what_is_unsafe_is_clamped_and_counted(hand, port, wrong):
    hand.enable()
    before = hand.read().joint_position
    sent = hand.command(np.full(NUM_JOINTS, wrong))
    assert ((sent >= POSITION_LOW) & (sent <= POSITION_HIGH)).all()
    assert np.abs(sent - before).max() <= MAX_STEP + 0.1
    assert sum(hand.clamp.counts.values()) > 0
    time.sleep(0.1)
    mounted = default_calibration().motors
    for servo, m, low, high in zip(
        port.hand.servos, mounted, POSITION_LOW, POSITION_HIGH, strict=False
    ):
        goal = servo.get(reg.GOAL_POSITION) * 2 * math.pi / 4096 + m.zero
        assert low - 0.001 <= goal <= high + 0.001


def test_a_policy_that_goes_silent_is_held_and_then_let_go_of(hand, port):
    hand.enable()
    hand.command(hand.read().joint_position)
    assert hand.report().drive is Drive.FOLLOW
    wait_until(lambda: hand.report().drive is Drive.HOLD)
    assert torque(port)[0] == 1
    wait_until(lambda: torque(port) == [0] * 10)
    with pytest.raises(HandLimpError, match="no command for 2 s"):
        hand.command(np.zeros(NUM_JOINTS))
    hand.enable()
    hand.command(hand.read().joint_position)


def test_closing_switches_torque_off(hand, port):
    hand.enable()
    hand.close()
    hand.close()
    assert torque(port) == [0] * 10
    with pytest.raises(HandError, match="not connected"):
        hand.read()
    hand.connect()
    assert hand.read().joint_position.shape == (NUM_JOINTS,)


# Faults.


def test_an_overloaded_motor_makes_limp_is_named_and_comes_back(hand, port):
    hand.enable()
    port.command("overload 11")
    wait_until(lambda: hand.fault)
    assert hand.fault == "motor 11 reports overload"
    assert torque(port) == [0] * 10
    with pytest.raises(HandLimpError, match="motor 11 reports overload"):
        hand.command(np.zeros(NUM_JOINTS))
    wait_until(lambda: not hand.fault)
    assert hand.report().recovered == 1
    assert hand.take_events() == [
        "motor 11 reports overload",
        "recovered from: motor 11 reports overload",
    ]
    for _ in hand.reset(0.0):
        time.sleep(0.02)
    assert torque(port) == [1] * 9 + [0]


def test_a_hot_motor_waits_for_a_person(hand, port):
    hand.enable()
    port.command("heat 22 60")
    wait_until(lambda: hand.report().is_held)
    assert hand.fault.startswith("motor 22 reports overheating; ")
    with pytest.raises(HandError, match="overheating"):
        list(hand.reset(0.0))
    assert torque(port) == [0] * 10


def test_recoveries_end_after_some(port):
    settings = {**SETTINGS, "recovery": RecoveryConfig(per_hour=1, rest=0.0)}
    hand = DynamixelHand(DynamixelConfig(port.path, **settings))
    hand.connect()
    port.command("overload 11")
    wait_until(lambda: hand.report().recovered == 1)
    port.command("overload 12")
    wait_until(lambda: hand.report().is_held)
    assert "1 recoveries within an hour" in hand.fault
    hand.close()


def test_a_silent_motor_is_named_no_old_state_is_shown_and_it_is_set_up_again(hand, port):
    hand.enable()
    port.command("silent 20")
    wait_until(lambda: hand.report().drive is Drive.LIMP)
    with pytest.raises(HandError, match="no measurement: no answer of motor 20"):
        hand.read()
    assert sum(torque(port)) <= 1  # that of the silent one, which its own watchdog stops
    assert max(hand.report().missed, key=hand.report().missed.get) == 20
    port.command("heard 20")
    wait_until(lambda: not hand.fault)
    assert torque(port) == [0] * 10
    hand.enable()


def test_a_brown_out_is_noticed_though_all_motors_answer(hand, port):
    hand.enable()
    port.command("brownout")
    wait_until(lambda: hand.fault)
    wait_until(lambda: not hand.fault)
    assert torque(port) == [0] * 10
    assert [s.get(reg.BUS_WATCHDOG) for s in port.hand.servos] == [0] * 10
    hand.enable()
    assert [s.get(reg.BUS_WATCHDOG) for s in port.hand.servos] == [100] * 9 + [0]


def test_an_unplugged_cable_stops_the_hand_and_it_comes_back_when_plugged_in(hand, port):
    hand.enable()
    port.command("unplug")
    wait_until(lambda: hand.report().drive is Drive.LIMP)
    port.command("plug")
    wait_until(lambda: not hand.fault)
    hand.enable()
    assert torque(port) == [1] * 9 + [0]


def test_noise_on_the_line_never_becomes_a_state(hand, port):
    hand.enable()
    truth = hand.read().joint_position
    port.command("corrupt 0.002")
    seen = 0
    for _ in range(100):
        try:
            hand.command(truth)
            np.testing.assert_allclose(hand.read().joint_position, truth, atol=0.2)
            seen += 1
        except HandError:
            pass
        time.sleep(0.01)
    port.command("corrupt 0")
    assert seen
    assert hand.report().damaged + sum(hand.report().missed.values()) > 0


def test_a_port_that_is_gone_ends_in_an_error_not_in_a_hang():
    with VirtualPort(VirtualHand()) as port:
        hand = DynamixelHand(DynamixelConfig(port.path, **SETTINGS))
        hand.connect()
        hand.enable()
    wait_until(lambda: hand.fault)
    assert "is gone" in hand.fault
    with pytest.raises(HandError, match="is gone"):
        hand.read()
    with pytest.raises(HandError, match="torque may be on"):
        hand.close()


# What can not be connected.


def test_a_hand_that_is_not_there_or_incomplete_is_refused_by_name(port):
    with pytest.raises(HandError, match="/dev/none can not be opened"):
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


def test_a_factory_hand_is_set_up():
    config = VirtualHandConfig(return_delay_us=500)
    with VirtualPort(VirtualHand(config)) as port:
        hand = DynamixelHand(DynamixelConfig(port.path, **SETTINGS))
        hand.connect()
        assert [s.get(reg.RETURN_DELAY_TIME) for s in port.hand.servos] == [0] * 10
        hand.close()


@pytest.mark.parametrize("rate", [0.0, 5.0, 1000.0, math.nan])
def test_rates_that_can_not_be_are_refused(rate):
    with pytest.raises(ValueError, match="expected 10 to 500 Hz"):
        DynamixelConfig("/dev/none", rate=rate)


def test_torque_that_is_on_unasked_goes_off(hand, port):
    told = []
    port.hand.servo(12).set(reg.TORQUE_ENABLE, 1)
    wait_until(lambda: told.extend(hand.take_events()) or told)
    assert told[0] == "motor 12 holds torque unasked"
    wait_until(lambda: not hand.fault)
    assert torque(port) == [0] * 10


def test_a_hand_that_can_not_be_switched_on_is_let_go_of(hand, port, monkeypatch):
    monkeypatch.setattr(hand._cycle.group, "sample", failing_with_torque(hand._cycle.group))
    with pytest.raises(HandError, match="on purpose"):
        hand.enable()
    assert torque(port) == [0] * 10


def failing_with_torque(group):
    """Return a `sample` that fails where torque is on."""
    sample = group.sample

    def sample_or_fail():
        found = sample()
        if found.torque_on.any():
            raise BusError("on purpose")
        return found

    return sample_or_fail


def test_a_person_who_has_looked_gets_a_hot_motor_back(hand, port):
    port.command("heat 22 60")
    wait_until(lambda: hand.report().is_held)
    port.command("heat 22 0")
    with pytest.raises(HandError, match="motor 22 reports overheating; set up anew now"):
        hand.enable()
    wait_until(lambda: not hand.fault)
    hand.enable()
    assert torque(port) == [1] * 9 + [0]
