"""Dynamixel motors on one serial port: instructions out, answers back within a deadline.

The port and the CRC are the SDK's. Packets are written and read here, because the SDK waits at
least 34 ms for a motor that is silent, spins while it waits, drops the alert bit in group reads,
and forgets to stuff what it sends.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from smm_ros.dclaw.dynamixel import packets
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.bus_errors import MissingReplyError, RefusedError, VerifyError
from smm_ros.dclaw.dynamixel.packets import (
    ALERT,
    BROADCAST_ID,
    HEADER,
    Decoder,
    Packet,
    PacketError,
    crc16,
    encode,
)
from smm_ros.dclaw.dynamixel.registers import Register
from smm_ros.dclaw.dynamixel.serial_port import SerialPort

BITS_PER_BYTE = 10
REPLY_BYTES = 11
"""A status packet without data."""
TURNAROUND = 100e-6
"""Allowed for each motor beside its return delay time, s; half of it was measured on some."""
ATTEMPTS, PATIENCE = 3, 0.03
"""How often a single motor is asked, and how long beyond the time on the wire it may take, s: an
adapter that is not tuned keeps an answer for 16 ms."""
LATE = 2.5
"""A motor that did not answer in time may do so until so many times that time is over. Its answer
does not say to which question it belongs, so the next question waits for it."""
SILENCE, LONGEST_SILENCE = 0.004, 0.04
"""After an exchange that failed nobody is interrupted: the line must have been silent for so long,
s, but no more than the longest is waited."""
LENGTHS = 8
"""A group read asks for up to LENGTHS - 1 bytes more than are wanted, one more after each failure:
a late answer has another length than the one that is waited for."""


def longest_silence(margin: float) -> float:
    """Return for how long a bus with a margin (s) may be silent after a motor was, s."""
    return LATE * max(PATIENCE, margin) + SILENCE


class DynamixelBus:
    """One open port. Values are the motors' own integers; see `registers` for units."""

    def __init__(
        self, path: str, baud_rate: int, return_delay: float = 0.0, margin: float = 0.003
    ) -> None:
        """Open the port.

        `return_delay` (s) is what each motor waits before it answers, `margin` (s) what is allowed
        for the USB adapter and this machine beyond the time on the wire, in group reads. Single
        motors, which are not spoken to in a hurry, are asked ATTEMPTS times and given PATIENCE.

        Raises:
            PortError: there is no such port, it is in use, or does not know the speed.
        """
        self.path, self.baud_rate = path, baud_rate
        self.return_delay, self.margin = return_delay, margin
        self.damaged = 0
        """Packets with a wrong CRC so far."""
        self.asked = 0.0
        """When the newest instruction was sent, s of time.monotonic()."""
        self._decoder = Decoder()
        self._is_unsettled, self._surplus = False, 0
        self._owed, self._owed_until = 0, 0.0
        self._heard = 0.0
        self._port = SerialPort(path, baud_rate)

    def close(self) -> None:
        """Close the port; does nothing on a closed one."""
        self._port.close()

    @property
    def latency(self) -> float | None:
        """How long the USB adapter keeps the end of an answer, s; None: not known."""
        return self._port.latency

    # One motor.

    def ping(self, motor: int) -> tuple[int, int]:
        """Return a motor's model number and firmware version; raises MissingReplyError."""
        data = self._ask(Packet(motor, packets.PING), "a ping", 3)
        return int.from_bytes(data[:2], "little"), data[2]

    def read(self, motor: int, register: Register) -> int:
        """Return what a register holds; raises MissingReplyError or RefusedError."""
        where = register.address.to_bytes(2, "little") + register.size.to_bytes(2, "little")
        what = f"to read {register.name}"
        return register.decode(self._ask(Packet(motor, packets.READ, where), what, register.size))

    def write(self, motor: int, register: Register, value: int) -> None:
        """Write a register; the motor has acknowledged it on return.

        Raises:
            MissingReplyError, RefusedError: as above; a refused value changes nothing.
            ValueError: the register can not hold the value.
        """
        data = register.address.to_bytes(2, "little") + register.encode(value)
        self._ask(Packet(motor, packets.WRITE, data), f"{register.name} {value}", 0)

    def ensure(self, motor: int, register: Register, value: int) -> bool:
        """Write a register if it holds something else, and read it back; return if it did.

        An EEPROM register is written with torque off, and not needlessly: it wears. A motor with
        torque on refuses it.

        Raises:
            VerifyError: the value was acknowledged but is not there; and those of `write`.
        """
        if self.read(motor, register) == value:
            return False
        self.write(motor, register, value)
        found = self.read(motor, register)
        if found != value:
            raise VerifyError(motor, register.name, value, found)
        return True

    def reboot(self, motor: int) -> None:
        """Make a motor start anew; it is silent for some 0.3 s then."""
        self._ask(Packet(motor, packets.REBOOT), "a reboot", 0)

    # Many motors.

    def scan(self) -> dict[int, tuple[int, int]]:
        """Return model number and firmware of every motor that answers to a broadcast ping."""
        wait = (packets.MAX_ID + 1) * (self._wire_time(14) + 0.0005) + self.margin
        self._send(Packet(BROADCAST_ID, packets.PING))
        found = {}
        for packet in self._receive(time.monotonic() + wait):
            data = packet.parameters[1:]
            if len(data) == 3:
                found[packet.id] = int.from_bytes(data[:2], "little"), data[2]
        return found

    def sync_read(
        self, motors: Sequence[int], address: int, length: int, fast: bool = False
    ) -> dict[int, bytes]:
        """Return `length` bytes from `address` of every motor, read in one transaction.

        Raises:
            MissingReplyError: some did not answer; it has what the others did. The motors behind
                one that is silent do not answer either: the first one missing is the culprit.
            RefusedError: a motor can not read there.
        """
        more = max(length, min(length + self._surplus, reg.TABLE_SIZE - address))
        where = address.to_bytes(2, "little") + more.to_bytes(2, "little")
        instruction = packets.FAST_SYNC_READ if fast else packets.SYNC_READ
        sent = self._send(Packet(BROADCAST_ID, instruction, where + bytes(motors)))
        damaged = self.damaged
        size = len(motors) * (REPLY_BYTES + more)
        wait = self._allowed(sent + size, 1 if fast else len(motors), len(motors), self.margin)
        receive = self._receive_fast if fast else self._receive_each
        try:
            answers = receive(motors, more, self.asked + wait)
        except RefusedError:
            self.doubt()
            raise
        found = {motor: data[:length] for motor, data in answers.items()}
        missing = [motor for motor in motors if motor not in found]
        if missing:
            self.doubt()
            raise MissingReplyError(missing, found, self.damaged - damaged, wait)
        return found

    def doubt(self) -> None:
        """Take it that more answers to the newest group read may come: no later one is theirs."""
        self._surplus = (self._surplus + 1) % LENGTHS
        self._is_unsettled = True

    def sync_write(self, register: Register, values: Mapping[int, int]) -> None:
        """Write a register of several motors in one transaction; nobody acknowledges it."""
        block = register.address.to_bytes(2, "little") + register.size.to_bytes(2, "little")
        for motor, value in values.items():
            block += bytes([motor]) + register.encode(value)
        self._send(Packet(BROADCAST_ID, packets.SYNC_WRITE, block), is_answered=False)

    # Answers.

    def _ask(self, packet: Packet, what: str, length: int) -> bytes:
        """Send an instruction to one motor; return the data of its answer.

        All instructions to single motors may be carried out twice with no harm.
        """
        damaged, waited = self.damaged, 0.0
        for attempt in range(ATTEMPTS):
            sent = self._send(packet)
            wait = self._allowed(sent + REPLY_BYTES + length, 1, 1, max(PATIENCE, self.margin))
            waited += wait
            self._owed_until = self.asked + LATE * wait
            for answer in self._receive(self.asked + wait):
                if answer.id == packet.id and _fits(answer, length):
                    # It may be the answer to an earlier attempt: then one is still to come.
                    self._owed = attempt
                    return _data(answer, what)
            self._is_unsettled = True
        self._owed = ATTEMPTS
        raise MissingReplyError([packet.id], {}, self.damaged - damaged, waited)

    def _receive_each(self, motors: Sequence[int], length: int, end: float) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        for answer in self._receive(end):
            if answer.id in motors and _fits(answer, length):
                found[answer.id] = _data(answer, "a sync read")
            if len(found) == len(motors):
                break
        return found

    def _receive_fast(self, motors: Sequence[int], length: int, end: float) -> dict[int, bytes]:
        """Return the parts of one answer; of one that breaks off, those before the break."""
        part = 4 + length
        size = len(motors) * part - 2
        for answer in self._receive(end):
            if answer.id == BROADCAST_ID and len(answer.parameters) == size:
                return _parts(answer.parameters, length)
        whole, start = self._decoder.pending, len(HEADER) + 4
        if whole[len(HEADER) + 1 : start - 1] != (size + 3).to_bytes(2, "little"):
            return {}
        ends = range(start + part, len(whole) + 1, part)
        good = [
            e for e in ends if crc16(whole[: e - 2]) == int.from_bytes(whole[e - 2 : e], "little")
        ]
        return _parts(whole[start : good[-1] - 2], length) if good else {}

    def _receive(self, end: float) -> Iterator[Packet]:
        """Yield status packets as they come in until a time, and those that are there by then."""
        left = end - time.monotonic()
        while left > 0:
            yield from self._status_packets(self._read(left))
            left = end - time.monotonic()
        # Where this process did not run, they have been there for long.
        yield from self._status_packets(self._read(0.0))

    def _status_packets(self, data: bytes) -> Iterator[Packet]:
        while True:
            try:
                for packet in self._decoder.feed(data):
                    if packet.instruction == packets.STATUS:
                        yield packet
                return
            except PacketError:
                self.damaged += 1
                data = b""

    # Instructions.

    def _send(self, packet: Packet, is_answered: bool = True) -> int:
        """Write a packet, after what is left of older answers was thrown away; return its size."""
        data = encode(packet)
        self._wait_for_silence(is_answered)
        self._port.clear()
        self._decoder.clear()
        self.asked = time.monotonic()
        self._port.write(data)
        return len(data)

    def _wait_for_silence(self, is_answered: bool) -> None:
        """Let answers to older questions pass; `is_answered`: also those that are but owed."""
        if self._owed and is_answered:
            for _ in self._receive(self._owed_until):
                self._owed -= 1
                if not self._owed:
                    break
            self._owed = 0
        now = time.monotonic()
        end = now + LONGEST_SILENCE
        while self._is_unsettled and now < end:
            self._is_unsettled = bool(self._read(max(0.0, self._heard + SILENCE - now)))
            now = time.monotonic()
        self._is_unsettled = False

    def _read(self, seconds: float) -> bytes:
        """Return bytes as soon as there are some, and remember when that was."""
        data = self._port.read(seconds)
        if data:
            self._heard = time.monotonic()
        return data

    def _allowed(self, count: int, delays: int, motors: int, margin: float) -> float:
        """Return how long an exchange of so many bytes may take, s."""
        delay = delays * self.return_delay + motors * TURNAROUND
        return self._wire_time(count) + delay + margin

    def _wire_time(self, count: int) -> float:
        return count * BITS_PER_BYTE / self.baud_rate


def _fits(answer: Packet, length: int) -> bool:
    """Return whether an answer has so many bytes of data, or refuses to give them."""
    count = len(answer.parameters)
    return count == 1 + length or (count == 1 and bool(answer.parameters[0] & ~ALERT))


def _data(answer: Packet, what: str) -> bytes:
    """Return the data of an answer that fits; raises RefusedError."""
    error, data = answer.parameters[0], answer.parameters[1:]
    if error & ~ALERT:
        raise RefusedError(answer.id, what, error & ~ALERT)
    return data


def _parts(data: bytes, length: int) -> dict[int, bytes]:
    """Take (error, id, data, CRC) of each motor apart; the last CRC is off already.

    Raises RefusedError.
    """
    found = {}
    for at in range(0, len(data), 4 + length):
        error, motor, values = data[at], data[at + 1], data[at + 2 : at + 2 + length]
        answer = Packet(motor, packets.STATUS, bytes([error]) + values)
        found[motor] = _data(answer, "a fast sync read")
    return found
