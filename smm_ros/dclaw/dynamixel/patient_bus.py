"""A bus to motors of which nothing is known yet: slow to answer, or two with one id."""

from __future__ import annotations

import time

from smm_ros.dclaw.dynamixel import packets, units
from smm_ros.dclaw.dynamixel.bus import DynamixelBus
from smm_ros.dclaw.dynamixel.packets import Packet

LONGEST_DELAY = 254 * units.RETURN_DELAY
LISTENED = 0.03
"""How long more answers are waited for, s: an adapter that is not tuned keeps them for 16 ms."""


class PatientBus(DynamixelBus):
    """An open port, closed at the end of a `with` block."""

    def __init__(self, path: str, baud_rate: int) -> None:
        """Open the port; raises PortError."""
        super().__init__(path, baud_rate, return_delay=LONGEST_DELAY)

    def __enter__(self) -> PatientBus:
        """Begin to use it."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the port."""
        self.close()

    def answers(self, motor: int, address: int, length: int) -> list[bytes]:
        """Return all that is answered to one question for bytes: of two motors with one id, two.

        Answers that are damaged are counted in `damaged` and left out; raises PortError.
        """
        where = address.to_bytes(2, "little") + length.to_bytes(2, "little")
        self._send(Packet(motor, packets.READ, where))
        heard = list(self._receive(time.monotonic() + LONGEST_DELAY + LISTENED))
        return [
            one.parameters[1:]
            for one in heard
            if one.id == motor and len(one.parameters) == 1 + length
        ]
