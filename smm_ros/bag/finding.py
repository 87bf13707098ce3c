"""What is amiss in a bag: where, how badly, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

SHOWN_OF_A_KIND = 5
"""Findings of one kind that are told one by one; the rest of it is counted."""


class Level(Enum):
    """How bad a finding is."""

    WARNING = "warning"
    """Worth knowing; what is there can be used."""
    ERROR = "error"
    """Something is lost, or can not be believed."""


@dataclass(frozen=True)
class Finding:
    """One thing amiss."""

    level: Level
    path: Path
    place: str
    """Byte, message or sequence number; empty where it is about the whole."""
    text: str
    cure: str = ""


class Findings:
    """Findings in the order met, many of a kind only counted: a bag has millions of messages."""

    def __init__(self) -> None:
        """Start with none."""
        self._kinds: dict[tuple[str, Path], list[Finding]] = {}
        self._counts: dict[tuple[str, Path], int] = {}

    def add(self, kind: str, finding: Finding) -> None:
        """Take a finding; `kind` is what it has in common with others of the file."""
        key = (kind, finding.path)
        self._counts[key] = self._counts.get(key, 0) + 1
        kept = self._kinds.setdefault(key, [])
        if len(kept) < SHOWN_OF_A_KIND:
            kept.append(finding)

    def error(self, kind: str, path: Path, place: str, text: str, cure: str = "") -> None:
        """Add an error."""
        self.add(kind, Finding(Level.ERROR, path, place, text, cure))

    def warn(self, kind: str, path: Path, place: str, text: str, cure: str = "") -> None:
        """Add a warning."""
        self.add(kind, Finding(Level.WARNING, path, place, text, cure))

    def count(self, level: Level) -> int:
        """Return how many there are of a level, also those not kept."""
        return sum(
            self._counts[key] for key, kept in self._kinds.items() if kept[0].level is level
        )

    def __iter__(self) -> Iterator[Finding]:
        """Yield those kept, and behind a kind with more of them one that says how many."""
        for key, kept in self._kinds.items():
            yield from kept
            more = self._counts[key] - len(kept)
            if more:
                last = kept[-1]
                yield Finding(last.level, last.path, "", f"{more:,} more like this")
