"""What came of a comparison: the figures of all turns, medians, and ratios within turns."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from smm_ros.bench.comparison import Aim, Line

DONE, INTERRUPTED = "done", "interrupted"


@dataclass
class Measured:
    """One line and its figure in each turn."""

    line: Line
    figures: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    """To the base, each within one turn; empty where the line has no base."""

    @property
    def median(self) -> float:
        """The median of the turns."""
        return statistics.median(self.figures)

    @property
    def middle_half(self) -> tuple[float, float]:
        """The first and the third quartile of the turns."""
        low, high = np.percentile(self.figures, [25, 75])
        return float(low), float(high)

    @property
    def ratio(self) -> float | None:
        """The median of the ratios; None where the line has no base."""
        return statistics.median(self.ratios) if self.ratios else None

    @property
    def is_base(self) -> bool:
        """Whether others are compared with this line."""
        return self.line.base == self.line.name

    def keeps(self, aim: Aim) -> bool:
        """Tell whether the aim is reached."""
        ratio = self.ratio
        if not aim.of_ratio:
            return aim.is_reached(self.median)
        return ratio is not None and aim.is_reached(ratio)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it in numbers and texts, for a file."""
        line, (low, high) = self.line, self.middle_half
        found: dict[str, Any] = {"name": line.name, "group": line.group, "unit": line.unit}
        found |= {"median": self.median, "quartiles": [low, high], "figures": self.figures}
        if self.ratios:
            found |= {"base": line.base, "ratio": self.ratio, "ratios": self.ratios}
        if line.aim is not None:
            found["aim"] = vars(line.aim) | {"is_reached": self.keeps(line.aim)}
        found |= {"known": line.known} if line.known else {}
        return found | ({"x": line.x} if line.x is not None else {})


@dataclass
class Outcome:
    """All lines of a comparison, after so many whole turns."""

    name: str
    title: str
    state: str = "preparing"
    """`preparing`, `turn 3 of 9`, `done`, `interrupted`, or why there is nothing."""
    turns: int = 0
    seconds: float = 0.0
    """What it took in all, preparations included."""
    lines: list[Measured] = field(default_factory=list)
    failed: bool = False

    @property
    def groups(self) -> list[str]:
        """The groups in the order of their lines."""
        return list(dict.fromkeys(measured.line.group for measured in self.lines))

    def of_group(self, group: str) -> list[Measured]:
        """Return the lines of a group."""
        return [measured for measured in self.lines if measured.line.group == group]

    def add_turn(self, lines: Sequence[Line], figures: Sequence[float]) -> None:
        """Add what one turn of all contestants came to, line by line.

        Raises ValueError where a line names a base that its group does not have.
        """
        if not self.lines:
            self.lines = [Measured(line) for line in lines]
        turn = {(line.group, line.name): x for line, x in zip(lines, figures, strict=True)}
        for measured in self.lines:
            line = measured.line
            figure = turn[line.group, line.name]
            measured.figures.append(figure)
            if not line.base:
                continue
            if (line.group, line.base) not in turn:
                raise ValueError(f"{line.name!r} has the base {line.base!r}, which is no line")
            measured.ratios.append(figure / turn[line.group, line.base])
        self.turns += 1

    def as_dict(self) -> dict[str, Any]:
        """Return all of it in numbers and texts, for a file."""
        found = {key: getattr(self, key) for key in ("name", "title", "state", "turns", "seconds")}
        return found | {"lines": [measured.as_dict() for measured in self.lines]}
