"""Statistics of the time between events, and of delays: spread and the worst case."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PeriodSummary:
    """The last periods in numbers; all zero when fewer than two events were seen."""

    count: int = 0
    """Periods summarised."""
    rate_hz: float = 0.0
    mean: float = 0.0
    """s, as the next ones"""
    median: float = 0.0
    p99: float = 0.0
    longest: float = 0.0


class PeriodMeter:
    """Remembers when the last events happened."""

    def __init__(self, window: int = 500) -> None:
        """Summarise over at most the last `window` periods."""
        self._times: deque[float] = deque(maxlen=window + 1)

    def mark(self, now: float) -> None:
        """Note an event at `now`, in s of a clock that only goes forward."""
        self._times.append(now)

    def restart(self) -> None:
        """Forget all events, so that a pause on purpose is not taken for a long period."""
        self._times.clear()

    def summary(self) -> PeriodSummary:
        """Summarise the remembered periods."""
        periods = np.diff(np.array(self._times))
        if not len(periods):
            return PeriodSummary()
        total = float(periods.sum())
        return PeriodSummary(
            count=len(periods),
            rate_hz=len(periods) / total if total > 0 else 0.0,
            mean=total / len(periods),
            median=float(np.median(periods)),
            p99=float(np.percentile(periods, 99)),
            longest=float(periods.max()),
        )


@dataclass(frozen=True)
class DelaySummary:
    """The last delays in numbers, s; all zero when none was seen."""

    median: float = 0.0
    p99: float = 0.0
    longest: float = 0.0


class DelayMeter:
    """Remembers the last delays."""

    def __init__(self, window: int = 500) -> None:
        """Summarise at most the last `window` delays."""
        self._delays: deque[float] = deque(maxlen=window)

    def add(self, seconds: float) -> None:
        """Note a delay, s."""
        self._delays.append(seconds)

    def summary(self) -> DelaySummary:
        """Summarise the remembered delays."""
        if not self._delays:
            return DelaySummary()
        median, p99 = np.percentile(self._delays, [50, 99])
        return DelaySummary(float(median), float(p99), max(self._delays))
