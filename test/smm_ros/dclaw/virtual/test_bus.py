"""The virtual bus, asked by the SDK's own client."""

import numpy as np
import pytest
from dynamixel_sdk import (
    COMM_RX_CORRUPT,
    COMM_RX_TIMEOUT,
    COMM_SUCCESS,
    GroupBulkRead,
    GroupBulkWrite,
    GroupSyncRead,
    GroupSyncWrite,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from smm_ros.dclaw.dynamixel import packets
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.packets import ALERT, Packet, StatusError, encode

IDS = (10, 11, 12, 20, 21, 22, 30, 31, 32, 50)
TORQUE, GOAL, NOW = reg.TORQUE_ENABLE, reg.GOAL_POSITION, reg.PRESENT_POSITION
BLOCK = reg.PRESENT_CURRENT.address, 10


def sync_read(client, fast=False, register=NOW):
    group = GroupSyncRead(client.port, client.sdk, register.address, register.size)
    for servo in client.servos:
        group.addParam(servo.get(reg.ID))
    return (group.fastSyncRead() if fast else group.txRxPacket()), group


def test_a_ping_tells_model_and_firmware(client):
    c = client()
    assert c.sdk.ping(c.port, 11) == (1030, COMM_SUCCESS, 0)
    assert c.sdk.ping(c.port, 13)[1] == COMM_RX_TIMEOUT
    found, result = c.sdk.broadcastPing(c.port)
    assert result == COMM_SUCCESS
    assert found == {10: [1030, 45], 11: [1030, 45], 12: [1030, 45]}


def test_registers_are_written_and_read_one_by_one(client):
    c = client()
    assert c.sdk.write4ByteTxRx(c.port, 11, GOAL.address, 1234) == (COMM_SUCCESS, 0)
    assert c.sdk.read4ByteTxRx(c.port, 11, GOAL.address) == (1234, COMM_SUCCESS, 0)
    assert c.sdk.write1ByteTxRx(c.port, 11, reg.OPERATING_MODE.address, 2) == (
        COMM_SUCCESS,
        StatusError.DATA_RANGE,
    )
    _, result, error = c.sdk.read2ByteTxRx(c.port, 11, reg.TABLE_SIZE)
    assert (result, error) == (COMM_SUCCESS, StatusError.ACCESS)


@pytest.mark.parametrize("fast", [False, True])
def test_all_are_read_in_one_transaction(client, fast):
    c = client(IDS)
    for i, servo in enumerate(c.servos):
        servo.advance(0.1 * i - 0.3, 0.0, 0.01)
    c.servos[4].write(reg.DRIVE_MODE.address, b"\1")
    result, group = sync_read(c, fast)
    assert result == COMM_SUCCESS
    found = [group.getData(i, NOW.address, 4) for i in IDS]
    assert np.array(found, np.uint32).view(np.int32).tolist() == [s.get(NOW) for s in c.servos]


def test_all_are_written_in_one_transaction(client):
    c = client(IDS)
    group = GroupSyncWrite(c.port, c.sdk, GOAL.address, GOAL.size)
    for i, servo in enumerate(IDS):
        group.addParam(servo, list(GOAL.encode(100 * i)))
    assert group.txPacket() == COMM_SUCCESS
    assert [s.get(GOAL) for s in c.servos] == [100 * i for i in range(10)]


@pytest.mark.parametrize("fast", [False, True])
def test_bulk_reads_and_writes_may_differ_from_servo_to_servo(client, fast):
    c = client()
    write = GroupBulkWrite(c.port, c.sdk)
    write.addParam(10, GOAL.address, 4, list(GOAL.encode(7)))
    write.addParam(11, reg.LED.address, 1, [1])
    assert write.txPacket() == COMM_SUCCESS
    read = GroupBulkRead(c.port, c.sdk)
    read.addParam(10, GOAL.address, 4)
    read.addParam(11, reg.LED.address, 1)
    assert (read.fastBulkRead() if fast else read.txRxPacket()) == COMM_SUCCESS
    assert read.getData(10, GOAL.address, 4) == 7
    assert read.getData(11, reg.LED.address, 1) == 1


@pytest.mark.parametrize(
    ("instruct", "name"),
    [
        (lambda c: c.sdk.write1ByteTxRx(c.port, 11, reg.ID.address, 13), 13),
        (lambda c: c.sdk.factoryReset(c.port, 11, 0xFF), reg.ID.default),
    ],
)
def test_a_servo_that_changes_its_id_answers_by_the_one_it_was_called(client, instruct, name):
    c = client()
    assert instruct(c) == (COMM_SUCCESS, 0)
    assert c.servos[1].get(reg.ID) == name


@pytest.mark.parametrize(("option", "kept"), [(0xFF, 3), (0x02, 3), (0x01, 1)])
def test_ids_outlast_every_factory_reset_of_all_servos_at_once(client, option, kept):
    c = client()
    c.bus.receive(encode(Packet(packets.BROADCAST_ID, packets.FACTORY_RESET, bytes([option]))), 0)
    assert [s.get(reg.ID) for s in c.servos] == [10, 11, 12]
    assert {s.get(reg.BAUD_RATE) for s in c.servos} == {kept}


def test_turns_are_cleared_by_the_key_alone(client):
    c = client()
    c.servos[1].turn(3)
    c.bus.receive(encode(Packet(11, packets.CLEAR, b"\1DXL")), 0.0)
    c.port.pass_time(0.1)
    assert c.sdk.read4ByteTxRx(c.port, 11, NOW.address)[0] == 3 * 4096
    assert c.sdk.clearMultiTurn(c.port, 11) == (COMM_SUCCESS, 0)
    assert c.sdk.read4ByteTxRx(c.port, 11, NOW.address)[0] == 0


def test_a_registered_write_waits_for_the_action(client):
    c = client()
    assert c.sdk.regWriteTxRx(c.port, 10, GOAL.address, 4, list(GOAL.encode(9)))[0] == COMM_SUCCESS
    assert c.servos[0].get(GOAL) != 9
    assert c.servos[0].get(reg.REGISTERED_INSTRUCTION) == 1
    c.sdk.action(c.port, 10)
    assert c.servos[0].get(GOAL) == 9
    assert c.servos[0].get(reg.REGISTERED_INSTRUCTION) == 0


def test_a_rebooting_servo_answers_first_and_is_silent_then(client):
    c = client()
    c.servos[0].fail(reg.OVERLOAD_BIT)
    _, result, error = c.sdk.ping(c.port, 10)
    assert (result, error) == (COMM_SUCCESS, ALERT)
    assert c.sdk.reboot(c.port, 10)[0] == COMM_SUCCESS
    assert c.sdk.ping(c.port, 10)[1] == COMM_RX_TIMEOUT
    c.port.pass_time(0.3)
    assert c.sdk.ping(c.port, 10) == (1030, COMM_SUCCESS, 0)


def test_the_alert_is_on_every_status_packet(client):
    c = client()
    c.servos[1].fail(reg.OVERHEATING_BIT)
    assert c.sdk.read1ByteTxRx(c.port, 11, reg.LED.address)[2] == ALERT
    assert c.sdk.write1ByteTxRx(c.port, 11, reg.LED.address, 1)[1] == ALERT
    assert c.sdk.read1ByteTxRx(c.port, 10, reg.LED.address)[2] == 0


@pytest.mark.parametrize(("level", "reads", "writes"), [(0, 0, 0), (1, 1, 0), (2, 1, 1)])
def test_the_return_level_says_who_is_answered(client, level, reads, writes):
    c = client()
    c.servos[0].set(reg.STATUS_RETURN_LEVEL, level)
    assert c.sdk.ping(c.port, 10)[1] == COMM_SUCCESS
    answered = c.sdk.read1ByteTxRx(c.port, 10, reg.LED.address)[1] == COMM_SUCCESS
    assert answered == bool(reads)
    answered = c.sdk.write1ByteTxRx(c.port, 10, reg.LED.address, 1)[0] == COMM_SUCCESS
    assert answered == bool(writes)
    assert c.servos[0].get(reg.LED) == 1


# Faults.


def test_servos_of_another_speed_hear_noise(client):
    c = client()
    c.servos[1].set(reg.BAUD_RATE, 1)
    assert c.sdk.ping(c.port, 10)[1] == COMM_SUCCESS
    assert c.sdk.ping(c.port, 11)[1] == COMM_RX_TIMEOUT
    c.bus.baud_rate = 57_600
    assert c.sdk.ping(c.port, 11)[1] == COMM_SUCCESS


@pytest.mark.parametrize("fast", [False, True])
def test_those_behind_a_silent_servo_are_silent_too(client, fast):
    c = client(IDS)
    c.faults.silent.add(20)
    result, group = sync_read(c, fast)
    assert result != COMM_SUCCESS
    if not fast:
        assert [bool(group.data_dict[i]) for i in IDS[:3]] == [True] * 3
        assert not any(group.data_dict[i] for i in IDS[3:])
    assert c.sdk.ping(c.port, 20)[1] == COMM_RX_TIMEOUT
    assert c.sdk.ping(c.port, 21)[1] == COMM_SUCCESS


def test_an_unplugged_cable_takes_everything_with_it(client):
    c = client()
    c.faults.unplugged = True
    assert c.sdk.ping(c.port, 10)[1] == COMM_RX_TIMEOUT
    assert c.sdk.write1ByteTxOnly(c.port, 10, reg.LED.address, 1) == COMM_SUCCESS
    assert c.servos[0].get(reg.LED) == 0
    c.faults.unplugged = False
    assert c.sdk.ping(c.port, 10)[1] == COMM_SUCCESS


def test_two_servos_of_one_id_are_clean_where_they_say_the_same_and_damaged_where_not(client):
    c = client((10, 11, 11))
    assert c.sdk.ping(c.port, 11) == (1030, COMM_SUCCESS, 0)
    c.servos[2].advance(1.0, 0.0, 0.01)
    assert c.sdk.read4ByteTxRx(c.port, 11, NOW.address)[1] in (COMM_RX_CORRUPT, COMM_RX_TIMEOUT)
    assert c.sdk.ping(c.port, 10)[1] == COMM_SUCCESS


def test_two_servos_of_one_id_that_are_not_in_step_damage_each_other(client):
    c = client((10, 11, 11))
    c.servos[2].set(reg.RETURN_DELAY_TIME, 5)
    assert c.sdk.ping(c.port, 11)[1] in (COMM_RX_CORRUPT, COMM_RX_TIMEOUT)
    assert c.bus.collisions == 1
    c.servos[2].set(reg.RETURN_DELAY_TIME, 250)  # when the first has ended
    assert c.sdk.ping(c.port, 11)[1] == COMM_SUCCESS
    assert c.bus.collisions == 1


def test_a_servo_that_is_cut_off_neither_hears_nor_answers(client):
    c = client()
    c.servos[0].write(reg.BUS_WATCHDOG.address, b"\1")
    c.servos[0].write(TORQUE.address, b"\1")
    c.faults.cut.add(10)
    for _ in range(5):
        assert c.sdk.ping(c.port, 11)[1] == COMM_SUCCESS
        assert c.sdk.ping(c.port, 10)[1] == COMM_RX_TIMEOUT
    assert c.sdk.write1ByteTxOnly(c.port, 10, TORQUE.address, 0) == COMM_SUCCESS
    assert c.servos[0].get(TORQUE) == 1
    assert c.servos[0].get(reg.BUS_WATCHDOG) == -1  # it has heard nothing
    c.faults.cut.clear()
    assert c.sdk.ping(c.port, 10)[1] == COMM_SUCCESS


def test_a_secondary_id_is_obeyed_but_not_answered_and_leads_to_no_eeprom(client):
    c = client()
    for servo in c.servos:
        servo.write(reg.SECONDARY_ID.address, b"\x0b")  # 11, the second's own
    assert c.sdk.write1ByteTxRx(c.port, 11, reg.LED.address, 1) == (COMM_SUCCESS, 0)
    assert [s.get(reg.LED) for s in c.servos] == [1, 1, 1]
    assert c.sdk.write1ByteTxRx(c.port, 11, reg.SHUTDOWN.address, 0) == (COMM_SUCCESS, 0)
    assert [s.get(reg.SHUTDOWN) for s in c.servos] == [52, 0, 52]
    group = GroupSyncWrite(c.port, c.sdk, GOAL.address, GOAL.size)
    group.addParam(11, list(GOAL.encode(77)))
    assert group.txPacket() == COMM_SUCCESS
    assert [s.get(GOAL) for s in c.servos] == [77, 77, 77]
    c.servos[0].set(reg.SECONDARY_ID, 100)
    assert c.sdk.write1ByteTxRx(c.port, 100, reg.LED.address, 0)[0] == COMM_RX_TIMEOUT
    assert [s.get(reg.LED) for s in c.servos] == [0, 1, 1]


def test_bytes_that_are_lost_or_changed_are_no_answers(client):
    c = client(IDS)
    c.faults.corrupt_byte = 0.02
    good = [sync_read(c)[0] == COMM_SUCCESS for _ in range(40)]
    assert not all(good)
    c.faults.corrupt_byte, c.faults.drop_byte = 0.0, 0.02
    good = [sync_read(c)[0] == COMM_SUCCESS for _ in range(40)]
    assert not all(good)
    c.faults.drop_byte = 0.0
    c.port.pass_time(0.1)
    assert all(sync_read(c)[0] == COMM_SUCCESS for _ in range(5))


def test_without_fast_sync_read_nobody_answers_to_fast_reads(client):
    c = client(fast_sync_read=False)
    assert sync_read(c, fast=True)[0] == COMM_RX_TIMEOUT
    bulk = GroupBulkRead(c.port, c.sdk)
    bulk.addParam(10, *BLOCK)
    assert bulk.fastBulkRead() == COMM_RX_TIMEOUT
    assert sync_read(c)[0] == COMM_SUCCESS


@settings(max_examples=200)
@given(data=st.one_of(st.binary(max_size=80), st.builds(
    lambda i, n, p: encode(Packet(i, n, p)),
    st.sampled_from([10, 11, 99, 0xFE]),
    st.one_of(st.integers(0, 255), st.sampled_from(
        [2, 3, 4, 6, 16, 0x82, 0x83, 0x8A, 0x92, 0x93, 0x9A]
    )),
    st.binary(max_size=24),
)))  # fmt: skip
def test_no_bytes_at_all_harm_the_bus(client, data):
    c = client()
    c.bus.receive(data, 0.0)
    c.bus.take(1.0)
    c.bus.receive(bytes(packets.MAX_LENGTH + 9), 1.0)
    c.port.pass_time(2.0)
    answering = [s.get(reg.ID) for s in c.servos if s.get(reg.BAUD_RATE) == 3]
    assert all(c.sdk.ping(c.port, i)[1] == COMM_SUCCESS for i in set(answering))
