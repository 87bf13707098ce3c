"""One virtual servo: the rules of its control table, and what its motor does."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.packets import ALERT, StatusError
from smm_ros.dclaw.dynamixel.registers import Mode
from smm_ros.dclaw.dynamixel.units import POSITION as TICK
from smm_ros.dclaw.virtual.servo import BOOT_TIME, NO_SUPPLY, VirtualServo

INERTIA = 0.005
"""kg m^2: a shaft that a damper holds, without contacts."""


def servo(model=1030, mode=Mode.EXTENDED_POSITION, torque=False, **values):
    """Return a servo in a mode; further values are written by name."""
    made = VirtualServo(10, reg.model_of(model))
    assert put(made, reg.OPERATING_MODE, mode) == 0
    for name, value in values.items():
        assert put(made, getattr(reg, name.upper()), value) == 0
    if torque:
        assert put(made, reg.TORQUE_ENABLE, 1) == 0
    return made


def put(one, register, value):
    return one.write(register.address, register.encode(value))


def ask(one, register):
    error, data = one.read(register.address, register.size)
    assert error & ~ALERT == 0
    return register.decode(data)


def run(one, seconds, period=0.0025, held=False):
    """Let a servo turn its shaft freely, or `held` fast, for some time."""
    for _ in range(round(seconds / period)):
        force = one.torque()
        velocity = 0.0 if held else one.velocity + period / INERTIA * (force - 0.1 * one.velocity)
        one.advance(one.angle + period * velocity, velocity, period)


# What may be written.


def test_the_eeprom_is_written_with_torque_off_only():
    one = servo(torque=True)
    assert put(one, reg.RETURN_DELAY_TIME, 0) == StatusError.ACCESS
    assert ask(one, reg.RETURN_DELAY_TIME) == 250
    assert put(one, reg.TORQUE_ENABLE, 0) == 0
    assert put(one, reg.RETURN_DELAY_TIME, 0) == 0
    assert ask(one, reg.RETURN_DELAY_TIME) == 0


@pytest.mark.parametrize(
    ("address", "data", "error"),
    [
        (reg.PRESENT_POSITION.address, b"\0\0\0\0", StatusError.ACCESS),
        (reg.MODEL_NUMBER.address, b"\0\0", StatusError.ACCESS),
        (14, b"\0", StatusError.ACCESS),
        (reg.TABLE_SIZE, b"\0", StatusError.ACCESS),
        (reg.GOAL_POSITION.address, b"\0\0", StatusError.DATA_LENGTH),
        (reg.GOAL_POSITION.address + 1, b"\0", StatusError.ACCESS),
        (reg.OPERATING_MODE.address, b"\2", StatusError.DATA_RANGE),
        (reg.RETURN_DELAY_TIME.address, b"\xff", StatusError.DATA_RANGE),
        (reg.GOAL_CURRENT.address, (1194).to_bytes(2, "little"), StatusError.DATA_LIMIT),
        (reg.GOAL_VELOCITY.address, (331).to_bytes(4, "little"), StatusError.DATA_LIMIT),
    ],
)
def test_a_write_that_can_not_be_is_refused_and_changes_nothing(address, data, error):
    one = servo()
    before = one.read(0, reg.TABLE_SIZE)
    assert one.write(address, data) == error
    assert one.read(0, reg.TABLE_SIZE) == before


def test_a_block_is_written_as_a_whole_or_not_at_all():
    one = servo()
    goal = reg.GOAL_CURRENT.encode(100)
    assert one.write(reg.GOAL_CURRENT.address, goal + reg.GOAL_VELOCITY.encode(9)) == 0
    assert (ask(one, reg.GOAL_CURRENT), ask(one, reg.GOAL_VELOCITY)) == (100, 9)
    refused = reg.GOAL_CURRENT.encode(200) + reg.GOAL_VELOCITY.encode(999)
    assert one.write(reg.GOAL_CURRENT.address, refused) == StatusError.DATA_LIMIT
    assert ask(one, reg.GOAL_CURRENT) == 100


def test_position_limits_hold_in_position_mode_alone():
    limits = {"min_position_limit": 1000, "max_position_limit": 3000}
    single = servo(mode=Mode.POSITION, **limits)
    assert put(single, reg.GOAL_POSITION, 3001) == StatusError.DATA_LIMIT
    for mode in (Mode.EXTENDED_POSITION, Mode.CURRENT_BASED_POSITION):
        assert put(servo(mode=mode, **limits), reg.GOAL_POSITION, 3001) == 0


def test_another_mode_resets_gains_profiles_and_the_current_cap():
    one = servo(mode=Mode.POSITION, position_p_gain=300, profile_velocity=20, goal_current=50)
    assert put(one, reg.OPERATING_MODE, Mode.CURRENT_BASED_POSITION) == 0
    assert ask(one, reg.POSITION_P_GAIN) == 800
    assert ask(one, reg.PROFILE_VELOCITY) == 0
    assert ask(one, reg.GOAL_CURRENT) == 1193


def test_indirect_data_lead_to_what_their_addresses_name():
    one = servo()
    pointer, data = reg.INDIRECT[0]
    assert put(one, pointer, reg.PRESENT_TEMPERATURE.address) == 0
    assert ask(one, data) == ask(one, reg.PRESENT_TEMPERATURE)
    assert put(one, pointer, reg.LED.address) == 0
    assert put(one, data, 1) == 0
    assert ask(one, reg.LED) == 1
    assert put(one, pointer, 63) == StatusError.DATA_RANGE


@given(st.integers(0, 700), st.binary(min_size=1, max_size=12))
def test_no_write_gets_the_servo_into_a_state_that_can_not_be_read(address, data):
    one = servo(torque=True)
    one.write(address, data)
    for register in reg.REGISTERS:
        value = ask(one, register)
        if register.is_writable and register is not reg.BUS_WATCHDOG:
            assert register.low <= value <= register.high
    run(one, 0.01)
    assert math.isfinite(one.angle)


# The motor.


def test_it_goes_to_its_goal_and_says_so_in_ticks():
    one = servo(torque=True)
    assert put(one, reg.GOAL_POSITION, 1000) == 0
    run(one, 3.0)
    assert one.angle == pytest.approx(1000 * TICK, abs=0.01)
    assert ask(one, reg.PRESENT_POSITION) == pytest.approx(1000, abs=7)
    assert ask(one, reg.MOVING) == 0


def test_without_torque_it_is_limp():
    one = servo(goal_position=1000)
    run(one, 1.0)
    assert one.angle == 0
    assert ask(one, reg.PRESENT_CURRENT) == 0


def test_a_goal_from_before_torque_on_is_driven_to():
    one = servo(goal_position=500, torque=True)
    run(one, 3.0)
    assert ask(one, reg.PRESENT_POSITION) == pytest.approx(500, abs=7)


def test_a_reversed_servo_counts_the_other_way():
    one = servo(drive_mode=1, torque=True, goal_position=1000)
    run(one, 3.0)
    assert one.angle == pytest.approx(-1000 * TICK, abs=0.01)
    assert ask(one, reg.PRESENT_POSITION) == pytest.approx(1000, abs=7)


@pytest.mark.parametrize("model", [1030, 1050])
def test_the_goal_current_caps_what_a_held_shaft_feels(model):
    one = servo(model, Mode.CURRENT_BASED_POSITION, goal_current=100, torque=True)
    put(one, reg.GOAL_POSITION, 2000)
    run(one, 0.2, held=True)
    cap = 100 * one.model.current_unit * one.model.torque_constant
    assert one.torque() == pytest.approx(cap)
    assert ask(one, reg.PRESENT_CURRENT) == 100
    put(one, reg.GOAL_POSITION, -2000)
    run(one, 0.2, held=True)
    assert ask(one, reg.PRESENT_CURRENT) == -100


def test_a_profile_bounds_speed_and_takes_its_time():
    slow = servo(profile_velocity=20, profile_acceleration=10, torque=True)
    put(slow, reg.GOAL_POSITION, 2000)
    took = {}
    for ticks in (500, 1500):
        took[ticks] = 0.0
        while ask(slow, reg.PRESENT_POSITION) < ticks:
            run(slow, 0.01)
            took[ticks] += 0.01
    bound = 20 * 0.229 * 2 * math.pi / 60
    assert 1000 * TICK / took[1500] == pytest.approx(bound, rel=0.05)
    assert took[500] > 500 * TICK / bound  # it begins at rest
    run(slow, 5.0)
    assert ask(slow, reg.PRESENT_POSITION) == pytest.approx(2000, abs=7)


def test_in_position_mode_turns_are_forgotten_with_torque_on():
    one = servo()
    one.advance(2 * math.pi * 3 + 1.0, 0.0, 0.01)
    assert ask(one, reg.PRESENT_POSITION) == round((6 * math.pi + 1) / TICK)
    put(one, reg.OPERATING_MODE, Mode.POSITION)
    assert ask(one, reg.PRESENT_POSITION) == round(1.0 / TICK)


@pytest.mark.parametrize(("offset", "drive_mode"), [(0, 0), (500, 0), (-700, 0), (500, 1)])
def test_a_reboot_counts_from_within_one_turn_to_which_the_homing_offset_is_added(
    offset, drive_mode
):
    one = servo(homing_offset=offset, drive_mode=drive_mode)
    for angle in (7.0, -7.0, 30.0, 0.01):
        one.advance(angle, 0.0, 0.01)
        before = ask(one, reg.PRESENT_POSITION)
        one.reboot()
        after = ask(one, reg.PRESENT_POSITION)
        assert 0 <= after - offset < 4096
        assert (after - before) % 4096 == 0


def test_turns_are_counted_on_until_it_starts_anew():
    one = servo()
    before = ask(one, reg.PRESENT_POSITION)
    one.turn(300)
    assert ask(one, reg.PRESENT_POSITION) == before + 300 * 4096
    assert put(one, reg.GOAL_POSITION, before + 300 * 4096) == StatusError.DATA_RANGE
    one.turn(-299)
    assert put(one, reg.GOAL_POSITION, before + 4096) == 0
    assert put(one, reg.TORQUE_ENABLE, 1) == 0
    run(one, 0.5)
    assert one.angle == pytest.approx(0.0, abs=0.01)  # the goal counts as the position does
    with pytest.raises(ValueError, match="holds torque"):
        one.turn(1)
    put(one, reg.TORQUE_ENABLE, 0)
    one.turn(5)
    one.reboot()
    assert ask(one, reg.PRESENT_POSITION) < 4096


# Watchdog, errors, reboot.


@pytest.mark.parametrize(("firmware", "comes_on"), [(45, True), (44, False)])
def test_torque_is_on_after_a_start_that_is_set_up_so(firmware, comes_on):
    one = servo(startup_configuration=1)
    one.set(reg.FIRMWARE_VERSION, firmware)
    one.reboot()
    assert one.get(reg.TORQUE_ENABLE) == 0  # it still boots
    run(one, BOOT_TIME + 0.01)
    assert bool(one.get(reg.TORQUE_ENABLE)) == comes_on
    assert ask(one, reg.GOAL_POSITION) == ask(one, reg.PRESENT_POSITION)


def test_torque_comes_on_by_a_goal_where_the_drive_mode_says_so():
    one = servo(drive_mode=8)
    assert put(one, reg.PROFILE_VELOCITY, 10) == 0
    assert one.get(reg.TORQUE_ENABLE) == 0
    assert put(one, reg.GOAL_POSITION, 500) == 0
    assert one.get(reg.TORQUE_ENABLE) == 1
    put(one, reg.TORQUE_ENABLE, 0)
    one.fail(reg.OVERLOAD_BIT)
    assert put(one, reg.GOAL_POSITION, 400) == ALERT
    assert one.get(reg.TORQUE_ENABLE) == 0


def test_without_supply_it_is_off_and_starts_anew_when_it_is_back():
    one = servo(position_p_gain=300, torque=True)
    one.supply = NO_SUPPLY - 0.1
    run(one, 1.0)
    assert one.is_booting
    assert one.torque() == 0.0
    one.supply = 12.0
    run(one, BOOT_TIME - 0.01)
    assert one.is_booting
    run(one, 0.02)
    assert not one.is_booting
    assert (ask(one, reg.TORQUE_ENABLE), ask(one, reg.POSITION_P_GAIN)) == (0, 800)
    assert ask(one, reg.REALTIME_TICK) == pytest.approx(1000 * BOOT_TIME, abs=20)


def test_a_watchdog_trips_in_time_that_is_skipped():
    one = servo(bus_watchdog=5, torque=True)
    one.skip(0.09)
    assert ask(one, reg.BUS_WATCHDOG) == 5
    one.skip(0.02)
    assert ask(one, reg.BUS_WATCHDOG) == -1


def test_the_watchdog_stops_a_moving_shaft_and_goals_are_refused_until_it_is_cleared():
    one = servo(torque=True, profile_velocity=20, bus_watchdog=5)
    put(one, reg.GOAL_POSITION, 4000)
    for _ in range(20):
        one.heard()
        run(one, 0.05)
    assert ask(one, reg.BUS_WATCHDOG) == 5
    run(one, 0.1025)
    assert ask(one, reg.BUS_WATCHDOG) == -1
    run(one, 1.0)
    stopped = ask(one, reg.PRESENT_POSITION)
    assert 100 < stopped < 1000
    run(one, 1.0)
    assert ask(one, reg.PRESENT_POSITION) == stopped
    assert put(one, reg.GOAL_POSITION, 0) == StatusError.DATA_RANGE
    assert put(one, reg.BUS_WATCHDOG, 5) == StatusError.DATA_RANGE
    assert put(one, reg.BUS_WATCHDOG, 0) == 0
    assert put(one, reg.GOAL_POSITION, stopped) == 0
    assert one.get(reg.TORQUE_ENABLE) == 1


def test_the_watchdog_is_off_with_torque_off():
    one = servo(bus_watchdog=1)
    run(one, 1.0)
    assert ask(one, reg.BUS_WATCHDOG) == 1


def overloaded(one):
    put(one, reg.OPERATING_MODE, Mode.PWM)
    put(one, reg.TORQUE_ENABLE, 1)
    put(one, reg.GOAL_PWM, 885)
    run(one, 0.6, held=True)


def heated(one):
    one.heat = 60.0
    run(one, 0.01)


def browned_out(one):
    one.supply = 8.0
    run(one, 0.01)


@pytest.mark.parametrize(
    ("harm", "bit", "shuts_down"),
    [
        (overloaded, reg.OVERLOAD_BIT, True),
        (heated, reg.OVERHEATING_BIT, True),
        (browned_out, reg.VOLTAGE_BIT, False),
    ],
)
def test_an_error_is_alerted_and_switches_torque_off_where_shutdown_says_so(harm, bit, shuts_down):
    one = servo(torque=True)
    put(one, reg.TORQUE_ENABLE, 0)
    harm(one)
    put(one, reg.TORQUE_ENABLE, 1)
    assert one.alert == ALERT
    assert ask(one, reg.HARDWARE_ERROR_STATUS) == 1 << bit
    refused = put(one, reg.TORQUE_ENABLE, 1)
    assert refused == (ALERT | StatusError.RESULT_FAIL if shuts_down else ALERT)
    assert bool(one.get(reg.TORQUE_ENABLE)) != shuts_down


def test_a_reboot_clears_errors_and_ram_but_not_the_eeprom():
    one = servo(
        return_delay_time=0, position_p_gain=300, bus_watchdog=5, goal_current=50, torque=True
    )
    one.advance(1.0, 0.0, 0.01)
    one.fail(reg.OVERLOAD_BIT)
    assert one.get(reg.TORQUE_ENABLE) == 0
    one.reboot()
    assert one.is_booting
    run(one, BOOT_TIME + 0.01)
    assert not one.is_booting
    assert one.alert == 0
    ram = {reg.POSITION_P_GAIN: 800, reg.BUS_WATCHDOG: 0, reg.GOAL_CURRENT: 1193}
    assert {r: ask(one, r) for r in ram} == ram
    assert ask(one, reg.RETURN_DELAY_TIME) == 0
    assert ask(one, reg.GOAL_POSITION) == ask(one, reg.PRESENT_POSITION) == round(1.0 / TICK)


def test_a_factory_reset_keeps_what_it_is_told_to():
    one = servo(baud_rate=3, return_delay_time=0)
    one.factory_reset(keep_id=True, keep_baud_rate=True)
    assert (one.get(reg.ID), one.get(reg.BAUD_RATE), one.get(reg.RETURN_DELAY_TIME)) == (
        10,
        3,
        250,
    )
    one.factory_reset(keep_id=False, keep_baud_rate=False)
    assert (one.get(reg.ID), one.get(reg.BAUD_RATE)) == (1, 1)


def test_the_realtime_tick_counts_milliseconds_and_goes_round():
    one = servo()
    start = ask(one, reg.REALTIME_TICK)
    run(one, 0.5)
    assert (ask(one, reg.REALTIME_TICK) - start) % 32768 == pytest.approx(500, abs=1)
    run(one, 33.0, period=0.1)
    assert 0 <= ask(one, reg.REALTIME_TICK) < 32768
