"""The serial port of a bus: for one program alone, and it never waits longer than it is told."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import termios
from pathlib import Path

from dynamixel_sdk import PortHandler

from smm_ros.dclaw.dynamixel.bus_errors import PortError, StuckError
from smm_ros.dclaw.dynamixel.registers import PORT_RATES

READ_SIZE = 4096
USB_SERIAL = Path("/sys/bus/usb-serial/devices")
_GONE = (OSError, ValueError, TypeError, termios.error)
"""What a port raises that was closed or unplugged."""


def latency_file(path: str) -> Path:
    """Return the file of a port's latency timer; it is there for USB adapters alone."""
    return USB_SERIAL / Path(path).resolve().name / "latency_timer"


def latency_timer(path: str) -> float | None:
    """Return how long a port's USB adapter keeps the end of an answer, s; None: not known."""
    try:
        return int(latency_file(path).read_text()) / 1000
    except (OSError, ValueError):
        return None


class SerialPort:
    """An open port."""

    def __init__(self, path: str, baud_rate: int) -> None:
        """Lock the port, and only then set its speed: another program's is not touched.

        Raises:
            PortError: there is no such port, it is in use, or does not know the speed.
        """
        if baud_rate not in PORT_RATES:
            known = ", ".join(map(str, PORT_RATES))
            raise PortError(f"{baud_rate} bit/s is no speed of {path}; expected {known}")
        self.path = path
        self._sdk = PortHandler(path)
        self._lock: int | None = None
        try:
            # Not TIOCEXCL: it would outlast a killed program where others hold the port open.
            self._lock = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._sdk.setBaudRate(baud_rate)
            with contextlib.suppress(OSError, ValueError, NotImplementedError):
                # Where the driver can: an FTDI adapter's latency timer becomes 1 ms.
                self._sdk.ser.set_low_latency_mode(True)
        except _GONE as error:
            self.close()
            raise PortError(
                f"{path} can not be opened: {error}; check that it is there, that you may use it "
                "(group dialout), and that no other program has it open"
            ) from error
        self.latency = latency_timer(path)
        """How long the adapter keeps the end of an answer, s; None: not known."""

    def close(self) -> None:
        """Close the port; does nothing on a closed one."""
        if self._sdk.is_open:
            self._sdk.closePort()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def read(self, seconds: float) -> bytes:
        """Return bytes as soon as there are some, empty after some time without.

        Raises:
            PortError: the port is gone.
        """
        try:
            ready, _, _ = select.select([self._sdk.ser], (), (), seconds)
            data = os.read(self._sdk.ser.fileno(), READ_SIZE) if ready else b""
        except _GONE as error:
            raise self._gone(error) from error
        if ready and not data:
            raise self._gone("it has reached its end")
        return data

    def clear(self) -> None:
        """Throw away what has come in; raises PortError."""
        try:
            self._sdk.clearPort()
        except _GONE as error:
            raise self._gone(error) from error

    def write(self, data: bytes) -> None:
        """Send bytes, without waiting.

        Raises:
            StuckError: there is no room for all of them.
            PortError: the port is gone.
        """
        try:
            written = os.write(self._sdk.ser.fileno(), data)
        except BlockingIOError:
            written = 0
        except _GONE as error:
            raise self._gone(error) from error
        if written != len(data):
            raise StuckError(self.path, written, len(data))

    def _gone(self, error: object) -> PortError:
        return PortError(f"{self.path} is gone: {error}; plug it in again")
