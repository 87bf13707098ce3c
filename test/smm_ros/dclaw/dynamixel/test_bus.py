"""The bus against virtual servos on a pseudo-terminal: real bytes, real time."""

import termios
import threading
import time

import pytest

from smm_ros.dclaw.dynamixel import packets
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.bus import DynamixelBus
from smm_ros.dclaw.dynamixel.bus_errors import (
    MissingReplyError,
    PortError,
    RefusedError,
    StuckError,
)
from smm_ros.dclaw.dynamixel.packets import Packet
from smm_ros.dclaw.virtual.hand import VirtualHand, VirtualHandConfig
from smm_ros.dclaw.virtual.port import VirtualPort

IDS = (10, 11, 12, 20, 21, 22, 30, 31, 32, 50)
PATIENT = 0.5
BLOCK = reg.PRESENT_CURRENT.address, 10


def impatient(bus):
    bus.margin = 0.02
    return bus


def test_a_motor_tells_what_it_is(bus):
    assert bus.ping(10) == (1030, 45)
    assert bus.read(10, reg.MODEL_NUMBER) == 1030
    assert bus.scan() == dict.fromkeys(IDS, (1030, 45))


def test_values_are_written_and_read_with_their_sign(bus):
    bus.write(10, reg.OPERATING_MODE, 4)
    for value in (-1, -1_048_575, 1_048_575, 0):
        bus.write(10, reg.GOAL_POSITION, value)
        assert bus.read(10, reg.GOAL_POSITION) == value


def test_bytes_like_a_header_get_through(bus):
    bus.write(10, reg.OPERATING_MODE, 4)
    value = int.from_bytes(b"\xff\xff\xfd\xff", "little", signed=True)
    bus.write(10, reg.GOAL_POSITION, value)
    assert bus.read(10, reg.GOAL_POSITION) == value


def test_ensure_writes_what_differs_and_nothing_else(bus, port):
    assert bus.ensure(10, reg.RETURN_DELAY_TIME, 4)
    assert not bus.ensure(10, reg.RETURN_DELAY_TIME, 4)
    bus.write(10, reg.TORQUE_ENABLE, 1)
    assert not bus.ensure(10, reg.RETURN_DELAY_TIME, 4)
    with pytest.raises(RefusedError, match="motor 10 refuses return_delay_time 6: access error"):
        bus.ensure(10, reg.RETURN_DELAY_TIME, 6)


def test_a_value_that_does_not_fit_is_refused_before_it_is_sent(bus):
    with pytest.raises(ValueError, match="goal_current is a signed number of 2 bytes, got 40000"):
        bus.write(10, reg.GOAL_CURRENT, 40_000)
    with pytest.raises(ValueError, match="goal_position"):
        bus.sync_write(reg.GOAL_POSITION, {10: 5, 11: 1 << 40})
    assert bus.read(10, reg.GOAL_POSITION) != 5


def test_a_value_that_a_motor_does_not_take_is_refused_by_name(bus):
    with pytest.raises(RefusedError, match="motor 11 refuses baud_rate 9: data range error"):
        bus.write(11, reg.BAUD_RATE, 9)


@pytest.mark.parametrize("fast", [False, True])
def test_all_are_read_and_written_in_one_transaction(bus, fast):
    bus.sync_write(reg.GOAL_POSITION, {motor: 2000 + motor for motor in IDS})
    found = bus.sync_read(IDS, reg.GOAL_POSITION.address, 4, fast)
    assert {m: reg.GOAL_POSITION.decode(data) for m, data in found.items()} == {
        motor: 2000 + motor for motor in IDS
    }


@pytest.mark.parametrize("fast", [False, True])
def test_the_first_missing_motor_is_the_silent_one(bus, port, fast):
    port.command("silent 21")
    with pytest.raises(
        MissingReplyError, match=r"no answer of motor 21 and 22, 30.* within \d"
    ) as caught:
        impatient(bus).sync_read(IDS, *BLOCK, fast)
    assert caught.value.missing[0] == 21
    assert set(caught.value.answered) == {10, 11, 12, 20}
    assert caught.value.damaged == 0
    with pytest.raises(MissingReplyError, match="no answer of motor 21 within"):
        bus.ping(21)
    assert bus.ping(22) == (1030, 45)
    port.command("heard 21")
    bus.margin = PATIENT
    assert len(bus.sync_read(IDS, *BLOCK, fast)) == 10


def test_a_silent_motor_costs_no_more_than_the_deadline(bus, port):
    port.command("silent 50")
    started = time.monotonic()
    with pytest.raises(MissingReplyError):
        impatient(bus).sync_read(IDS, *BLOCK)
    assert time.monotonic() - started < 5 * bus.margin


@pytest.mark.parametrize("fast", [False, True])
def test_a_motor_with_an_alert_is_read_like_any_other(bus, port, fast):
    port.command("overload 31")
    error = reg.HARDWARE_ERROR_STATUS
    found = bus.sync_read(IDS, error.address, error.size, fast)
    assert {motor for motor, data in found.items() if any(data)} == {31}
    assert reg.hardware_errors(bus.read(31, error)) == ("overload",)
    bus.reboot(31)
    time.sleep(0.5)
    assert not any(map(any, bus.sync_read(IDS, error.address, error.size, fast).values()))


@pytest.mark.parametrize("fault", ["corrupt", "drop"])
@pytest.mark.parametrize("fast", [False, True])
def test_damaged_answers_are_never_data(bus, port, fault, fast):
    port.command(f"{fault} 0.01")
    impatient(bus)
    failed = 0
    for count in range(60):
        goals = set_goals(port, 100 * count)
        try:
            found = bus.sync_read(IDS, reg.GOAL_POSITION.address, 4, fast)
        except MissingReplyError as error:
            failed += 1
            found = error.answered
        decoded = {m: reg.GOAL_POSITION.decode(data) for m, data in found.items()}
        assert decoded == {m: goals[m] for m in decoded}
    assert failed
    port.command(f"{fault} 0")
    bus.margin = PATIENT
    assert len(bus.sync_read(IDS, *BLOCK, fast)) == 10


def test_an_unplugged_cable_is_a_missing_answer_and_an_unplugged_adapter_a_lost_port(bus, port):
    port.command("unplug")
    with pytest.raises(MissingReplyError, match="check power, cables, ids and baud rate"):
        impatient(bus).sync_read(IDS, *BLOCK)
    port.command("plug")
    bus.margin = PATIENT
    assert bus.ping(10)


def test_an_adapter_that_is_pulled_out_is_named():
    with VirtualPort(VirtualHand()) as port:
        bus = DynamixelBus(port.path, 1_000_000, margin=PATIENT)
        assert bus.ping(10)
    for use in (lambda: bus.ping(10), lambda: bus.sync_write(reg.LED, {10: 1})):
        with pytest.raises(PortError, match="/dev/.* is gone"):
            use()
    bus.close()
    bus.close()
    with pytest.raises(PortError, match="is gone"):
        bus.ping(10)


def test_a_port_has_one_user(bus, port):
    with pytest.raises(PortError, match="can not be opened.*no other program has it open"):
        DynamixelBus(port.path, 1_000_000)
    bus.close()
    DynamixelBus(port.path, 1_000_000).close()


def test_a_second_user_who_is_refused_leaves_the_first_undisturbed(bus, port):
    speed = termios.tcgetattr(port._slave)[4:6]
    bus._send(Packet(10, packets.PING))
    time.sleep(0.1)
    with pytest.raises(PortError, match="no other program"):
        DynamixelBus(port.path, 57_600)
    assert termios.tcgetattr(port._slave)[4:6] == speed
    # Nor was the answer that has come meanwhile thrown away.
    assert [answer.id for answer in bus._receive(time.monotonic() + 0.5)] == [10]
    assert bus.ping(11)


def test_a_process_that_was_held_up_still_reads_what_has_come(bus, monkeypatch):
    send = bus._send

    def held_up(packet):
        sent = send(packet)
        time.sleep(1.0)  # longer than the answer may take
        return sent

    monkeypatch.setattr(bus, "_send", held_up)
    assert bus.ping(10) == (1030, 45)
    assert bus.read(10, reg.ID) == 10


def test_a_port_that_is_full_is_not_gone(bus, port):
    gate = threading.Event()
    port.between_steps(lambda: gate.wait(20.0))

    def fill():
        for _ in range(100_000):
            bus.sync_write(reg.GOAL_POSITION, dict.fromkeys(IDS, 0))

    with pytest.raises(StuckError, match=r"/dev/\S+ took \d+ of \d+ bytes"):
        fill()
    gate.set()
    time.sleep(0.5)
    assert bus.ping(10) == (1030, 45)


def test_ports_and_speeds_that_are_none_are_named(port):
    with pytest.raises(PortError, match="/dev/no-such-port can not be opened"):
        DynamixelBus("/dev/no-such-port", 1_000_000)
    with pytest.raises(PortError, match="123 bit/s is no speed of .*; expected 9600, 57600"):
        DynamixelBus(port.path, 123)


def test_a_wrong_speed_is_silence(port):
    bus = DynamixelBus(port.path, 57_600, margin=0.02)
    with pytest.raises(MissingReplyError, match="baud rate"):
        bus.ping(10)
    bus.close()


def test_an_answer_that_comes_late_is_not_taken_for_the_next_one(bus, port):
    goals = set_goals(port, 0)
    here = port.hand.servo(10).get(reg.PRESENT_POSITION)
    bus.margin = 0.1
    for milliseconds in (130, 150, 130):  # longer than a single motor is waited for
        port.command(f"slow 10 {milliseconds}")
        assert abs(bus.read(10, reg.PRESENT_POSITION) - here) < 500  # an answer to the first
        assert bus.read(10, reg.GOAL_POSITION) == goals[10]
        bus.write(10, reg.LED, 1)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("milliseconds", [12, 25, 40, 60])
def test_what_a_hiccup_delays_is_not_taken_for_the_answer_to_a_later_group_read(
    bus, port, fast, milliseconds
):
    bus.margin = 0.003
    answered = 0
    for count in range(8):
        if count == 1:
            port.command(f"hiccup {milliseconds}")
        goals = set_goals(port, 100 * count)
        try:
            found = bus.sync_read(IDS, reg.GOAL_POSITION.address, 4, fast)
        except MissingReplyError as error:
            found = error.answered
        answered += len(found)
        for motor, data in found.items():
            assert reg.GOAL_POSITION.decode(data) == goals[motor]
    assert answered


def set_goals(port, value):
    """Let every motor hold a goal of its own near a value, at once; return them."""
    goals, done = {motor: value + motor for motor in IDS}, threading.Event()

    def work():
        for motor, goal in goals.items():
            port.hand.servo(motor).set(reg.GOAL_POSITION, goal)
        done.set()

    port.between_steps(work)
    done.wait()
    return goals


def test_an_untuned_adapter_is_slow_but_right():
    config = VirtualHandConfig(return_delay_us=500, usb_latency=0.016)
    with VirtualPort(VirtualHand(config)) as port:
        bus = DynamixelBus(port.path, 1_000_000, return_delay=0.0005)
        for motor in IDS:
            bus.write(motor, reg.GOAL_POSITION, 1000 + motor)
            assert bus.read(motor, reg.GOAL_POSITION) == 1000 + motor
        bus.close()
