"""Packets of Dynamixel's Protocol 2.0: to bytes, and out of a stream of bytes.

Source: ROBOTIS e-manual, docs/en/dxl/protocol2. A packet is FF FF FD 00, id, length (2 bytes),
instruction, parameters, CRC-16 (2 bytes); FF FF FD within it is followed by one more FD.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dynamixel_sdk import Protocol2PacketHandler

HEADER = b"\xff\xff\xfd\x00"
BROADCAST_ID = 0xFE
MAX_ID = 0xFC
MAX_LENGTH = 4096
"""Longest packet that a stream is searched for; a longer length is noise."""

PING, READ, WRITE, REG_WRITE, ACTION, FACTORY_RESET = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
REBOOT, CLEAR, STATUS = 0x08, 0x10, 0x55
SYNC_READ, SYNC_WRITE, FAST_SYNC_READ = 0x82, 0x83, 0x8A
BULK_READ, BULK_WRITE, FAST_BULK_READ = 0x92, 0x93, 0x9A

ALERT = 0x80
"""Bit of a status packet's error: the servo has a hardware error."""

_ID, _LENGTH, _INSTRUCTION, _CRC_SIZE = 4, slice(5, 7), 7, 2
_STUFFED, _PLAIN = b"\xff\xff\xfd\xfd", b"\xff\xff\xfd"
_SDK = Protocol2PacketHandler()


class StatusError:
    """Numbers in the error of a status packet, beside ALERT."""

    RESULT_FAIL, INSTRUCTION, CRC, DATA_RANGE, DATA_LENGTH, DATA_LIMIT, ACCESS = range(1, 8)
    NAMES = (
        "none",
        "result fail",
        "instruction error",
        "CRC error",
        "data range error",
        "data length error",
        "data limit error",
        "access error",
    )


@dataclass(frozen=True)
class Packet:
    """One packet as it was meant, without stuffing and CRC."""

    id: int
    instruction: int
    parameters: bytes = b""


class PacketError(ValueError):
    """Bytes that begin like a packet but are none."""


def crc16(data: bytes, crc: int = 0) -> int:
    """Return the CRC-16 of bytes (polynomial 0x8005, from 0), going on from that of others."""
    return int(_SDK.updateCRC(crc, data, len(data)))


def with_crc(data: bytes) -> bytes:
    """Return bytes with their CRC behind them."""
    return data + crc16(data).to_bytes(2, "little")


def encode(packet: Packet) -> bytes:
    """Return the bytes of a packet on the wire."""
    body = (bytes([packet.instruction]) + packet.parameters).replace(_PLAIN, _STUFFED)
    length = len(body) + _CRC_SIZE
    return with_crc(HEADER + bytes([packet.id]) + length.to_bytes(2, "little") + body)


def status(servo: int, error: int, data: bytes = b"") -> bytes:
    """Return the bytes of a servo's answer."""
    return encode(Packet(servo, STATUS, bytes([error]) + data))


def fast_status(answers: list[tuple[int, int, bytes]]) -> list[bytes]:
    """Return the one answer of several servos (id, error, data) to a fast sync read, by servo.

    Each servo appends its part with the CRC of all before it; nothing is stuffed.
    """
    length = 1 + sum(4 + len(data) for _, _, data in answers)
    before = HEADER + bytes([BROADCAST_ID]) + length.to_bytes(2, "little") + bytes([STATUS])
    parts, so_far = [], b""
    for servo, error, data in answers:
        part = before + bytes([error, servo]) + data
        so_far = with_crc(so_far + part)
        parts.append(so_far[-len(part) - _CRC_SIZE :])
        before = b""
    return parts


class Decoder:
    """Finds packets in bytes as they come in, whatever lies between them."""

    noise: int
    """Bytes so far that belonged to no packet."""

    def __init__(self) -> None:
        self.noise = 0
        self._bytes = b""

    @property
    def pending(self) -> bytes:
        """Bytes that may be the beginning of a packet."""
        return self._bytes

    def clear(self) -> None:
        """Forget the beginning of a packet."""
        self._bytes = b""

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Add bytes; yield each packet that is complete.

        Raises:
            PacketError: a packet's CRC is wrong. Its header is dropped; feed(b"") goes on behind.
        """
        self._bytes += data
        while (whole := self._next()) is not None:
            if crc16(whole[:-_CRC_SIZE]) != int.from_bytes(whole[-_CRC_SIZE:], "little"):
                self._drop(len(HEADER))
                raise PacketError(f"wrong CRC: {whole.hex(' ')}")
            self._bytes = self._bytes[len(whole) :]
            # A fast answer is not stuffed: its parts follow one another, CRCs and all.
            body = whole[_INSTRUCTION:-_CRC_SIZE]
            if not (whole[_ID] == BROADCAST_ID and body[0] == STATUS):
                body = body.replace(_STUFFED, _PLAIN)
            yield Packet(whole[_ID], body[0], body[1:])

    def _next(self) -> bytes | None:
        """Return the bytes of the first whole packet, or None while there is none."""
        while True:
            start = self._bytes.find(HEADER)
            if start < 0:
                # The last bytes may be the beginning of a header.
                keep = next(n for n in (3, 2, 1, 0) if self._bytes.endswith(HEADER[:n]))
                self._drop(len(self._bytes) - keep)
                return None
            self._drop(start)
            if len(self._bytes) < _INSTRUCTION:
                return None
            length = int.from_bytes(self._bytes[_LENGTH], "little")
            if 1 + _CRC_SIZE <= length <= MAX_LENGTH:
                end = _INSTRUCTION + length
                return self._bytes[:end] if len(self._bytes) >= end else None
            self._drop(len(HEADER))

    def _drop(self, count: int) -> None:
        self._bytes = self._bytes[count:]
        self.noise += count
