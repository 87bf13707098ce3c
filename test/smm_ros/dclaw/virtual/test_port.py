"""The virtual hand on a pseudo-terminal: the SDK's client opens it like any port, in real time."""

import re
import time

import pytest
from dynamixel_sdk import COMM_SUCCESS, GroupSyncRead, PortHandler, Protocol2PacketHandler

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.virtual.commands import COMMANDS
from smm_ros.dclaw.virtual.hand import FACTORY, MOST_LAG, VirtualHand, VirtualHandConfig
from smm_ros.dclaw.virtual.port import VirtualPort

IDS = (10, 11, 12, 20, 21, 22, 30, 31, 32, 50)


@pytest.fixture(name="port")
def open_port():
    with VirtualPort(VirtualHand(VirtualHandConfig(model_number=1030))) as port:
        yield port


def client(port, baud_rate=1_000_000):
    handler = PortHandler(port.path)
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


def test_a_machine_that_slept_does_not_catch_up():
    hand = VirtualHand()
    hand.advance(0.0)
    hand.advance(0.1)
    ticks = hand.servo(10).read(reg.REALTIME_TICK.address, 2)[1]
    hand.advance(0.1 + MOST_LAG + 10.0)
    assert hand.data.time == pytest.approx(0.1, abs=0.01)
    assert hand.lost == pytest.approx(10.0 + MOST_LAG, abs=0.01)
    later = hand.servo(10).read(reg.REALTIME_TICK.address, 2)[1]
    passed = int.from_bytes(later, "little") - int.from_bytes(ticks, "little")
    assert passed == pytest.approx(10_250, abs=5)  # the servos' clocks did not sleep


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
        ("explode", "there is no command 'explode'; expected one of overload"),
        ("overload", "expected 1 arguments, got 0"),
        ("overload 99", "there is no servo 99; there are 10, 11"),
        ("overload eleven", "invalid literal"),
        ("drop 2", "expected a probability in \\[0, 1\\], got 2.0"),
        ("slow 11", "expected 2 arguments, got 1"),
    ],
)
def test_mistakes_are_told_and_change_nothing(port, line, message):
    answer = port.command(line)
    assert answer.startswith("error: ")
    assert re.search(message, answer)
    assert not port.hand.servo(11).alert


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
