"""Comparisons of contestants that measure nothing: what they return is made up."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from smm_ros.bench.comparison import Comparison, Contestant, Line, Setting, SkippedError


class Machine:
    """Slower in some turns: what each contestant returns, turn by turn, and what was called."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.closed = 0

    def contestant(
        self,
        line: Line | Sequence[Line],
        figures: Sequence[float],
        error: BaseException | None = None,
    ) -> Contestant:
        """Return one that has these figures, all lines the same, and then raises the error."""
        lines = (line,) if isinstance(line, Line) else tuple(line)
        left = iter(figures)

        def turn() -> list[float]:
            self.calls.append(lines[0].name)
            figure = next(left, None)
            if figure is None:
                raise error or AssertionError("no figures left")
            return [figure] * len(lines)

        return Contestant(lines, turn)

    def comparison(
        self, *contestants: Contestant, turns: int = 3, name: str = "fake"
    ) -> Comparison:
        @contextmanager
        def prepare(setting: Setting) -> Iterator[Sequence[Contestant]]:
            try:
                yield contestants
            finally:
                self.closed += 1

        return Comparison(name, "one against another", prepare, turns, quick_turns=1)

    @staticmethod
    def lacking(reason: str, name: str = "fake") -> Comparison:
        """Return a comparison that this machine can not make."""

        @contextmanager
        def prepare(setting: Setting) -> Iterator[Sequence[Contestant]]:
            raise SkippedError(reason)
            yield

        return Comparison(name, "one against another", prepare)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def lines() -> Callable[..., Line]:
    """Return a function that makes a line against the base 'a'."""

    def make(name: str, **fields: object) -> Line:
        return Line(**{"name": name, "unit": "steps/s", "base": "a", **fields})  # type: ignore[arg-type]

    return make
