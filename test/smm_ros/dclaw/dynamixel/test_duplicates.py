"""Two motors with one id are told from one, also where a ping of them reads clean."""

import os
import re
import threading
import time
import tty

import pytest

from smm_ros.dclaw.dynamixel import duplicates, packets
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.duplicates import examine_id
from smm_ros.dclaw.dynamixel.findings import Level
from smm_ros.dclaw.dynamixel.packets import Decoder, status
from smm_ros.dclaw.dynamixel.patient_bus import PatientBus


class Motor:
    """Answers a ping and a read of id 11, with its own clock and position."""

    def __init__(self, switched_on, position):
        self.switched_on, self.position = switched_on, position

    def answer(self, packet):
        if packet.instruction == packets.PING:
            return status(11, 0, (1050).to_bytes(2, "little") + b"\x2d")
        start, length = (int.from_bytes(packet.parameters[i : i + 2], "little") for i in (0, 2))
        table = bytearray(200)
        tick = int(1000 * (time.monotonic() - self.switched_on)) % 32768
        for register, value in ((reg.REALTIME_TICK, tick), (reg.PRESENT_POSITION, self.position)):
            table[register.address : register.end] = register.encode(value)
        return status(11, 0, bytes(table[start : start + length]))


def in_step(answers):
    """Two at once: each pulls the wire low where it sends a 0."""
    return bytes(a & b for a, b in zip(*answers, strict=True)) if len(answers) > 1 else answers[0]


class Line:
    """A pseudo-terminal whose other end answers with what `mixed` makes of all answers."""

    def __init__(self, motors, mixed):
        self._motors, self._mixed = motors, mixed
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        decoder = Decoder()
        while True:
            try:
                for packet in decoder.feed(os.read(self._master, 100)):
                    os.write(self._master, self._mixed([m.answer(packet) for m in self._motors]))
            except OSError:
                return

    def close(self):
        os.close(self._slave)


@pytest.fixture(name="examined")
def examine_line():
    lines = []

    def examine(motors, mixed):
        lines.append(Line(motors, mixed))
        with PatientBus(lines[-1].path, 1_000_000) as bus:
            assert bus.ping(11) == (1050, 45)
            return examine_id(bus, 11)

    yield examine
    for line in lines:
        line.close()


ONE, OTHER = Motor(-3.0, 2048), Motor(-7.0, 1500)


def test_one_motor_is_one(examined):
    assert examined([ONE], in_step) is None


def test_two_that_answer_a_ping_in_step_are_told_by_what_differs(examined):
    found = examined([ONE, OTHER], in_step)
    assert found.level is Level.ERROR
    # On a busy machine one of the five may come too late to be damaged.
    assert re.search(r"damaged [345] of 5 answers .*: two motors have this id", found.text)
    assert "--set_id 11 NEW" in found.remedy


def test_two_that_answer_one_after_the_other_are_told(examined):
    found = examined([ONE, OTHER], b"".join)
    assert found.level is Level.ERROR
    assert "gives 2 answers to one question: two motors have this id" in found.text


def test_two_that_answer_by_turns_are_told_by_their_clocks(examined):
    turns = iter(range(1000))
    found = examined([ONE, OTHER], lambda answers: answers[next(turns) % 2])
    assert found.level is Level.ERROR
    assert "answers by two clocks: two motors have this id" in found.text


def test_a_clock_that_begins_again_is_still_one(examined):
    about_to_begin_again = Motor(time.monotonic() - 32.767, 2048)
    assert examined([about_to_begin_again], in_step) is None


def test_a_single_damaged_answer_is_a_bad_cable(examined, monkeypatch):
    monkeypatch.setattr(duplicates, "CALLS", 4)
    count = iter(range(1000))

    def damaged_once(answers):
        return answers[0][:-1] + b"?" if next(count) == 2 else answers[0]

    found = examined([ONE], damaged_once)
    assert found.level is Level.WARNING
    assert found.text == "damaged 1 of 4 answers"
