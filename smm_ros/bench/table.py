"""Tables of what was measured: for a terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.table import Table
from rich.text import Text

from smm_ros.bench.outcome import Measured, Outcome

HEAD = ("", "median", "middle half", "ratio", "aim", "elsewhere")
WIDTH = 100
"""Of a table in a terminal, characters."""
REACHED, MISSED = "reached", "missed"


def as_table(outcome: Outcome) -> Table:
    """Return a comparison's table for a terminal."""
    title = f"{outcome.name}: {outcome.title} [{outcome.state}]"
    table = Table(title=Text(title), title_justify="left", title_style="bold", width=WIDTH)
    columns = _columns(outcome)
    for place in columns:
        table.add_column(HEAD[place], justify="right" if place else "left", no_wrap=bool(place))
    for group in outcome.groups:
        table.add_section()
        table.add_row(Text(_heading(outcome, group), style="italic"))
        for measured in outcome.of_group(group):
            table.add_row(*_cells(measured, columns))
    return table


def as_markdown(outcome: Outcome) -> str:
    """Return a comparison's section for a page: what is compared, and the table."""
    lines = [f"### `{outcome.name}`", "", f"{outcome.title} ({_state(outcome)}).", ""]
    columns = _columns(outcome)
    rows = []
    for group in outcome.groups:
        rows.append([f"*{_heading(outcome, group)}*", *[""] * (len(columns) - 1)])
        rows += [_cells(measured, columns) for measured in outcome.of_group(group)]
    if rows:
        lines.append(_row([HEAD[place] for place in columns]))
        lines.append(_row(["--:" if place else "---" for place in columns]))
        lines += [*map(_row, rows), ""]
    return "\n".join(lines)


def _heading(outcome: Outcome, group: str) -> str:
    """Return what a group has in common: its name and its unit."""
    unit = outcome.of_group(group)[0].line.unit
    return f"{group}, {unit}" if group else unit


def _state(outcome: Outcome) -> str:
    turns = f"{outcome.turns} turn{'s' if outcome.turns != 1 else ''}"
    return f"{turns}, {outcome.seconds:.0f} s" if outcome.turns else outcome.state


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _columns(outcome: Outcome) -> list[int]:
    """Return the places in HEAD of the columns that this comparison has anything for."""
    lines = [measured.line for measured in outcome.lines]
    optional = {3: "base", 4: "aim", 5: "known"}
    return [
        place
        for place in range(len(HEAD))
        if place not in optional or any(getattr(line, optional[place]) for line in lines)
    ]


def _cells(measured: Measured, columns: Sequence[int]) -> list[str]:
    line, (low, high) = measured.line, measured.middle_half
    cells = [line.name, figure(measured.median)]
    cells += [f"{figure(low)} - {figure(high)}", _ratio(measured), _aim(measured), line.known]
    return [cells[place] for place in columns]


def _ratio(measured: Measured) -> str:
    if measured.ratio is None:
        return ""
    return "base" if measured.is_base else f"{measured.ratio:.2f}"


def _aim(measured: Measured) -> str:
    aim = measured.line.aim
    if aim is None:
        return ""
    unit = "" if aim.of_ratio else f" {measured.line.unit}"
    bound = f"{'at most' if aim.is_most else 'at least'} {aim.bound:g}{unit}"
    return f"{bound}: {REACHED if measured.keeps(aim) else MISSED}"


def figure(number: float) -> str:
    """Return a number with three digits that count, or all those before its point."""
    if number == 0:
        return "0"
    digits = 2 - int(np.floor(np.log10(abs(number))))
    return f"{number:,.{max(0, min(digits, 6))}f}"
