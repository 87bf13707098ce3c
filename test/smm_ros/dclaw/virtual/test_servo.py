"""One virtual servo: the rules of its control table, and what its motor does."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.packets import ALERT, StatusError
from smm_ros.dclaw.dynamixel.registers import Mode
from smm_ros.dclaw.dynamixel.units import POSITION as TICK
from smm_ros.dclaw.virtual.servo import BOOT_TIME, NO_SUPPLY

# What may be written.


def test_the_eeprom_is_written_with_torque_off_only(bench):
    one = bench.servo(torque=True)
    assert bench.put(one, reg.RETURN_DELAY_TIME, 0) == StatusError.ACCESS
    assert bench.ask(one, reg.RETURN_DELAY_TIME) == 250
    assert bench.put(one, reg.TORQUE_ENABLE, 0) == 0
    assert bench.put(one, reg.RETURN_DELAY_TIME, 0) == 0
    assert bench.ask(one, reg.RETURN_DELAY_TIME) == 0


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
def test_a_write_that_can_not_be_is_refused_and_changes_nothing(bench, address, data, error):
    one = bench.servo()
    before = one.read(0, reg.TABLE_SIZE)
    assert one.write(address, data) == error
    assert one.read(0, reg.TABLE_SIZE) == before


def test_a_block_is_written_as_a_whole_or_not_at_all(bench):
    one = bench.servo()
    goal = reg.GOAL_CURRENT.encode(100)
    assert one.write(reg.GOAL_CURRENT.address, goal + reg.GOAL_VELOCITY.encode(9)) == 0
    assert (bench.ask(one, reg.GOAL_CURRENT), bench.ask(one, reg.GOAL_VELOCITY)) == (100, 9)
    refused = reg.GOAL_CURRENT.encode(200) + reg.GOAL_VELOCITY.encode(999)
    assert one.write(reg.GOAL_CURRENT.address, refused) == StatusError.DATA_LIMIT
    assert bench.ask(one, reg.GOAL_CURRENT) == 100


def test_position_limits_hold_in_position_mode_alone(bench):
    limits = {"min_position_limit": 1000, "max_position_limit": 3000}
    single = bench.servo(mode=Mode.POSITION, **limits)
    assert bench.put(single, reg.GOAL_POSITION, 3001) == StatusError.DATA_LIMIT
    for mode in (Mode.EXTENDED_POSITION, Mode.CURRENT_BASED_POSITION):
        assert bench.put(bench.servo(mode=mode, **limits), reg.GOAL_POSITION, 3001) == 0


def test_another_mode_resets_gains_profiles_and_the_current_cap(bench):
    one = bench.servo(
        mode=Mode.POSITION, position_p_gain=300, profile_velocity=20, goal_current=50
    )
    assert bench.put(one, reg.OPERATING_MODE, Mode.CURRENT_BASED_POSITION) == 0
    assert bench.ask(one, reg.POSITION_P_GAIN) == 800
    assert bench.ask(one, reg.PROFILE_VELOCITY) == 0
    assert bench.ask(one, reg.GOAL_CURRENT) == 1193


def test_indirect_data_lead_to_what_their_addresses_name(bench):
    one = bench.servo()
    pointer, data = reg.INDIRECT[0]
    assert bench.put(one, pointer, reg.PRESENT_TEMPERATURE.address) == 0
    assert bench.ask(one, data) == bench.ask(one, reg.PRESENT_TEMPERATURE)
    assert bench.put(one, pointer, reg.LED.address) == 0
    assert bench.put(one, data, 1) == 0
    assert bench.ask(one, reg.LED) == 1
    assert bench.put(one, pointer, 63) == StatusError.DATA_RANGE


@given(st.integers(0, 700), st.binary(min_size=1, max_size=12))
def test_no_write_gets_the_servo_into_a_state_that_can_not_be_read(bench, address, data):
    one = bench.servo(torque=True)
    one.write(address, data)
    for register in reg.REGISTERS:
        value = bench.ask(one, register)
        if register.is_writable and register is not reg.BUS_WATCHDOG:
            assert register.low <= value <= register.high
    bench.run(one, 0.01)
    assert math.isfinite(one.angle)


# Watchdog, errors, reboot.


@pytest.mark.parametrize(("firmware", "comes_on"), [(45, True), (44, False)])
def test_torque_is_on_after_a_start_that_is_set_up_so(bench, firmware, comes_on):
    one = bench.servo(startup_configuration=1)
    one.set(reg.FIRMWARE_VERSION, firmware)
    one.reboot()
    assert one.get(reg.TORQUE_ENABLE) == 0  # it still boots
    bench.run(one, BOOT_TIME + 0.01)
    assert bool(one.get(reg.TORQUE_ENABLE)) == comes_on
    assert bench.ask(one, reg.GOAL_POSITION) == bench.ask(one, reg.PRESENT_POSITION)


def test_torque_comes_on_by_a_goal_where_the_drive_mode_says_so(bench):
    one = bench.servo(drive_mode=8)
    assert bench.put(one, reg.PROFILE_VELOCITY, 10) == 0
    assert one.get(reg.TORQUE_ENABLE) == 0
    assert bench.put(one, reg.GOAL_POSITION, 500) == 0
    assert one.get(reg.TORQUE_ENABLE) == 1
    bench.put(one, reg.TORQUE_ENABLE, 0)
    one.fail(reg.OVERLOAD_BIT)
    assert bench.put(one, reg.GOAL_POSITION, 400) == ALERT
    assert one.get(reg.TORQUE_ENABLE) == 0


def test_without_supply_it_is_off_and_starts_anew_when_it_is_back(bench):
    one = bench.servo(position_p_gain=300, torque=True)
    one.supply = NO_SUPPLY - 0.1
    bench.run(one, 1.0)
    assert one.is_booting
    assert one.torque() == 0.0
    one.supply = 12.0
    bench.run(one, BOOT_TIME - 0.01)
    assert one.is_booting
    bench.run(one, 0.02)
    assert not one.is_booting
    assert (bench.ask(one, reg.TORQUE_ENABLE), bench.ask(one, reg.POSITION_P_GAIN)) == (0, 800)
    assert bench.ask(one, reg.REALTIME_TICK) == pytest.approx(1000 * BOOT_TIME, abs=20)


def test_a_watchdog_trips_in_time_that_is_skipped(bench):
    one = bench.servo(bus_watchdog=5, torque=True)
    one.skip(0.09)
    assert bench.ask(one, reg.BUS_WATCHDOG) == 5
    one.skip(0.02)
    assert bench.ask(one, reg.BUS_WATCHDOG) == -1


def test_the_watchdog_stops_a_moving_shaft_and_goals_are_refused_until_it_is_cleared(bench):
    one = bench.servo(torque=True, profile_velocity=20, bus_watchdog=5)
    bench.put(one, reg.GOAL_POSITION, 4000)
    for _ in range(20):
        one.heard()
        bench.run(one, 0.05)
    assert bench.ask(one, reg.BUS_WATCHDOG) == 5
    bench.run(one, 0.1025)
    assert bench.ask(one, reg.BUS_WATCHDOG) == -1
    bench.run(one, 1.0)
    stopped = bench.ask(one, reg.PRESENT_POSITION)
    assert 100 < stopped < 1000
    bench.run(one, 1.0)
    assert bench.ask(one, reg.PRESENT_POSITION) == stopped
    assert bench.put(one, reg.GOAL_POSITION, 0) == StatusError.DATA_RANGE
    assert bench.put(one, reg.BUS_WATCHDOG, 5) == StatusError.DATA_RANGE
    assert bench.put(one, reg.BUS_WATCHDOG, 0) == 0
    assert bench.put(one, reg.GOAL_POSITION, stopped) == 0
    assert one.get(reg.TORQUE_ENABLE) == 1


def test_the_watchdog_is_off_with_torque_off(bench):
    one = bench.servo(bus_watchdog=1)
    bench.run(one, 1.0)
    assert bench.ask(one, reg.BUS_WATCHDOG) == 1


def overloaded(bench, one):
    bench.put(one, reg.OPERATING_MODE, Mode.PWM)
    bench.put(one, reg.TORQUE_ENABLE, 1)
    bench.put(one, reg.GOAL_PWM, 885)
    bench.run(one, 0.6, held=True)


def heated(bench, one):
    one.heat = 60.0
    bench.run(one, 0.01)


def browned_out(bench, one):
    one.supply = 8.0
    bench.run(one, 0.01)


@pytest.mark.parametrize(
    ("harm", "bit", "shuts_down"),
    [
        (overloaded, reg.OVERLOAD_BIT, True),
        (heated, reg.OVERHEATING_BIT, True),
        (browned_out, reg.VOLTAGE_BIT, False),
    ],
)
def test_an_error_is_alerted_and_switches_torque_off_where_shutdown_says_so(
    bench, harm, bit, shuts_down
):
    one = bench.servo(torque=True)
    bench.put(one, reg.TORQUE_ENABLE, 0)
    harm(bench, one)
    bench.put(one, reg.TORQUE_ENABLE, 1)
    assert one.alert == ALERT
    assert bench.ask(one, reg.HARDWARE_ERROR_STATUS) == 1 << bit
    refused = bench.put(one, reg.TORQUE_ENABLE, 1)
    assert refused == (ALERT | StatusError.RESULT_FAIL if shuts_down else ALERT)
    assert bool(one.get(reg.TORQUE_ENABLE)) != shuts_down


def test_a_motor_that_turns_freely_is_not_overloaded_however_far_its_goal_is(bench):
    one = bench.servo(torque=True, goal_position=1_000_000)
    bench.run(one, 3.0)
    assert one.get(reg.TORQUE_ENABLE) == 1
    assert bench.ask(one, reg.HARDWARE_ERROR_STATUS) == 0
    bench.run(one, 1.0, held=True)
    assert bench.ask(one, reg.HARDWARE_ERROR_STATUS) == 1 << reg.OVERLOAD_BIT


def test_a_reboot_clears_errors_and_ram_but_not_the_eeprom(bench):
    one = bench.servo(
        return_delay_time=0, position_p_gain=300, bus_watchdog=5, goal_current=50, torque=True
    )
    one.advance(1.0, 0.0, 0.01)
    one.fail(reg.OVERLOAD_BIT)
    assert one.get(reg.TORQUE_ENABLE) == 0
    one.reboot()
    assert one.is_booting
    bench.run(one, BOOT_TIME + 0.01)
    assert not one.is_booting
    assert one.alert == 0
    ram = {reg.POSITION_P_GAIN: 800, reg.BUS_WATCHDOG: 0, reg.GOAL_CURRENT: 1193}
    assert {r: bench.ask(one, r) for r in ram} == ram
    assert bench.ask(one, reg.RETURN_DELAY_TIME) == 0
    assert (
        bench.ask(one, reg.GOAL_POSITION)
        == bench.ask(one, reg.PRESENT_POSITION)
        == round(1.0 / TICK)
    )


def test_a_factory_reset_keeps_what_it_is_told_to(bench):
    one = bench.servo(baud_rate=3, return_delay_time=0)
    one.factory_reset(keep_id=True, keep_baud_rate=True)
    assert (one.get(reg.ID), one.get(reg.BAUD_RATE), one.get(reg.RETURN_DELAY_TIME)) == (
        10,
        3,
        250,
    )
    one.factory_reset(keep_id=False, keep_baud_rate=False)
    assert (one.get(reg.ID), one.get(reg.BAUD_RATE)) == (1, 1)


def test_turns_are_cleared_of_a_shaft_at_rest_only(bench):
    one = bench.servo(operating_mode=Mode.EXTENDED_POSITION, homing_offset=100)
    one.advance(9.0, 1.0, 0.01)
    assert one.clear_turns() == StatusError.RESULT_FAIL
    assert bench.ask(one, reg.PRESENT_POSITION) == round(9.0 / TICK) + 100
    one.advance(9.0, 0.0, 0.01)
    assert one.clear_turns() == 0
    assert bench.ask(one, reg.PRESENT_POSITION) == round(9.0 / TICK) % 4096 + 100


def test_the_realtime_tick_counts_milliseconds_and_goes_round(bench):
    one = bench.servo()
    start = bench.ask(one, reg.REALTIME_TICK)
    bench.run(one, 0.5)
    assert (bench.ask(one, reg.REALTIME_TICK) - start) % 32768 == pytest.approx(500, abs=1)
    bench.run(one, 33.0, period=0.1)
    assert 0 <= bench.ask(one, reg.REALTIME_TICK) < 32768
