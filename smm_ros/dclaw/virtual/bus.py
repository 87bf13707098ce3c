"""A bus of virtual servos: what instructions make them do, and who answers when.

Nothing here sleeps or opens a port: the caller says what time it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile

from smm_ros.dclaw.dynamixel import packets, units
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.packets import (
    BROADCAST_ID,
    Decoder,
    Packet,
    PacketError,
    StatusError,
    fast_status,
    status,
)
from smm_ros.dclaw.virtual.faults import Faults
from smm_ros.dclaw.virtual.servo import VirtualServo
from smm_ros.dclaw.virtual.wire import Wire

TURNAROUND = 50e-6
"""From an instruction to the answer beside the return delay time, s."""
_CLEAR_TURNS = b"\x01DXL\x22"
"""What a CLEAR says to mean it."""
_KEPT = {b"\xff": (False, False), b"\x01": (True, False), b"\x02": (True, True)}
"""By what a FACTORY_RESET says: whether the id stays, and whether the speed does."""


class VirtualBus:
    """Servos on one pair of wires behind a USB adapter."""

    def __init__(
        self,
        servos: Sequence[VirtualServo],
        usb_latency: float = 0.001,
        fast_sync_read: bool = True,
        seed: int = 0,
    ) -> None:
        self.servos = list(servos)
        self.faults = Faults()
        self.fast_sync_read = fast_sync_read
        self._decoder = Decoder()
        self._wire = Wire(self.faults, usb_latency, seed)
        self._registered: dict[VirtualServo, tuple[int, bytes]] = {}

    @property
    def baud_rate(self) -> int:
        """Speed of the other end, bit/s: servos of another speed hear noise."""
        return self._wire.baud_rate

    @baud_rate.setter
    def baud_rate(self, value: int) -> None:
        if value != self._wire.baud_rate:
            self._decoder.clear()
            self._wire.change_speed(value)

    @property
    def usb_latency(self) -> float:
        """Latency timer of the adapter, s."""
        return self._wire.usb_latency

    @usb_latency.setter
    def usb_latency(self, value: float) -> None:
        self._wire.usb_latency = value

    @property
    def collisions(self) -> int:
        """How often so far two have spoken at once."""
        return self._wire.collisions

    # The other end.

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes that were sent at a time (s)."""
        data, arrived = self._wire.instruct(data, now)
        while True:
            try:
                for packet in self._decoder.feed(data):
                    self._obey(packet, arrived)
                return
            except PacketError:
                data = b""  # nobody answers to a packet that is damaged

    def take(self, now: float) -> bytes:
        """Return the bytes that the adapter has handed over by a time (s)."""
        return self._wire.take(now)

    def next_time(self) -> float | None:
        """Return when `take` may have bytes next, s; None while nothing is under way."""
        return self._wire.next_time()

    # The servos' end.

    def _obey(self, packet: Packet, now: float) -> None:
        if self.faults.unplugged:
            return
        hearing = [s for s in self.servos if self._hears(s)]
        for servo in hearing:
            servo.heard()
        by_id: dict[int, list[VirtualServo]] = {}
        for servo in hearing:
            by_id.setdefault(servo.get(reg.ID), []).append(servo)
        self._call_by_second_id(packet, hearing)
        answers = self._answers(packet, by_id)
        for servos, parts in answers:
            if self._answers_at_all(servos):
                now = self._send(servos, parts, now)
            elif packet.instruction != packets.PING:
                break  # the next in a sync read waits for this one's answer

    def _hears(self, servo: VirtualServo) -> bool:
        if servo.is_booting or servo.get(reg.ID) in self.faults.cut:
            return False
        return reg.BAUD_RATES[servo.get(reg.BAUD_RATE)] == self.baud_rate

    def _answers(
        self, packet: Packet, by_id: dict[int, list[VirtualServo]]
    ) -> list[tuple[list[VirtualServo], list[bytes]]]:
        """Carry an instruction out; return in turn which servos answer and what each says."""
        if packet.instruction in _READS:
            reads = list(_READS[packet.instruction](packet.parameters))
            if packet.instruction in (packets.FAST_SYNC_READ, packets.FAST_BULK_READ):
                return self._fast_read(reads, by_id) if self.fast_sync_read else []
            return [(by_id.get(i, []), self._read(by_id.get(i, []), a, n)) for i, a, n in reads]
        if packet.instruction in (packets.SYNC_WRITE, packets.BULK_WRITE):
            for i, address, values in _WRITES[packet.instruction](packet):
                for servo in by_id.get(i, []):
                    servo.write(address, values)
            return []
        if packet.id == BROADCAST_ID:
            everyone = sorted(by_id.items())
            found = [(s, [self._single(one, packet) for one in s]) for _, s in everyone]
            return found if packet.instruction == packets.PING else []
        servos = by_id.get(packet.id, [])
        answers = [self._single(servo, packet) for servo in servos]
        quiet = [s for s, answer in zip(servos, answers, strict=True) if not answer]
        return [] if quiet else [(servos, answers)]

    def _call_by_second_id(self, packet: Packet, hearing: list[VirtualServo]) -> None:
        """Carry a write out by those whose secondary id it names: they never answer."""
        if packet.instruction not in _WRITES:
            return
        by_id: dict[int, list[VirtualServo]] = {}
        for servo in hearing:
            second = servo.get(reg.SECONDARY_ID)
            if second <= packets.MAX_ID and second != servo.get(reg.ID):
                by_id.setdefault(second, []).append(servo)
        for i, address, values in _WRITES[packet.instruction](packet):
            for servo in by_id.get(i, []):
                servo.write(address, values, as_second=True)

    def _read(self, servos: list[VirtualServo], address: int, length: int) -> list[bytes]:
        return [status(s.get(reg.ID), *s.read(address, length)) for s in servos]

    def _fast_read(
        self, reads: list[tuple[int, int, int]], by_id: dict[int, list[VirtualServo]]
    ) -> list[tuple[list[VirtualServo], list[bytes]]]:
        """Return the one answer of all: it ends before the first servo that does not answer."""
        if sum(4 + length for _, _, length in reads) > packets.MAX_LENGTH:
            return []
        servos = [by_id.get(i, []) for i, _, _ in reads]
        told = [
            (i, *(found[0].read(address, length) if found else (0, bytes(length))))
            for (i, address, length), found in zip(reads, servos, strict=True)
        ]
        answering = list(takewhile(self._answers_at_all, servos))
        joined = b"".join(fast_status(told)[: len(answering)])
        return [(answering[0], [joined])] if answering else []

    def _answers_at_all(self, servos: list[VirtualServo]) -> bool:
        return bool(servos) and servos[0].get(reg.ID) not in self.faults.silent

    def _single(self, servo: VirtualServo, packet: Packet) -> bytes:
        """Carry out an instruction to one servo; return its answer, empty where it gives none."""
        data, answers_from = packet.parameters, 2  # the return level that it takes
        called = servo.get(reg.ID)  # it answers by this one, even where it gets another
        address = int.from_bytes(data[:2], "little")
        error, answer = servo.alert, b""
        if packet.instruction == packets.PING:
            answer = servo.read(reg.MODEL_NUMBER.address, 2)[1]
            answer += servo.read(reg.FIRMWARE_VERSION.address, 1)[1]
            answers_from = 0
        elif packet.instruction == packets.READ and len(data) == 4:
            error, answer = servo.read(address, int.from_bytes(data[2:], "little"))
            answers_from = 1
        elif packet.instruction == packets.WRITE and len(data) > 2:
            error = servo.write(address, data[2:])
        elif packet.instruction == packets.REG_WRITE and len(data) > 2:
            self._registered[servo] = address, data[2:]
            servo.set(reg.REGISTERED_INSTRUCTION, 1)
        elif packet.instruction == packets.ACTION and servo in self._registered:
            error = servo.write(*self._registered.pop(servo))
            servo.set(reg.REGISTERED_INSTRUCTION, 0)
        else:
            error = _reset(servo, packet)
        if servo.get(reg.STATUS_RETURN_LEVEL) < answers_from:
            return b""
        return status(called, error, answer)

    def _send(self, servos: list[VirtualServo], parts: list[bytes], now: float) -> float:
        """Have servos of one id answer, each with its part; return when the last has ended."""
        ends = []
        for servo, part in zip(servos, parts, strict=False):
            begin = now + TURNAROUND + units.RETURN_DELAY * servo.get(reg.RETURN_DELAY_TIME)
            begin += servo.busy + self.faults.slow.get(servo.get(reg.ID), 0.0)
            ends.append(self._wire.answer(part, begin))
        return max(ends)


def _reset(servo: VirtualServo, packet: Packet) -> int:
    """Carry out what sets a servo back to how it once was; return the error."""
    error, data = servo.alert, packet.parameters
    if packet.instruction == packets.REBOOT:
        servo.reboot()
    elif packet.instruction == packets.CLEAR and data == _CLEAR_TURNS:
        error = servo.clear_turns()
    elif packet.instruction == packets.FACTORY_RESET and data[:1] in _KEPT:
        keep_id, keep_baud_rate = _KEPT[data[:1]]
        if keep_id or packet.id != BROADCAST_ID:  # or else all would be of one id
            servo.factory_reset(keep_id, keep_baud_rate)
    else:
        error |= StatusError.INSTRUCTION
    return error


def _sync_read(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield id, address and length of each read."""
    address, length = (int.from_bytes(data[i : i + 2], "little") for i in (0, 2))
    for servo in data[4:]:
        yield servo, address, length


def _bulk_read(data: bytes) -> Iterator[tuple[int, int, int]]:
    for i in range(0, len(data) - 4, 5):
        address, length = (int.from_bytes(data[j : j + 2], "little") for j in (i + 1, i + 3))
        yield data[i], address, length


def _write(packet: Packet) -> Iterator[tuple[int, int, bytes]]:
    """Yield id, address and bytes of each write."""
    data = packet.parameters
    if len(data) > 2:
        yield packet.id, int.from_bytes(data[:2], "little"), data[2:]


def _sync_write(packet: Packet) -> Iterator[tuple[int, int, bytes]]:
    data = packet.parameters
    address, length = (int.from_bytes(data[i : i + 2], "little") for i in (0, 2))
    for i in range(4, len(data) - length, 1 + length):
        yield data[i], address, data[i + 1 : i + 1 + length]


def _bulk_write(packet: Packet) -> Iterator[tuple[int, int, bytes]]:
    data = packet.parameters
    while len(data) >= 5:
        address, length = (int.from_bytes(data[i : i + 2], "little") for i in (1, 3))
        yield data[0], address, data[5 : 5 + length]
        data = data[5 + length :]


_READS: dict[int, Callable[[bytes], Iterator[tuple[int, int, int]]]] = {
    packets.SYNC_READ: _sync_read,
    packets.FAST_SYNC_READ: _sync_read,
    packets.BULK_READ: _bulk_read,
    packets.FAST_BULK_READ: _bulk_read,
}
_WRITES: dict[int, Callable[[Packet], Iterator[tuple[int, int, bytes]]]] = {
    packets.WRITE: _write,
    packets.SYNC_WRITE: _sync_write,
    packets.BULK_WRITE: _bulk_write,
}
