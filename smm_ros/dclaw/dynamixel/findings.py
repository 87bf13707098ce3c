"""What an examination of a bus finds: in words, with what cures it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from smm_ros.dclaw.dynamixel.registers import Register

WARM = 10.0
"""K below the limit at which a motor switches itself off: from here on it is worth a warning."""
LOW = 1.0
"""V above the least that a motor works with: up to here it is worth a warning."""


class Level(Enum):
    """How bad a finding is."""

    FINE = "ok"
    WARNING = "warning"
    """The hand works, but worse than it could, or will not for long."""
    ERROR = "error"
    """The hand does not work, or not safely."""


@dataclass(frozen=True)
class Cure:
    """A register of a motor that is to hold a value."""

    motor: int
    register: Register
    value: int


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    text: str
    remedy: str = ""
    """What to do about it, where something is wrong; a person does it unless there are cures."""
    cures: tuple[Cure, ...] = ()
    """What --fix writes."""
    motor: int | None = None
    """Whom it is about, where it is one motor; the text does not name it then."""


def by_text(findings: Iterable[Finding]) -> list[tuple[Finding, list[int]]]:
    """Put findings together that many motors share; return each with its motors."""
    groups: dict[tuple[Level, str, str], tuple[Finding, list[int]]] = {}
    for finding in findings:
        key = finding.level, finding.text, finding.remedy
        _, motors = groups.setdefault(key, (finding, []))
        if finding.motor is not None:
            motors.append(finding.motor)
    return list(groups.values())
