"""The group of motors against virtual servos: what is set up, measured and refused."""

import math
import time

import numpy as np
import pytest

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel import units
from smm_ros.dclaw.dynamixel.bus_errors import BusError, MissingReplyError
from smm_ros.dclaw.dynamixel.motor_sample import RestartedError
from smm_ros.dclaw.dynamixel.motors import MotorGroup, MotorSettings
from smm_ros.dclaw.dynamixel.registers import Mode

IDS = (10, 11, 12, 20, 21, 22, 30, 31, 32, 50)
CALM = MotorSettings(current=0.4, watchdog=2.0)


@pytest.fixture(name="motors")
def set_up(bus):
    group = MotorGroup(bus, IDS, CALM)
    group.check()
    group.configure()
    return group


def held(port, register, ids=IDS):
    return [port.hand.servo(i).get(register) for i in ids]


def impatient(group, margin=0.1):
    group.bus.margin = margin
    return group


# Setting up.


def test_motors_are_set_up_for_capped_positions_and_it_is_told_what_changed(bus, port):
    port.hand.servo(11).set(reg.RETURN_DELAY_TIME, 250)
    port.hand.servo(12).set(reg.SHUTDOWN, 0x01)
    group = MotorGroup(bus, IDS, CALM)
    group.check()
    changed = group.configure()
    assert "motor 11: return_delay_time 0" in changed
    assert not [line for line in changed if "goal_current" in line]  # told is what stays
    assert "motor 10: return_delay_time 0" not in changed
    assert set(held(port, reg.OPERATING_MODE)) == {Mode.CURRENT_BASED_POSITION}
    assert set(held(port, reg.GOAL_CURRENT)) == {round(0.4 / 2.69e-3)}
    assert set(held(port, reg.TORQUE_ENABLE)) == {0}
    assert held(port, reg.SHUTDOWN, [12]) == [0x35]  # what was watched still is
    assert group.fast
    # Nothing is written twice: an EEPROM wears.
    assert group.configure() == []


def test_the_current_cap_is_never_above_what_the_model_allows(bus, port):
    group = MotorGroup(bus, IDS, MotorSettings(current=3.5))
    group.check()
    group.configure()
    assert set(held(port, reg.GOAL_CURRENT)) == {1193}


def test_old_firmware_without_fast_reads_is_read_plainly(bus, port):
    port.hand.bus.fast_sync_read = False
    group = impatient(MotorGroup(bus, IDS, CALM))
    group.check()
    group.configure()
    assert group.fast is False
    assert group.sample().position.shape == (10,)


def test_all_missing_motors_are_named_at_once(bus, port):
    port.command("silent 12")
    port.command("silent 31")
    with pytest.raises(MissingReplyError, match="no answer of motor 12 and 31"):
        impatient(MotorGroup(bus, IDS, CALM)).check()


def test_a_model_or_a_firmware_that_can_not_be_used_is_refused(bus, port):
    port.hand.servo(20).set(reg.MODEL_NUMBER, 1060)
    with pytest.raises(BusError, match="motor 20: model number 1060 is not supported"):
        MotorGroup(bus, IDS).check()
    port.hand.servo(20).set(reg.MODEL_NUMBER, 1030)
    port.hand.servo(20).set(reg.FIRMWARE_VERSION, 37)
    with pytest.raises(BusError, match="motor 20 has firmware 37, expected 38 or newer"):
        MotorGroup(bus, IDS).check()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"current": 0.0}, "current is 0.0, expected 0.01 to 3.5"),
        ({"current": math.nan}, "current is nan"),
        ({"watchdog": 0.0}, "watchdog is 0.0, expected 0.02 to 2.54"),
        ({"profile_velocity": -1.0}, "profile_velocity is -1.0"),
    ],
)
def test_settings_that_are_none_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        MotorSettings(**values)


# Measuring.


def test_a_sample_has_the_units_of_physics(motors, port):
    time.sleep(0.5)
    sample = motors.sample()
    shafts = [servo.angle for servo in port.hand.servos]
    np.testing.assert_allclose(sample.position, shafts, atol=0.01)
    speeds = [servo.velocity for servo in port.hand.servos]
    np.testing.assert_allclose(sample.velocity, speeds, atol=0.1)
    np.testing.assert_allclose(sample.voltage, 12.8, atol=0.1)
    np.testing.assert_allclose(sample.temperature, 30.0, atol=2.0)
    assert not sample.torque_on.any()
    assert not sample.errors.any()
    assert not sample.tripped.any()
    assert sample.asked < sample.stamp <= time.monotonic()


def test_every_sample_is_a_new_one(motors):
    before = motors.sample()
    for _ in range(20):
        time.sleep(0.003)
        now = motors.sample()
        assert (now.clock != before.clock).all()
        before = now


def test_a_motor_that_starts_anew_is_named_and_never_measured(motors, port):
    motors.sample()
    port.command("reboot 21")
    time.sleep(0.35)
    with pytest.raises(RestartedError, match="motor 21 started anew by itself"):
        motors.sample()
    with pytest.raises(RestartedError, match="motor 21"):
        motors.sample()
    motors.configure([21])
    assert motors.sample().position.shape == (10,)


def test_a_motor_that_does_not_answer_is_no_sample(motors, port):
    port.command("silent 32")
    with pytest.raises(MissingReplyError) as caught:
        impatient(motors).sample()
    assert caught.value.missing == (32, 50)


@pytest.mark.parametrize("margin", [0.003, 0.012, 0.03])
@pytest.mark.parametrize(("latency", "hiccup"), [(0.016, 0), (0.001, 0), (0.001, 14), (0.001, 35)])
def test_no_value_is_accepted_that_was_measured_before_the_question(
    motors, port, monkeypatch, margin, latency, hiccup
):
    measured = stamped(port, monkeypatch)
    motors.sample()
    port.hand.bus.usb_latency = latency
    motors.bus.margin = margin
    motors.fast = bool(hiccup)  # a plain read comes in pieces, of which some may be old
    accepted, begun = 0, time.monotonic()
    for cycle in range(60):
        time.sleep(max(0.0, begun + 0.01 * cycle - time.monotonic()))
        if hiccup and cycle % 10 == 0:
            port.command(f"hiccup {hiccup}")
        try:
            sample = motors.sample()
        except BusError:
            continue
        accepted += 1
        counts = np.round(sample.position / units.POSITION).astype(int).tolist()
        times = [measured[motor][count] for motor, count in zip(IDS, counts, strict=True)]
        assert sample.asked <= min(times) <= max(times) <= sample.stamp
    assert accepted or latency > margin


def stamped(port, monkeypatch):
    """Let positions count measurements; return when each was made, by motor and count."""
    measured = {motor: [] for motor in IDS}
    for servo in port.hand.servos:
        monkeypatch.setattr(servo, "_measure", counting(servo, measured[servo.get(reg.ID)]))
    return measured


def counting(servo, times):
    measure = servo._measure

    def count():
        measure()
        servo.set(reg.PRESENT_POSITION, len(times))
        times.append(time.monotonic())

    return count


def test_an_adapter_that_keeps_answers_longer_than_they_are_waited_for_is_refused(
    bus, monkeypatch
):
    monkeypatch.setattr(bus._port, "latency", 0.016)
    bus.margin = 0.003
    with pytest.raises(BusError, match="latency timer of /dev/.* is 16 ms, expected .* 3 ms"):
        MotorGroup(bus, IDS, CALM).check()


# Driving.


def test_torque_comes_on_where_the_motors_are_with_armed_watchdogs(motors, port):
    for servo in port.hand.servos:
        servo.write(reg.GOAL_POSITION.address, reg.GOAL_POSITION.encode(0))
    motors.torque_on(IDS[:9])
    assert held(port, reg.TORQUE_ENABLE) == [1] * 9 + [0]
    assert held(port, reg.BUS_WATCHDOG) == [100] * 9 + [0]
    goals, here = held(port, reg.GOAL_POSITION)[:9], held(port, reg.PRESENT_POSITION)[:9]
    np.testing.assert_allclose(goals, here, atol=60)
    before = motors.sample().position
    time.sleep(0.3)
    np.testing.assert_allclose(motors.sample().position[:9], before[:9], atol=0.2)


def test_goals_are_driven_to(motors):
    motors.torque_on(IDS[:9])
    start = motors.sample().position
    goals = {motor: start[i] + 0.2 for i, motor in enumerate(IDS[:9]) if motor % 10 == 0}
    for _ in range(150):
        motors.drive(goals)
        time.sleep(0.01)
    found = motors.sample()
    for i, motor in enumerate(IDS[:9]):
        if motor in goals:
            assert found.position[i] == pytest.approx(goals[motor], abs=0.1)


@pytest.mark.parametrize("angle", [math.nan, math.inf, -math.inf])
def test_a_goal_that_is_no_angle_is_not_sent_and_neither_are_the_others(motors, port, angle):
    before = held(port, reg.GOAL_POSITION)
    with pytest.raises(ValueError, match=f"goal of motor 11 is {angle}, expected a finite angle"):
        motors.drive({10: 1.0, 11: angle})
    motors.sample()
    assert held(port, reg.GOAL_POSITION) == before


def test_torque_goes_off_and_it_is_verified(motors, port):
    motors.torque_on(IDS)
    motors.torque_off()
    assert set(held(port, reg.TORQUE_ENABLE)) == {0}


def test_one_silent_motor_does_not_keep_the_others_torque_on(motors, port):
    motors.torque_on(IDS)
    port.command("silent 12")
    with pytest.raises(BusError, match="motor 12 does not say that torque is off"):
        impatient(motors, 0.1).torque_off()
    assert set(held(port, reg.TORQUE_ENABLE, [i for i in IDS if i != 12])) == {0}


def test_a_tripped_watchdog_is_in_the_sample(bus, port):
    group = MotorGroup(bus, IDS, MotorSettings(watchdog=0.1))
    group.check()
    group.configure()
    group.torque_on([10])
    time.sleep(0.5)
    sample = group.sample()
    assert sample.tripped.tolist() == [True] + [False] * 9
    assert sample.torque_on[0]


def test_an_error_is_in_the_sample_by_motor(motors, port):
    motors.torque_on(IDS)
    port.command("overload 22")
    sample = motors.sample()
    assert reg.hardware_errors(int(sample.errors[5])) == ("overload",)
    assert np.flatnonzero(sample.errors).tolist() == [5]
    assert not sample.torque_on[5]


def test_currents_are_those_that_the_joints_feel(motors, port):
    motors.torque_on([10])
    sample = motors.sample()
    motors.drive({10: sample.position[0] - 1.5})  # beyond its stop
    time.sleep(1.0)
    sample = motors.sample()
    unit = motors.models[0].current_unit
    assert sample.current[0] == pytest.approx(-0.4, abs=unit)
    assert port.hand.data.qfrc_applied[0] == pytest.approx(-0.4 * 3.0 / 2.3, abs=unit)
