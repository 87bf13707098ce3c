"""Packets: the e-manual's own examples, the SDK's bytes, and any bytes at all."""

import pytest
from dynamixel_sdk import Protocol2PacketHandler
from hypothesis import given
from hypothesis import strategies as st

from smm_ros.dclaw.dynamixel import packets
from smm_ros.dclaw.dynamixel.packets import Decoder, Packet, PacketError, encode, fast_status

PUBLISHED = {
    Packet(1, packets.PING): "ff ff fd 00 01 03 00 01 19 4e",
    Packet(1, packets.READ, b"\x84\x00\x04\x00"): "ff ff fd 00 01 07 00 02 84 00 04 00 1d 15",
    Packet(1, packets.WRITE, b"\x74\x00\x00\x02\x00\x00"): (
        "ff ff fd 00 01 09 00 03 74 00 00 02 00 00 ca 89"
    ),
    Packet(1, packets.REBOOT): "ff ff fd 00 01 03 00 08 2f 4e",
    Packet(0xFE, packets.SYNC_READ, b"\x84\x00\x04\x00\x01\x02"): (
        "ff ff fd 00 fe 09 00 82 84 00 04 00 01 02 ce fa"
    ),
    Packet(0xFE, packets.SYNC_WRITE, b"\x74\x00\x04\x00\x01\x96\0\0\0\x02\xaa\0\0\0"): (
        "ff ff fd 00 fe 11 00 83 74 00 04 00 01 96 00 00 00 02 aa 00 00 00 82 87"
    ),
    Packet(1, packets.STATUS, b"\x00\xa6\x00\x00\x00"): (
        "ff ff fd 00 01 08 00 55 00 a6 00 00 00 8c c0"
    ),
    Packet(2, packets.STATUS, b"\x00\x06\x04\x26"): "ff ff fd 00 02 07 00 55 00 06 04 26 6f 6d",
}
"""Examples of the e-manual's page on Protocol 2.0."""

some_bytes = st.lists(st.sampled_from([0xFF, 0xFD, 0x00, 0x55, 0x82]), max_size=40).map(bytes)
any_bytes = st.one_of(st.binary(max_size=60), some_bytes)
any_packet = st.builds(Packet, st.integers(0, 252), st.integers(1, 0x9F), any_bytes)


@pytest.mark.parametrize(("packet", "data"), PUBLISHED.items())
def test_published_examples(packet, data):
    assert encode(packet).hex(" ") == data
    assert list(Decoder().feed(bytes.fromhex(data))) == [packet]


@given(st.lists(any_packet, max_size=5), st.data())
def test_packets_come_back_however_their_bytes_are_cut(sent, data):
    stream = b"".join(map(encode, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    decoder, found = Decoder(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += decoder.feed(stream[start:end])
    assert found == sent
    assert decoder.noise == 0


@given(any_packet)
def test_the_header_is_never_inside_a_packet(packet):
    assert encode(packet).count(packets.HEADER) == 1 or packets.HEADER in encode(packet)[-4:]


@given(st.integers(0, 252), any_bytes)
def test_the_sdk_stuffs_to_the_same_bytes(servo, values):
    # Its txPacket drops what its addStuffing returns (4.1.0): so the latter is asked.
    length = len(values) + 3
    raw = [*packets.HEADER, servo, length & 0xFF, length >> 8, packets.WRITE, *values, 0, 0]
    stuffed = bytes(Protocol2PacketHandler().addStuffing(raw))
    assert packets.with_crc(stuffed[:-2]) == encode(Packet(servo, packets.WRITE, values))


@given(any_packet, any_packet, st.data())
def test_a_damaged_packet_is_never_taken_for_another(first, second, data):
    stream = bytearray(encode(first))
    place = data.draw(st.integers(0, len(stream) - 1))
    stream[place] ^= data.draw(st.integers(1, 255))
    decoder = Decoder()
    found = drain(decoder, bytes(stream) + encode(second) + bytes(packets.MAX_LENGTH + 9))
    assert first not in found or first == second
    assert second in found


@given(st.binary(max_size=200))
def test_noise_is_none_and_is_counted(noise):
    decoder = Decoder()
    drain(decoder, noise)
    assert decoder.noise + len(decoder.pending) == len(noise)


def drain(decoder, data):
    """Return the packets in bytes, whatever else is between them."""
    found = []
    while True:
        try:
            found += decoder.feed(data)
            return found
        except PacketError:
            data = b""


def test_a_wrong_crc_is_told_and_what_follows_is_found():
    good = encode(Packet(3, packets.PING))
    bad = good[:-1] + bytes([good[-1] ^ 1])
    decoder = Decoder()
    with pytest.raises(PacketError, match="wrong CRC: ff ff fd 00 03 03 00 01"):
        list(decoder.feed(bad + good))
    assert list(decoder.feed(b"")) == [Packet(3, packets.PING)]
    assert decoder.noise == len(bad)


def test_the_sizes_on_the_wire_are_those_computed_for_ten_servos():
    ids = bytes(range(10, 20))
    block = b"\x7e\x00\x0a\x00"
    assert len(encode(Packet(0xFE, packets.SYNC_READ, block + ids))) == 24
    assert 10 * len(packets.status(10, 0, b"\1" * 10)) == 210
    goals = b"".join(bytes([i]) + b"\1" * 4 for i in range(9))
    assert len(encode(Packet(0xFE, packets.SYNC_WRITE, b"\x74\x00\x04\x00" + goals))) == 59
    assert sum(map(len, fast_status([(i, 0, b"\1" * 10) for i in ids]))) == 148


@given(st.lists(st.binary(min_size=4, max_size=4), min_size=1, max_size=4))
def test_each_part_of_a_fast_answer_ends_with_the_crc_of_all_before_it(values):
    answers = [(10 + i, 0, data) for i, data in enumerate(values)]
    parts = fast_status(answers)
    for count in range(1, len(parts) + 1):
        before = b"".join(parts[:count])
        assert packets.crc16(before[:-2]) == int.from_bytes(before[-2:], "little")
    (packet,) = Decoder().feed(b"".join(parts))
    assert packet.id == packets.BROADCAST_ID
    chunks = [packet.parameters[i : i + 6] for i in range(0, len(packet.parameters), 8)]
    assert chunks == [bytes([0, servo]) + data for servo, _, data in answers]
