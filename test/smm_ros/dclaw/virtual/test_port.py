"""The virtual hand on a pseudo-terminal: the SDK's client opens it like any port, in real time."""

import re
import time

import numpy as np
import pytest
from dynamixel_sdk import COMM_SUCCESS, GroupSyncRead, PortHandler, Protocol2PacketHandler

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.virtual.commands import COMMANDS
from smm_ros.dclaw.virtual.faults import Faults
from smm_ros.dclaw.virtual.hand import FACTORY, MOST_LAG, VirtualHand, VirtualHandConfig
from smm_ros.dclaw.virtual.port import VirtualPort

IDS = (10, 11, 12, 20, 21, 22, 30, 31, 32, 50)


@pytest.fixture(name="port")
def open_port():
    with VirtualPort(VirtualHand(VirtualHandConfig(model_number=1030))) as port:
        yield port


class PatientPort(PortHandler):
    """Waits longer than the SDK's 34 ms: the machine may be busy."""

    def setPacketTimeout(self, packet_length):  # noqa: N802
        self.setPacketTimeoutMillis(500)


def client(port, baud_rate=1_000_000):
    handler = PatientPort(port.path)
    assert handler.setBaudRate(baud_rate)
    return handler, Protocol2PacketHandler()


def test_the_sdk_reads_and_moves_the_servos(port):
    handler, sdk = client(port)
    group = GroupSyncRead(handler, sdk, reg.PRESENT_POSITION.address, 4)
    assert all(group.addParam(motor) for motor in IDS)
    assert group.txRxPacket() == COMM_SUCCESS
    here = group.getData(10, reg.PRESENT_POSITION.address, 4)
    assert here == pytest.approx(1024, abs=30)  # the joint at 0 is a quarter turn of the motor
    assert sdk.write1ByteTxRx(handler, 10, reg.TORQUE_ENABLE.address, 1) == (COMM_SUCCESS, 0)
    sdk.write4ByteTxRx(handler, 10, reg.GOAL_POSITION.address, here + 150)
    time.sleep(1.5)
    assert group.txRxPacket() == COMM_SUCCESS
    assert group.getData(10, reg.PRESENT_POSITION.address, 4) == pytest.approx(here + 150, abs=40)
    assert port.hand.data.qpos[0] > 0.1  # the finger has moved
    handler.closePort()


def test_a_client_of_the_wrong_speed_hears_nothing(port):
    handler, sdk = client(port, 57_600)
    assert sdk.ping(handler, 10)[1] != COMM_SUCCESS
    handler.setBaudRate(1_000_000)
    assert sdk.ping(handler, 10)[1] == COMM_SUCCESS
    handler.closePort()


def test_a_hand_from_the_factory_speaks_slowly():
    with VirtualPort(VirtualHand(FACTORY)) as port:
        handler, sdk = client(port, 57_600)
        assert sdk.read1ByteTxRx(handler, 10, reg.RETURN_DELAY_TIME.address)[0] == 250
        handler.closePort()


def test_physics_goes_on_while_nobody_speaks(port):
    before, started = port.hand.data.time, time.monotonic()
    time.sleep(0.5)
    passed = port.hand.data.time - before + port.hand.lost
    assert passed == pytest.approx(time.monotonic() - started, abs=0.2)


def test_a_stall_trips_the_watchdogs_and_physics_does_not_catch_up():
    hand = VirtualHand()
    hand.advance(0.0)
    hand.advance(0.1)
    for servo in hand.servos:
        servo.write(reg.BUS_WATCHDOG.address, b"\x64")
    hand.servo(10).write(reg.TORQUE_ENABLE.address, b"\1")
    ticks = hand.servo(10).read(reg.REALTIME_TICK.address, 2)[1]
    hand.advance(0.1 + MOST_LAG + 10.0)
    assert hand.data.time == pytest.approx(0.1, abs=0.01)
    assert hand.lost == pytest.approx(10.0 + MOST_LAG, abs=0.01)
    later = hand.servo(10).read(reg.REALTIME_TICK.address, 2)[1]
    passed = int.from_bytes(later, "little") - int.from_bytes(ticks, "little")
    assert passed == pytest.approx(10_250, abs=5)  # the servos' clocks did not sleep
    assert [s.get(reg.BUS_WATCHDOG) for s in hand.servos] == [-1] + [100] * 9


def test_clocks_are_right_between_two_steps_of_the_physics():
    hand = VirtualHand()
    ticks = []
    for now in np.arange(0.0, 0.05, 0.0005):
        hand.advance(now)
        data = hand.servo(10).read(reg.REALTIME_TICK.address, 2)[1]
        ticks.append(int.from_bytes(data, "little"))
    np.testing.assert_allclose(np.array(ticks) - ticks[0], np.arange(100) * 0.5, atol=1.0)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_does_something_and_says_so(port, name):
    _, types, text = COMMANDS[name]
    words = {int: "11", float: "0.5"}
    line = " ".join([name, *(words[kind] for kind in types)])
    told = port.command(line)
    assert text
    if name == "show":
        assert [row.split()[0] for row in told.splitlines()] == [str(i) for i in IDS]
    else:
        assert told == f"done: {line}"


def test_the_commands_tell_what_they_are(port):
    told = port.command("help").splitlines()
    assert [line.split()[0] for line in told] == list(COMMANDS)
    assert port.command("") == port.command("help")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("explode", "there is no command 'explode'; expected one of show, overload"),
        ("overload", "expected 1 arguments, got 0"),
        ("overload 99", "there is no servo 99; there are 10, 11"),
        ("overload eleven", "invalid literal"),
        ("drop 2", "P is 2.0, expected 0 to 1"),
        ("corrupt nan", "P is nan, expected 0 to 1"),
        ("supply nan", "V is nan, expected 0 to 50"),
        ("supply inf", "V is inf, expected 0 to 50"),
        ("supply -1", "V is -1.0, expected 0 to 50"),
        ("heat 11 nan", "K is nan, expected -200 to 200"),
        ("slow 11 -1", "MS is -1.0, expected 0 to 60000"),
        ("hiccup inf", "MS is inf, expected 0 to 60000"),
        ("turn 11 99999999", "it would count 99999999 turns, expected at most 262144"),
        ("turn 11 0.5", "invalid literal"),
        ("cut", "expected 1 arguments, got 0"),
        ("cut 12 99", "there is no servo 99"),
        ("slow 11", "expected 2 arguments, got 1"),
    ],
)
def test_mistakes_are_told_and_change_nothing(port, line, message):
    answer = port.command(line)
    assert answer.startswith("error: ")
    assert re.search(message, answer)
    assert not port.hand.servo(11).alert
    faults = port.hand.bus.faults
    assert faults == Faults()
    assert port.command("show").startswith("10 ")  # it still serves


def test_what_a_command_raises_is_told_and_ends_nothing(port, monkeypatch):
    def broken(hand):
        raise RuntimeError("a fault of its own")

    monkeypatch.setitem(COMMANDS, "brownout", (broken, (), ""))
    assert "a fault of its own" in port.command("brownout")
    assert port.command("show").startswith("10 ")


def test_a_command_to_a_hand_that_has_ended_is_refused():
    with VirtualPort(VirtualHand()) as port:
        pass
    assert port.command("show") == "error: show; the virtual hand has ended"


def test_several_servos_are_cut_off_the_wire_and_joined_again(port):
    handler, sdk = client(port)
    assert port.command("cut 30 31 32") == "done: cut 30 31 32"
    sdk.write1ByteTxOnly(handler, 31, reg.LED.address, 1)
    assert sdk.ping(handler, 31)[1] != COMM_SUCCESS
    assert sdk.ping(handler, 50)[1] == COMM_SUCCESS
    port.command("join 30 31 32")
    assert sdk.read1ByteTxRx(handler, 31, reg.LED.address)[:2] == (0, COMM_SUCCESS)
    handler.closePort()


def test_an_adapter_with_a_hiccup_hands_over_late_once(port):
    handler, sdk = client(port)
    took = []
    port.command("hiccup 300")
    for _ in range(2):
        started = time.monotonic()
        while sdk.ping(handler, 10)[1] != COMM_SUCCESS:
            pass
        took.append(time.monotonic() - started)
    assert took[0] >= 0.3
    assert took[1] < took[0]
    handler.closePort()


def test_faults_are_felt_by_the_client(port):
    handler, sdk = client(port)
    port.command("overload 11")
    assert sdk.ping(handler, 11)[2] == 0x80
    port.command("silent 12")
    assert sdk.ping(handler, 12)[1] != COMM_SUCCESS
    port.command("brownout")
    time.sleep(0.5)
    assert sdk.ping(handler, 11)[2] == 0
    handler.closePort()
