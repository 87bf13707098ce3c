"""A long computation in a terminal: a bar, or lines where there is none, and an orderly end."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

Metrics = dict[str, Any]


def show(
    run: Callable[[Callable[[Metrics], None]], Metrics],
    stop: Callable[[], None],
    console: Console,
    unit: str,
    total: int,
    summary: Callable[[Metrics], str],
    done: int = 0,
) -> Metrics:
    """Call `run` with a function that shows the metrics it is given; return what it returns.

    `unit` names what is counted, also in the metrics; `summary` puts the rest in one line. SIGINT
    and SIGTERM call `stop`, so that `run` ends when it may.
    """
    columns = (
        TextColumn(f"{{task.completed:>7}} {unit}"),
        BarColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(unit, total=total, completed=done, text="")

        def report(metrics: Metrics) -> None:
            bar.update(task, completed=metrics[unit], text=summary(metrics))
            if not console.is_terminal:
                line = f"{metrics[unit]:>7} {unit}  {summary(metrics)}"
                console.print(line, markup=False, highlight=False)

        signals = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(s, lambda number, frame: stop()) for s in signals]
        try:
            return run(report)
        finally:
            for number, handler in zip(signals, before, strict=True):
                signal.signal(number, handler)
