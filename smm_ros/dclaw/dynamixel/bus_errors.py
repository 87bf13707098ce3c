"""What can go wrong on the bus; every error names the port or the motor."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from smm_ros.dclaw.dynamixel.packets import StatusError


class BusError(RuntimeError):
    """Something is wrong on the bus."""


class PortError(BusError):
    """The serial port can not be opened, or is gone."""


class StuckError(BusError):
    """The port is there, but has no room for an instruction: what was sent before is not gone."""

    def __init__(self, path: str, written: int, count: int) -> None:
        """Say how many bytes of an instruction it took."""
        super().__init__(
            f"{path} took {written} of {count} bytes: what was sent before does not get out; "
            "check the USB adapter and its hub if it lasts"
        )


class MissingReplyError(BusError):
    """Motors did not answer in time, or what came was damaged."""

    def __init__(
        self, missing: Collection[int], answered: Mapping[int, bytes], damaged: int, after: float
    ) -> None:
        """Say which motors are missing (in the order asked), and what the others answered."""
        self.missing, self.answered, self.damaged = tuple(missing), dict(answered), damaged
        first, *others = self.missing
        what = f"no answer of motor {first}"
        if others:
            what += f" and {', '.join(map(str, others))}"
        cause = (
            f"{damaged} packets or pieces were damaged; check cables and baud rate"
            if damaged
            else "check power, cables, ids and baud rate"
        )
        super().__init__(f"{what} within {1000 * after:.1f} ms; {cause}")


class RefusedError(BusError):
    """A motor answered that it will not do what it was told."""

    def __init__(self, motor: int, what: str, error: int) -> None:
        """Say which motor refuses what, with the number in its status packet."""
        self.motor, self.error = motor, error
        known = StatusError.NAMES
        name = known[error] if error < len(known) else f"error {error}"
        super().__init__(f"motor {motor} refuses {what}: {name}")


class VerifyError(BusError):
    """A value that was written is not there when read back."""

    def __init__(self, motor: int, register: str, written: int, found: int) -> None:
        """Say what was written and what is there."""
        self.motor = motor
        super().__init__(f"motor {motor} holds {register} {found} after {written} was written")
