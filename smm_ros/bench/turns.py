"""Measures in turns: a slow minute of the machine hits all contestants alike."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence

from smm_ros.bench.comparison import Comparison, Contestant, Setting, SkippedError
from smm_ros.bench.outcome import DONE, INTERRUPTED, Outcome


def compare(
    comparison: Comparison,
    setting: Setting,
    turns: int | None = None,
    show: Callable[[Outcome], None] = lambda outcome: None,
) -> Outcome:
    """Let the contestants take turns; call `show` at first, after each turn, and at the end.

    A turn that Ctrl-C or an error ends is not counted; what was measured before it is kept. An
    error of a contestant is printed and ends this comparison alone.
    """
    outcome, begin = Outcome(comparison.name, comparison.title), time.perf_counter()
    count = turns or comparison.count(setting)
    show(outcome)
    try:
        with comparison.prepare(setting) as contestants:
            _take_turns(contestants, count, outcome, show)
        outcome.state = DONE
    except SkippedError as reason:
        outcome.state = f"skipped: {reason}"
    except KeyboardInterrupt:
        outcome.state = INTERRUPTED
    except Exception as error:
        # One that fails on this machine is no reason not to measure the others.
        traceback.print_exc()
        outcome.state, outcome.failed = f"failed: {error!r}", True
    outcome.seconds = time.perf_counter() - begin
    show(outcome)
    return outcome


def _take_turns(
    contestants: Sequence[Contestant],
    count: int,
    outcome: Outcome,
    show: Callable[[Outcome], None],
) -> None:
    lines = [line for contestant in contestants for line in contestant.lines]
    for turn in range(count):
        outcome.state = f"turn {turn + 1} of {count}"
        show(outcome)
        # There and back, so that none always comes after the same one.
        order = range(len(contestants)) if turn % 2 == 0 else reversed(range(len(contestants)))
        figures = {place: contestants[place].turn() for place in order}
        outcome.add_turn(lines, [x for place in sorted(figures) for x in figures[place]])
