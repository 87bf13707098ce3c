"""Whether a serial port can be used, and what to do where it can not."""

from __future__ import annotations

import fcntl
import grp
import os
from pathlib import Path

from smm_ros.dclaw.dynamixel.bus_errors import PortError

DEVICES = Path("/dev")
_USB_PORTS = ("ttyUSB*", "ttyACM*")


def check_port(path: str) -> None:
    """Open a port and close it again, without changing how it is set.

    Raises:
        PortError: it is not there, may not be used, or is in use; it says what to do.
    """
    try:
        port = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise PortError(f"there is no port {path}; {_others()}") from error
    except PermissionError as error:
        group = _group(path)
        raise PortError(
            f"you may not use {path}, the group {group} may: "
            f"sudo usermod -aG {group} $USER, then log out and in again"
        ) from error
    except OSError as error:
        raise PortError(f"{path} can not be opened: {error.strerror}") from error
    try:
        if not os.isatty(port):
            raise PortError(f"{path} is no serial port; {_others()}")
        fcntl.flock(port, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise PortError(
            f"{path} is in use by another program, the driver of the hand perhaps: end it first"
        ) from error
    finally:
        os.close(port)


def _others() -> str:
    there = sorted(str(port) for pattern in _USB_PORTS for port in DEVICES.glob(pattern))
    if there:
        return f"there are {', '.join(there)}"
    return f"no USB adapter is there ({DEVICES}/{', '.join(_USB_PORTS)}): plug it in"


def _group(path: str) -> str:
    try:
        return grp.getgrgid(os.stat(path).st_gid).gr_name
    except (OSError, KeyError):
        return "dialout"
