"""What is compared with what: contestants that take turns, and the lines of figures they give."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


class SkippedError(Exception):
    """Raised while a comparison is prepared: this machine lacks what its message names."""


@dataclass(frozen=True)
class Aim:
    """A bound that a line is to keep."""

    bound: float
    is_most: bool = False
    """Whether more than the bound misses it, not less."""
    of_ratio: bool = True
    """Whether the ratio to the base is meant, not the figure itself."""

    def is_reached(self, figure: float) -> bool:
        """Tell whether a ratio, or a figure, keeps the bound."""
        return figure <= self.bound if self.is_most else figure >= self.bound


@dataclass(frozen=True)
class Line:
    """One line of a comparison's table: a contestant has one figure for it in each turn."""

    name: str
    unit: str
    """What is counted in seconds is better the less there is; the other units are rates."""
    base: str = ""
    """The line of the same group that this is compared with; it may be itself. Empty: none."""
    group: str = ""
    """Lines of one group stand together, and share a panel of the picture."""
    aim: Aim | None = None
    known: str = ""
    """What others report of the same, to be shown beside the ratio."""
    x: float | None = None
    """Where on the axis a line of a curve stands: how much of what the group names."""


@dataclass(frozen=True)
class Contestant:
    """What takes turns with the others."""

    lines: tuple[Line, ...]
    turn: Callable[[], Sequence[float]]
    """Works for a while, and returns one figure for each line."""


@dataclass(frozen=True)
class Setting:
    """How much to do, and with what."""

    quick: bool = False
    threads: int = 1
    """Threads of torch."""

    def pick(self, full: T, quick: T) -> T:
        """Return the second where all is to be over soon."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Comparison:
    """Contestants that are measured in turns."""

    name: str
    title: str
    """What is compared, and how, in a sentence."""
    prepare: Callable[[Setting], AbstractContextManager[Sequence[Contestant]]]
    """Makes the contestants, warm; raises SkippedError where that can not be done here."""
    turns: int = 9
    quick_turns: int = 3

    def count(self, setting: Setting) -> int:
        """Return how many turns each contestant has."""
        return setting.pick(self.turns, self.quick_turns)


def optional_module(name: str, why: str) -> ModuleType:
    """Import a package that users need not have; raises SkippedError with the reason."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SkippedError(f"{why} ({error})") from error


def missing(name: str, reason: str) -> Comparison:
    """Return what stands for a comparison whose own file can not be imported here."""

    def prepare(setting: Setting) -> AbstractContextManager[Sequence[Contestant]]:
        raise SkippedError(reason)

    return Comparison(name, "not possible here", prepare)
