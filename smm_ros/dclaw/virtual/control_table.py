"""The control table of a servo as bytes: registers, and blocks of addresses."""

from __future__ import annotations

from collections.abc import Iterator

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.packets import StatusError
from smm_ros.dclaw.dynamixel.registers import Register

_BY_ADDRESS = {register.address: register for register in reg.REGISTERS}
_POINTERS = {data.address: pointer for pointer, data in reg.INDIRECT}


class ControlTable:
    """Values by register and by address; who may write what is for others to say."""

    def __init__(self) -> None:
        self._bytes = bytearray(reg.TABLE_SIZE)
        # Asked for by address some 100,000 times a second: as bytes alone it would be too slow.
        self._values = {register.address: 0 for register in reg.REGISTERS}

    def get(self, register: Register) -> int:
        """Return what a register holds."""
        return self._values[register.address]

    def set(self, register: Register, value: int) -> None:
        """Set a register; raises ValueError if it can not hold the value."""
        self._bytes[register.address : register.end] = register.encode(value)
        self._values[register.address] = int(value)

    def block(self, address: int, length: int) -> bytes:
        """Return the bytes of some addresses, indirect data from where they lead to."""
        return bytes(self._bytes[self._place(a)] for a in range(address, address + length))

    def registers(self, address: int, data: bytes) -> list[tuple[Register, int]]:
        """Return the registers that a block fills, through indirect data too, and their values.

        Raises:
            LookupError: with the status error: no register is there, or only a part of one.
        """
        places = [self._place(a) for a in range(address, address + len(data))]
        return list(_registers_at(places, data))

    def _place(self, address: int) -> int:
        """Return where an address leads to: indirect data to what its indirect address names."""
        return self.get(_POINTERS[address]) if address in _POINTERS else address


def _registers_at(places: list[int], data: bytes) -> Iterator[tuple[Register, int]]:
    at = 0
    while at < len(places):
        register = _BY_ADDRESS.get(places[at])
        if register is None:
            raise LookupError(StatusError.ACCESS)
        span = places[at : at + register.size]
        if span != list(range(register.address, register.end)):
            raise LookupError(StatusError.DATA_LENGTH)
        yield register, register.decode(data[at : at + register.size])
        at += register.size
