"""Dynamixel motors on one serial port: instructions out, answers back within a deadline.

The port and the CRC are the SDK's. Packets are written and read here, because the SDK waits at
least 34 ms for a motor that is silent, spins while it waits, drops the alert bit in group reads,
and forgets to stuff what it sends.
"""

from __future__ import annotations

import contextlib
import os
import select
import termios
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

import serial
from dynamixel_sdk import PortHandler

from smm_ros.dclaw.dynamixel import packets
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.bus_errors import (
    MissingReplyError,
    PortError,
    RefusedError,
    VerifyError,
)
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

BITS_PER_BYTE = 10
REPLY_BYTES = 11
"""A status packet without data."""
TURNAROUND = 100e-6
"""Allowed for each motor beside its return delay time, s; half of it was measured on some."""
ATTEMPTS, PATIENCE = 3, 0.03
"""How often a single motor is asked, and how long beyond the time on the wire it may take, s: an
adapter that is not tuned keeps an answer for 16 ms."""
SILENCE, LONGEST_SILENCE = 0.004, 0.04
"""After an exchange that failed, what comes late is waited out: until the line was silent for so
long, s, or for the longest. An answer does not say to which question it belongs."""
READ_SIZE = 4096
_GONE = (OSError, ValueError, TypeError, termios.error)
"""What a port raises that was closed or unplugged."""


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
        self.alerts: set[int] = set()
        """Motors whose newest answer had the alert bit: they have a hardware error."""
        self.damaged = 0
        """Packets with a wrong CRC so far."""
        self._decoder = Decoder()
        self._is_late = False
        self._port = _open(path, baud_rate)

    def close(self) -> None:
        """Close the port; does nothing on a closed one."""
        if self._port.is_open:
            self._port.closePort()

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
        where = address.to_bytes(2, "little") + length.to_bytes(2, "little")
        instruction = packets.FAST_SYNC_READ if fast else packets.SYNC_READ
        sent = self._send(Packet(BROADCAST_ID, instruction, where + bytes(motors)))
        damaged = self.damaged
        size = len(motors) * (REPLY_BYTES + length)
        wait = self._allowed(sent + size, 1 if fast else len(motors), len(motors), self.margin)
        end = time.monotonic() + wait
        receive = self._receive_fast if fast else self._receive_each
        found = receive(motors, length, end)
        missing = [motor for motor in motors if motor not in found]
        if missing:
            self._is_late = True
            raise MissingReplyError(missing, found, self.damaged - damaged, wait)
        return found

    def sync_write(self, register: Register, values: Mapping[int, int]) -> None:
        """Write a register of several motors in one transaction; nobody acknowledges it."""
        block = register.address.to_bytes(2, "little") + register.size.to_bytes(2, "little")
        for motor, value in values.items():
            block += bytes([motor]) + register.encode(value)
        self._send(Packet(BROADCAST_ID, packets.SYNC_WRITE, block))

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
            for answer in self._receive(time.monotonic() + wait):
                if answer.id == packet.id and len(answer.parameters) >= 1:
                    # It may be the answer to an earlier attempt: then one is still to come.
                    self._is_late = attempt > 0
                    return self._checked(answer, what, length)
            self._is_late = True
        raise MissingReplyError([packet.id], {}, self.damaged - damaged, waited)

    def _receive_each(self, motors: Sequence[int], length: int, end: float) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        for answer in self._receive(end):
            if answer.id in motors and len(answer.parameters) == 1 + length:
                found[answer.id] = self._checked(answer, "a sync read", length)
            if len(found) == len(motors):
                break
        return found

    def _receive_fast(self, motors: Sequence[int], length: int, end: float) -> dict[int, bytes]:
        """Return the parts of one answer; of one that breaks off, those before the break."""
        for answer in self._receive(end):
            if answer.id == BROADCAST_ID:
                return self._parts(answer.parameters, length)
        whole, part = self._decoder.pending, 4 + length
        start = len(HEADER) + 4
        ends = range(start + part, len(whole) + 1, part)
        good = [
            e for e in ends if crc16(whole[: e - 2]) == int.from_bytes(whole[e - 2 : e], "little")
        ]
        return self._parts(whole[start : good[-1] - 2], length) if good else {}

    def _parts(self, data: bytes, length: int) -> dict[int, bytes]:
        """Take (error, id, data, CRC) of each motor apart; the last CRC is off already."""
        found = {}
        for at in range(0, len(data), 4 + length):
            error, motor, values = data[at], data[at + 1], data[at + 2 : at + 2 + length]
            answer = Packet(motor, packets.STATUS, bytes([error]) + values)
            self._note_alert(answer)
            found[motor] = self._checked(answer, "a fast sync read", length)
        return found

    def _checked(self, answer: Packet, what: str, length: int) -> bytes:
        error, data = answer.parameters[0], answer.parameters[1:]
        if error & ~ALERT:
            raise RefusedError(answer.id, what, error & ~ALERT)
        if len(data) != length:
            raise RefusedError(answer.id, f"{what} in {length} bytes, sent {len(data)}", 0)
        return data

    def _receive(self, end: float) -> Iterator[Packet]:
        """Yield status packets as they come in until a time."""
        while (left := end - time.monotonic()) > 0:
            yield from self._status_packets(self._read(left))

    def _read(self, seconds: float) -> bytes:
        """Return bytes as soon as there are some, empty after some time without."""
        try:
            ready, _, _ = select.select([self._port.ser], (), (), seconds)
            data = os.read(self._port.ser.fileno(), READ_SIZE) if ready else b""
        except _GONE as error:
            raise PortError(f"{self.path} is gone: {error}; plug it in again") from error
        if ready and not data:
            raise PortError(f"{self.path} is gone: it has reached its end; plug it in again")
        return data

    def _status_packets(self, data: bytes) -> Iterator[Packet]:
        while True:
            try:
                for packet in self._decoder.feed(data):
                    if packet.instruction == packets.STATUS:
                        self._note_alert(packet)
                        yield packet
                return
            except PacketError:
                self.damaged += 1
                data = b""

    def _note_alert(self, packet: Packet) -> None:
        if packet.id == BROADCAST_ID or not packet.parameters:
            return
        change = self.alerts.add if packet.parameters[0] & ALERT else self.alerts.discard
        change(packet.id)

    # Instructions.

    def _send(self, packet: Packet) -> int:
        """Write a packet, after what is left of older answers was thrown away; return its size."""
        data = encode(packet)
        if self._is_late:
            self._wait_for_silence()
        try:
            self._port.clearPort()
            self._decoder.clear()
            written = os.write(self._port.ser.fileno(), data)
        except _GONE as error:
            raise PortError(f"{self.path} is gone: {error}; plug it in again") from error
        if written != len(data):
            raise PortError(f"{self.path} took {written} of {len(data)} bytes: it is stuck")
        return len(data)

    def _wait_for_silence(self) -> None:
        self._is_late = False
        end = time.monotonic() + LONGEST_SILENCE
        while time.monotonic() < end and self._read(SILENCE):
            pass

    def _allowed(self, count: int, delays: int, motors: int, margin: float) -> float:
        """Return how long an exchange of so many bytes may take, s."""
        delay = delays * self.return_delay + motors * TURNAROUND
        return self._wire_time(count) + delay + margin

    def _wire_time(self, count: int) -> float:
        return count * BITS_PER_BYTE / self.baud_rate


def _open(path: str, baud_rate: int) -> PortHandler:
    port = PortHandler(path)
    try:
        if not port.setBaudRate(baud_rate):
            raise PortError(f"{baud_rate} bit/s is no speed of {path}; expected {_speeds()}")
        port.ser.exclusive = True
        with contextlib.suppress(OSError, ValueError, NotImplementedError):
            # Where the driver can: an FTDI adapter's latency timer becomes 1 ms.
            port.ser.set_low_latency_mode(True)
    except (OSError, ValueError, serial.SerialException) as error:
        raise PortError(
            f"{path} can not be opened: {error}; check that it is there, that you may use it "
            "(group dialout), and that no other program has it open"
        ) from error
    return port


def _speeds() -> str:
    known: Iterable[int] = (b for b in reg.BAUD_RATES if b != 4_500_000)  # the SDK lacks it
    return ", ".join(map(str, known))
