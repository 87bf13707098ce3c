"""Who answers on a bus, and at which speed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.bus_errors import MissingReplyError
from smm_ros.dclaw.dynamixel.patient_bus import PatientBus

Kind = tuple[int, int]
"""Model number and firmware version."""


@dataclass(frozen=True)
class Census:
    """Who was found. Speeds are in bit/s."""

    at: dict[int, dict[int, Kind]] = field(default_factory=dict)
    """The motors by their ids, at each speed at which there are some."""
    damaged: dict[int, int] = field(default_factory=dict)
    """Ids whose answers were damaged every time, with their speeds."""

    @property
    def ids(self) -> set[int]:
        """All ids that answer, at whichever speed."""
        return {motor for motors in self.at.values() for motor in motors}

    def speeds(self, motor: int) -> list[int]:
        """Return all speeds at which an id answers."""
        return [rate for rate, motors in self.at.items() if motor in motors]


def take_census(
    path: str, wanted: Collection[int], report: Callable[[str], None] = lambda text: None
) -> Census:
    """Look for motors at every speed that they and the port know; say what was found where.

    Ids that are wanted and do not answer when all are called at once are asked one by one.

    Raises:
        PortError: the port can not be opened, or is gone.
    """
    census = Census()
    noisy = []
    for rate in sorted(reg.PORT_RATES, reverse=True):
        with PatientBus(path, rate) as bus:
            here = bus.scan()
            if bus.damaged:
                noisy.append(rate)
        if here:
            census.at[rate] = here
            report(f"{len(here)} motor{'s' * (len(here) > 1)} at {rate} bit/s")
    for rate in sorted({*census.at, *noisy}):
        with PatientBus(path, rate) as bus:
            _ask_for(bus, set(wanted) - census.ids, census)
    return census


def _ask_for(bus: PatientBus, missing: Collection[int], census: Census) -> None:
    for motor in missing:
        try:
            census.at.setdefault(bus.baud_rate, {})[motor] = bus.ping(motor)
        except MissingReplyError as error:
            if error.damaged:
                census.damaged[motor] = bus.baud_rate
