"""The health of one component as plain data: what it says on /diagnostics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


class Level(IntEnum):
    """How bad it is, with the numbers of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True)
class Report:
    """One component's health at one time."""

    name: str
    """Component, e.g. "dclaw: hand"."""
    level: Level
    message: str
    values: Mapping[str, Any] = field(default_factory=dict)
    """Named figures; floats are shown with six digits."""
    hardware_id: str = ""

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield each value's name and text."""
        for key, value in self.values.items():
            yield key, f"{value:.6g}" if isinstance(value, float) else str(value)
