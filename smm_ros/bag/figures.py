"""Figures as people read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone

_SIZES = ("B", "kB", "MB", "GB", "TB")


def size_text(num_bytes: float) -> str:
    """Return a size in the largest unit that it fills, e.g. "1.2 GB"."""
    unit = 0
    while num_bytes >= 1000 and unit < len(_SIZES) - 1:
        num_bytes, unit = num_bytes / 1000, unit + 1
    return f"{num_bytes:.3g} {_SIZES[unit]}"


def duration_text(nanoseconds: int) -> str:
    """Return a duration, e.g. "1 h 23 min 5 s" or "12.3 s"."""
    seconds = nanoseconds * 1e-9
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min {seconds} s" if hours else f"{minutes} min {seconds} s"


def time_text(nanoseconds: int) -> str:
    """Return a log time as UTC; what can be no date (a simulation's clock) as seconds."""
    seconds = nanoseconds * 1e-9
    if seconds < 1e9:
        return f"{seconds:.3f} s"
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def count_text(count: int, noun: str) -> str:
    """Return a count with its noun, e.g. "1 file" or "12,345 messages"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def ranges_text(numbers: Iterable[int]) -> str:
    """Return ascending numbers as ranges, e.g. "0 to 3, 7"."""
    spans: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], number)
        else:
            spans.append((number, number))
    return spans_text(spans)


def spans_text(spans: Sequence[tuple[int, int]], limit: int = 6) -> str:
    """Return spans of numbers, first and last of each, as text; "..." behind `limit` of them."""
    texts = [f"{a:,}" if a == b else f"{a:,} to {b:,}" for a, b in spans[:limit]]
    return ", ".join([*texts, "..."] if len(spans) > limit else texts)


def episodes_text(kind: str, lengths: Counter[int]) -> str:
    """Return how many episodes there are and of which lengths: "12 torn of 3 to 50 steps"."""
    low, high = min(lengths), max(lengths)
    steps = f"{low}" if low == high else f"{low} to {high}"
    return f"{lengths.total():,} {kind} of {steps} step{'' if high == 1 else 's'}"
