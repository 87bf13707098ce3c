"""The time that answers take on a wire, and what happens to those that meet there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smm_ros.dclaw.dynamixel import packets
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.packets import Packet, encode
from smm_ros.dclaw.virtual.servo import EEPROM_TIME

IDS = (10, 11, 12, 20, 21, 22, 30, 31, 32, 50)
INSTRUCTION = encode(Packet(0xFE, packets.SYNC_READ, b"\x7e\x00\x0a\x00" + bytes(IDS)))
FAST = encode(Packet(0xFE, packets.FAST_SYNC_READ, b"\x7e\x00\x0a\x00" + bytes(IDS)))
PING = encode(Packet(10, packets.PING))


def answered_after(c, data, count):
    """Return when `count` bytes of answers are there, s after the instruction began."""
    begin = now = c.port.now
    c.bus.receive(data, begin)
    got = b""
    while len(got) < count:
        now += 1e-6
        got += c.bus.take(now)
    c.port.now = now
    return now - begin


@pytest.mark.parametrize(
    ("baud", "delay", "data", "count", "expected"),
    [
        # (24 + 210) bytes of 10 us, ten turnarounds of 50 us, and the adapter's last millisecond
        (1_000_000, 0, INSTRUCTION, 210, 2.34e-3 + 0.5e-3),
        (1_000_000, 250, INSTRUCTION, 210, 2.34e-3 + 5.5e-3),
        (4_000_000, 0, INSTRUCTION, 210, 0.585e-3 + 0.5e-3),
        (57_600, 250, INSTRUCTION, 210, 234 * 10 / 57_600 + 5.5e-3),
        (1_000_000, 250, FAST, 148, 1.72e-3 + 0.55e-3),
    ],
)
def test_answers_take_the_time_of_the_wire(client, baud, delay, data, count, expected):
    c = client(IDS)
    c.bus.baud_rate = baud
    for servo in c.servos:
        servo.set(reg.BAUD_RATE, reg.BAUD_RATES.index(baud))
        servo.set(reg.RETURN_DELAY_TIME, delay)
    took = answered_after(c, data, count)
    assert expected <= took <= expected + 1.01e-3


def test_an_untuned_adapter_keeps_the_tail_for_16_ms(client):
    c = client(usb_latency=0.016)
    assert answered_after(c, encode(Packet(10, packets.PING)), 14) >= 0.016
    c = client(IDS, usb_latency=0.016)
    # A full packet of the adapter goes at once; only the rest waits.
    assert answered_after(c, INSTRUCTION, 62) < 0.004


def test_a_write_to_the_eeprom_takes_its_time(client):
    c = client()
    led = answered_after(c, encode(Packet(10, packets.WRITE, b"\x41\x00\x01")), 11)
    delay = answered_after(c, encode(Packet(10, packets.WRITE, b"\x09\x00\x00")), 11)
    again = answered_after(c, encode(Packet(10, packets.WRITE, b"\x41\x00\x01")), 11)
    assert delay == pytest.approx(led + EEPROM_TIME, abs=1e-5)
    assert again == pytest.approx(led, abs=1e-5)


def test_a_slow_servo_answers_late(client):
    c = client()
    before = answered_after(c, encode(Packet(10, packets.PING)), 14)
    c.faults.slow[10] = 0.005
    assert answered_after(c, encode(Packet(10, packets.PING)), 14) == pytest.approx(
        before + 0.005, abs=1e-5
    )


def test_next_time_is_never_later_than_what_comes(client):
    c = client(IDS)
    c.bus.receive(INSTRUCTION, 0.0)
    got, now = b"", 0.0
    while (due := c.bus.next_time()) is not None:
        assert due >= now - 1e-9
        now = due
        got += c.bus.take(now)
    assert len(got) == 210


def heard_after(c, data, now):
    """Return the answers after an instruction at a time, all that will come."""
    c.bus.receive(data, now)
    return c.bus.take(now + 1.0)


def test_an_instruction_in_the_middle_of_answers_damages_them_and_is_damaged(client):
    whole = heard_after(client(IDS), INSTRUCTION, 0.0)
    c = client(IDS)
    c.bus.receive(INSTRUCTION, 0.0)
    got = heard_after(c, PING, 0.001)
    assert len(got) == len(whole)  # nobody has understood the ping
    assert c.bus.collisions > 0
    spoilt = [i for i, (a, b) in enumerate(zip(got, whole, strict=True)) if a != b]
    assert 4 <= len(spoilt) <= 11  # the ping has ten, some of them between two answers
    assert spoilt[-1] - spoilt[0] == len(spoilt) - 1


@pytest.mark.parametrize("late", [0.001, 0.0300001])
def test_an_answer_that_is_late_still_comes_after_a_new_instruction(client, late):
    c = client()
    c.faults.slow[10] = late
    c.bus.receive(PING, 0.0)
    second = encode(Packet(11, packets.PING))
    got = heard_after(c, second, 0.0005)
    first = heard_after(client(), PING, 0.0)
    assert c.bus.collisions == 0
    assert sorted([got[:14], got[14:]]) == sorted([first, heard_after(client(), second, 0.0)])


@given(st.lists(st.tuples(st.sampled_from([PING, INSTRUCTION, FAST]), st.floats(0, 0.02))))
def test_whatever_overlaps_all_answers_that_nobody_interrupts_are_whole(client, questions):
    c = client(IDS)
    now, got, clean = 0.0, b"", b""
    for data, pause in questions:
        got += heard_until(c, now)
        c.bus.receive(data, now)
        clean += heard_after(client(IDS), data, 0.0)
        now += pause
    got += heard_until(c, now + 1.0)
    assert c.bus.next_time() is None
    if not c.bus.collisions:
        assert len(got) == len(clean)


def heard_until(c, end):
    """Return what the program gets until a time, whenever it comes."""
    got = b""
    while (due := c.bus.next_time()) is not None and due <= end:
        got += c.bus.take(due)
    return got


def test_a_hiccup_holds_bytes_up_once_and_loses_none(client):
    c = client(IDS)
    c.faults.hiccup = 0.1
    c.bus.receive(INSTRUCTION, 0.0)
    assert heard_until(c, 0.1) == b""
    c.bus.receive(PING, 0.05)
    got = heard_until(c, 0.11)
    assert len(got) == 224
    c.bus.receive(PING, 0.2)
    assert heard_until(c, 0.2 + 0.002) == got[-14:]
