"""Where the time goes, from outside: functions are wrapped while it is looked at."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any


class Stopwatch:
    """Adds up the seconds of each part; a part within another is not counted twice."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._parts: list[str] = []
        self._since = 0.0
        self._wrapped: list[tuple[Any, str, bool, Any]] = []

    def watch(self, owner: Any, name: str, part: str | None) -> None:
        """Count the time in a function of an object, class or module to a part.

        None: to the part around the present one. Raises AttributeError where there is no such
        function. Until `close` the wrapped function stands in for the real one.
        """
        original = getattr(owner, name)
        self._wrapped.append((owner, name, name in vars(owner), original))
        setattr(owner, name, self._timed(original, part))

    def close(self) -> None:
        """Put the functions back."""
        for owner, name, was_own, original in reversed(self._wrapped):
            if was_own:
                setattr(owner, name, original)
            else:
                delattr(owner, name)
        self._wrapped.clear()

    def _timed(self, original: Callable[..., Any], part: str | None) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._enter(part)
            try:
                return original(*args, **kwargs)
            finally:
                self._leave()

        return timed

    def _enter(self, part: str | None) -> None:
        around = (self._parts[-2:] or [""])[0]
        self._count()
        self._parts.append(around if part is None else part)

    def _leave(self) -> None:
        self._count()
        self._parts.pop()

    def _count(self) -> None:
        """Count the time since the last change to the part that it was spent in."""
        now = time.perf_counter()
        if self._parts:
            self.seconds[self._parts[-1]] += now - self._since
        self._since = now
