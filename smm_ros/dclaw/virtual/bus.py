"""A bus of virtual servos as bytes and times: what goes in is answered when a wire would.

Nothing here sleeps or opens a port: the caller says what time it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import numpy as np

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
from smm_ros.dclaw.virtual.servo import VirtualServo

BITS_PER_BYTE = 10
"""8 data bits, start and stop."""
TURNAROUND = 50e-6
"""From an instruction to the answer beside the return delay time, s."""
USB_PACKET = 62
"""Bytes after which a USB adapter does not wait for its latency timer."""


@dataclass
class Faults:
    """What is wrong with the bus; may be changed at any time."""

    drop_byte: float = 0.0
    """Probability that a byte is lost, either way."""
    corrupt_byte: float = 0.0
    """Probability that a byte becomes another one, either way."""
    silent: set[int] = field(default_factory=set)
    """Ids that do not answer."""
    slow: dict[int, float] = field(default_factory=dict)
    """Further delay of an id's answers, s."""
    unplugged: bool = False


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
        self.usb_latency = usb_latency
        """Latency timer of the adapter, s."""
        self.fast_sync_read = fast_sync_read
        self.collisions = 0
        """Answers so far that were cut off by an instruction."""
        self._baud_rate = 1_000_000
        self._decoder = Decoder()
        self._rng = np.random.default_rng(seed)
        self._on_wire: list[tuple[float, bytes]] = []
        self._in_adapter: tuple[float, bytes] | None = None
        self._registered: dict[VirtualServo, tuple[int, bytes]] = {}

    @property
    def baud_rate(self) -> int:
        """Speed of the other end, bit/s: servos of another speed hear noise."""
        return self._baud_rate

    @baud_rate.setter
    def baud_rate(self, value: int) -> None:
        if value != self._baud_rate:
            self._decoder.clear()
        self._baud_rate = value

    # The other end.

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes that were sent at a time (s)."""
        if self._on_wire and self._on_wire[-1][0] > now:
            self._on_wire = [(when, part) for when, part in self._on_wire if when <= now]
            self.collisions += 1
        arrived = now + self._wire_time(len(data))
        data = self._damaged(data)
        while True:
            try:
                for packet in self._decoder.feed(data):
                    self._obey(packet, arrived)
                return
            except PacketError:
                data = b""  # nobody answers to a packet that is damaged

    def take(self, now: float) -> bytes:
        """Return the bytes that the adapter has handed over by a time (s)."""
        self._fill_adapter(now)
        if self._in_adapter is None:
            return b""
        since, data = self._in_adapter
        if now >= since + self.usb_latency:
            self._in_adapter = None
            return data
        # Whole packets go at once; what is left over waits.
        full = len(data) // USB_PACKET * USB_PACKET
        if full:
            self._in_adapter = (now, data[full:]) if data[full:] else None
        return data[:full]

    def next_time(self) -> float | None:
        """Return when `take` may have bytes next, s; None while nothing is under way."""
        if self._in_adapter is not None:
            since, _ = self._in_adapter
            later = [when for when, _ in self._on_wire]
            return min([since + self.usb_latency, *later])
        return self._on_wire[0][0] if self._on_wire else None

    def _fill_adapter(self, now: float) -> None:
        while self._on_wire and self._on_wire[0][0] <= now:
            when, data = self._on_wire.pop(0)
            since, before = self._in_adapter or (when, b"")
            self._in_adapter = since, before + data

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
        answers = self._answers(packet, by_id)
        for servos, parts in answers:
            if self._answers_at_all(servos):
                now = self._send(servos, parts, now)
            elif packet.instruction != packets.PING:
                break  # the next in a sync read waits for this one's answer

    def _hears(self, servo: VirtualServo) -> bool:
        return not servo.is_booting and reg.BAUD_RATES[servo.get(reg.BAUD_RATE)] == self._baud_rate

    def _answers(
        self, packet: Packet, by_id: dict[int, list[VirtualServo]]
    ) -> list[tuple[list[VirtualServo], list[bytes]]]:
        """Carry an instruction out; return in turn which servos answer and what each says."""
        of_many: dict[int, Callable[[bytes], Iterator[tuple[int, int, int]]]] = {
            packets.SYNC_READ: _sync_read,
            packets.BULK_READ: _bulk_read,
        }
        data = packet.parameters
        if packet.instruction in of_many:
            reads = of_many[packet.instruction](data)
            return [(by_id.get(i, []), self._read(by_id.get(i, []), a, n)) for i, a, n in reads]
        if packet.instruction == packets.FAST_SYNC_READ:
            return self._fast_read(list(_sync_read(data)), by_id) if self.fast_sync_read else []
        if packet.instruction in (packets.SYNC_WRITE, packets.BULK_WRITE):
            is_sync = packet.instruction == packets.SYNC_WRITE
            for i, address, values in _sync_write(data) if is_sync else _bulk_write(data):
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
        elif packet.instruction == packets.REBOOT:
            servo.reboot()
        elif packet.instruction == packets.FACTORY_RESET and data[:1] in (b"\x01", b"\x02"):
            servo.factory_reset(keep_id=True, keep_baud_rate=data[:1] == b"\x02")
        else:
            error |= StatusError.INSTRUCTION
        if servo.get(reg.STATUS_RETURN_LEVEL) < answers_from:
            return b""
        return status(servo.get(reg.ID), error, answer)

    # The wire.

    def _send(self, servos: list[VirtualServo], parts: list[bytes], now: float) -> float:
        """Put the answer of one servo, or of some of one id at once, on the wire."""
        first = servos[0]
        now += TURNAROUND + units.RETURN_DELAY * first.get(reg.RETURN_DELAY_TIME)
        now += self.faults.slow.get(first.get(reg.ID), 0.0)
        data = parts[0]
        for other in parts[1:]:
            # Two at a time pull the wire low together, and never start together.
            data = bytes(a & b for a, b in zip(data, b"\xff" + other, strict=False))
        now += self._wire_time(len(data))
        self._on_wire.append((now, self._damaged(data)))
        return now

    def _wire_time(self, count: int) -> float:
        return count * BITS_PER_BYTE / self._baud_rate

    def _damaged(self, data: bytes) -> bytes:
        if self.faults.unplugged:
            return b""
        if not (self.faults.drop_byte or self.faults.corrupt_byte):
            return data
        kept = [b for b in data if self._rng.random() >= self.faults.drop_byte]
        return bytes(
            b ^ int(self._rng.integers(1, 256))
            if self._rng.random() < self.faults.corrupt_byte
            else b
            for b in kept
        )


def _sync_read(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield id, address and length of each read."""
    address, length = (int.from_bytes(data[i : i + 2], "little") for i in (0, 2))
    for servo in data[4:]:
        yield servo, address, length


def _bulk_read(data: bytes) -> Iterator[tuple[int, int, int]]:
    for i in range(0, len(data) - 4, 5):
        yield data[i], *(int.from_bytes(data[j : j + 2], "little") for j in (i + 1, i + 3))


def _sync_write(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield id, address and bytes of each write."""
    address, length = (int.from_bytes(data[i : i + 2], "little") for i in (0, 2))
    for i in range(4, len(data) - length, 1 + length):
        yield data[i], address, data[i + 1 : i + 1 + length]


def _bulk_write(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    while len(data) >= 5:
        address, length = (int.from_bytes(data[i : i + 2], "little") for i in (1, 3))
        yield data[0], address, data[5 : 5 + length]
        data = data[5 + length :]
