"""One picture of all comparisons: bars with the base marked, and curves of what grows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, NullFormatter

from smm_ros.bench.outcome import Measured, Outcome
from smm_ros.bench.table import figure as text_of

# Of Okabe and Ito's palette, which the colour-blind can tell apart.
BAR, BASE, AIM = "#56B4E9", "#7F7F7F", "#D55E00"
CURVES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#000000")
MARKERS = "osD^vX"
COLUMNS = 3
ROW, HEAD = 0.3, 1.15
"""Height of a bar, and of what a panel has beside its bars, inches."""
CURVE_ROWS = 9


def draw(outcomes: Sequence[Outcome], caption: str, path: Path) -> None:
    """Write a PNG with a panel for each group of each comparison that has figures."""
    panels = [panel for outcome in outcomes for panel in _panels(outcome)]
    columns = _filled(panels)
    height = max((sum(_height(panel) for panel in column) for column in columns), default=2.0)
    canvas = Figure(figsize=(6.2 * max(1, len(columns)), height + 0.7), layout="constrained")
    FigureCanvasAgg(canvas)
    canvas.suptitle(f"smm bench: {caption}", fontsize=11)
    parts = canvas.subfigures(1, max(1, len(columns)), squeeze=False)[0]
    for part, column in zip(parts, columns, strict=False):
        heights = [_height(panel) for panel in column]
        spare = height - sum(heights)
        rows = [*heights, spare] if spare > 0.01 else heights
        grid = part.add_gridspec(len(rows), 1, height_ratios=rows)
        for place, (title, lines) in enumerate(column):
            axes = part.add_subplot(grid[place])
            axes.set_title(title, fontsize=10, loc="left", fontweight="bold")
            (_draw_curves if lines[0].line.x is not None else _draw_bars)(axes, lines)
    canvas.savefig(path, dpi=110)


Panel = tuple[str, list[Measured]]


def _panels(outcome: Outcome) -> list[Panel]:
    """Return the panels of a comparison: all its curves in one, its bars one for each group."""
    curves = [measured for measured in outcome.lines if measured.line.x is not None]
    if curves:
        return [(outcome.name, curves)]
    names = {group: f"{outcome.name}: {group}" if group else outcome.name
             for group in outcome.groups}  # fmt: skip
    return [(names[group], outcome.of_group(group)) for group in outcome.groups]


def _height(panel: Panel) -> float:
    _, lines = panel
    rows = CURVE_ROWS if lines[0].line.x is not None else len(lines)
    return HEAD + ROW * rows


def _filled(panels: Sequence[Panel]) -> list[list[Panel]]:
    """Put the panels into columns of about the same height, in order, each under the shortest."""
    columns: list[list[Panel]] = [[] for _ in range(min(COLUMNS, len(panels)))]
    for panel in panels:
        min(columns, key=lambda column: sum(map(_height, column))).append(panel)
    return columns


def _draw_bars(axes: Axes, lines: Sequence[Measured]) -> None:
    medians = np.array([measured.median for measured in lines])
    quartiles = np.array([measured.middle_half for measured in lines])
    places = np.arange(len(lines))
    bars = axes.barh(
        places,
        medians,
        color=[BASE if measured.is_base else BAR for measured in lines],
        xerr=np.abs(quartiles.T - medians),
        error_kw={"elinewidth": 1.0, "capsize": 2.0},
        height=0.72,
    )
    for bar, measured in zip(bars, lines, strict=True):
        if measured.is_base:
            bar.set_hatch("///")
            bar.set_edgecolor("white")
    aims = _draw_aims(axes, lines)
    # An error bar that reaches far beyond all of these is cut off: the bars are to be seen.
    limit = 1.15 * max(*medians, *aims, 1e-9)
    _label(axes, lines, limit)
    axes.set_xlim(0, 1.3 * limit)
    axes.set_yticks(places, [measured.line.name for measured in lines], fontsize=9)
    axes.invert_yaxis()
    axes.set_xlabel(lines[0].line.unit, fontsize=9)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)


def _label(axes: Axes, lines: Sequence[Measured], limit: float) -> None:
    """Write median and ratio behind each bar and its error bar, or at the limit."""
    for place, measured in enumerate(lines):
        end = min(measured.middle_half[1], limit)
        ratio = measured.ratio
        tail = "  base" if measured.is_base else "" if ratio is None else f"  ×{ratio:.2f}"
        axes.annotate(
            f"{text_of(measured.median)}{tail}",
            (end, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6},
        )


def _draw_aims(axes: Axes, lines: Sequence[Measured]) -> list[float]:
    """Mark where each line with an aim is to come to, and return these places."""
    found = []
    bases = {measured.line.name: measured.median for measured in lines}
    for place, measured in enumerate(lines):
        aim = measured.line.aim
        if aim is None:
            continue
        x = aim.bound * (bases[measured.line.base] if aim.of_ratio else 1.0)
        found.append(x)
        side = "at most" if aim.is_most else "at least"
        axes.plot([x, x], [place - 0.45, place + 0.45], color=AIM, linewidth=2.5, label=side)
    handles, names = axes.get_legend_handles_labels()
    unique = dict(zip(names, handles, strict=True))
    if unique:
        title = [f"aim ({name})" for name in unique]
        axes.legend(unique.values(), title, fontsize=8, framealpha=0.85, loc="best")
    return found


def _draw_curves(axes: Axes, lines: Sequence[Measured]) -> None:
    """Draw each group's ratios to its base over how many times as much there is."""
    groups = list(dict.fromkeys(measured.line.group for measured in lines))
    for place, group in enumerate(groups):
        own = [measured for measured in lines if measured.line.group == group]
        base = next(measured for measured in own if measured.is_base)
        sizes = [(measured.line.x or 0.0) / (base.line.x or 1.0) for measured in own]
        steps = f"{own[0].line.x:g} .. {own[-1].line.x:g}"
        axes.plot(
            sizes,
            [measured.ratio or np.nan for measured in own],
            color=CURVES[place % len(CURVES)],
            marker=MARKERS[place % len(MARKERS)],
            label=f"{group}: {steps}",
        )
    axes.plot(
        *[axes.get_xlim()] * 2, color=BASE, linestyle=":", linewidth=1, label="as much as there is"
    )
    axes.axhline(1.0, color=BASE, linewidth=1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("times as much as in the smallest case", fontsize=9)
    axes.set_ylabel("times the milliseconds", fontsize=9)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.legend(fontsize=8, frameon=False)
    axes.grid(alpha=0.3)
