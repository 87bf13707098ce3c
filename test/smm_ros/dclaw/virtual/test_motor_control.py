"""The motor of a virtual servo: where it goes, how fast, and how hard it presses."""

import math

import pytest

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.packets import StatusError
from smm_ros.dclaw.dynamixel.registers import Mode
from smm_ros.dclaw.dynamixel.units import POSITION as TICK


def test_it_goes_to_its_goal_and_says_so_in_ticks(bench):
    one = bench.servo(torque=True)
    assert bench.put(one, reg.GOAL_POSITION, 1000) == 0
    bench.run(one, 3.0)
    assert one.angle == pytest.approx(1000 * TICK, abs=0.01)
    assert bench.ask(one, reg.PRESENT_POSITION) == pytest.approx(1000, abs=7)
    assert bench.ask(one, reg.MOVING) == 0


def test_without_torque_it_is_limp(bench):
    one = bench.servo(goal_position=1000)
    bench.run(one, 1.0)
    assert one.angle == 0
    assert bench.ask(one, reg.PRESENT_CURRENT) == 0


def test_a_goal_from_before_torque_on_is_driven_to(bench):
    one = bench.servo(goal_position=500, torque=True)
    bench.run(one, 3.0)
    assert bench.ask(one, reg.PRESENT_POSITION) == pytest.approx(500, abs=7)


def test_a_reversed_servo_counts_the_other_way(bench):
    one = bench.servo(drive_mode=1, torque=True, goal_position=1000)
    bench.run(one, 3.0)
    assert one.angle == pytest.approx(-1000 * TICK, abs=0.01)
    assert bench.ask(one, reg.PRESENT_POSITION) == pytest.approx(1000, abs=7)


@pytest.mark.parametrize("model", [1030, 1050])
def test_the_goal_current_caps_what_a_held_shaft_feels(bench, model):
    one = bench.servo(model, Mode.CURRENT_BASED_POSITION, goal_current=100, torque=True)
    bench.put(one, reg.GOAL_POSITION, 2000)
    bench.run(one, 0.2, held=True)
    cap = 100 * one.model.current_unit * one.model.torque_constant
    assert one.torque() == pytest.approx(cap)
    assert bench.ask(one, reg.PRESENT_CURRENT) == 100
    bench.put(one, reg.GOAL_POSITION, -2000)
    bench.run(one, 0.2, held=True)
    assert bench.ask(one, reg.PRESENT_CURRENT) == -100


def test_a_profile_bounds_speed_and_takes_its_time(bench):
    slow = bench.servo(profile_velocity=20, profile_acceleration=10, torque=True)
    bench.put(slow, reg.GOAL_POSITION, 2000)
    took = {}
    for ticks in (500, 1500):
        took[ticks] = 0.0
        while bench.ask(slow, reg.PRESENT_POSITION) < ticks:
            bench.run(slow, 0.01)
            took[ticks] += 0.01
    bound = 20 * 0.229 * 2 * math.pi / 60
    assert 1000 * TICK / took[1500] == pytest.approx(bound, rel=0.05)
    assert took[500] > 500 * TICK / bound  # it begins at rest
    bench.run(slow, 5.0)
    assert bench.ask(slow, reg.PRESENT_POSITION) == pytest.approx(2000, abs=7)


def test_in_position_mode_turns_are_forgotten_with_torque_on(bench):
    one = bench.servo()
    one.advance(2 * math.pi * 3 + 1.0, 0.0, 0.01)
    assert bench.ask(one, reg.PRESENT_POSITION) == round((6 * math.pi + 1) / TICK)
    bench.put(one, reg.OPERATING_MODE, Mode.POSITION)
    assert bench.ask(one, reg.PRESENT_POSITION) == round(1.0 / TICK)


@pytest.mark.parametrize(("offset", "drive_mode"), [(0, 0), (500, 0), (-700, 0), (500, 1)])
def test_a_reboot_counts_from_within_one_turn_to_which_the_homing_offset_is_added(
    bench, offset, drive_mode
):
    one = bench.servo(homing_offset=offset, drive_mode=drive_mode)
    for angle in (7.0, -7.0, 30.0, 0.01):
        one.advance(angle, 0.0, 0.01)
        before = bench.ask(one, reg.PRESENT_POSITION)
        one.reboot()
        after = bench.ask(one, reg.PRESENT_POSITION)
        assert 0 <= after - offset < 4096
        assert (after - before) % 4096 == 0


def test_turns_are_counted_on_until_it_starts_anew(bench):
    one = bench.servo()
    before = bench.ask(one, reg.PRESENT_POSITION)
    one.turn(300)
    assert bench.ask(one, reg.PRESENT_POSITION) == before + 300 * 4096
    assert bench.put(one, reg.GOAL_POSITION, before + 300 * 4096) == StatusError.DATA_RANGE
    one.turn(-299)
    assert bench.put(one, reg.GOAL_POSITION, before + 4096) == 0
    assert bench.put(one, reg.TORQUE_ENABLE, 1) == 0
    bench.run(one, 0.5)
    assert one.angle == pytest.approx(0.0, abs=0.01)  # the goal counts as the position does
    with pytest.raises(ValueError, match="holds torque"):
        one.turn(1)
    bench.put(one, reg.TORQUE_ENABLE, 0)
    one.turn(5)
    one.reboot()
    assert bench.ask(one, reg.PRESENT_POSITION) < 4096
