"""Pictures of what learnt policies reach (the paper's figures 2, 3 and 4, and 6 to 8)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.projections.polar import PolarAxes
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from smm_core.config import ConfigError
from smm_core.evaluation.comparison import MEANINGS, Comparison
from smm_core.evaluation.episode import Episode, reached
from smm_core.evaluation.goals import Search
from smm_core.evaluation.marginals import Bins
from smm_core.evaluation.player import RANDOM
from smm_core.evaluation.run_result import RunResult

Array = NDArray[np.float64]

COLORS = ("#1f6fb4", "#d9822b", "#3a923a", "#b43f3f", "#7a5ba6", "#8a6d3b", "#c065a1", "#6b6b6b")
FOUND_COLORS, NOT_FOUND = "viridis", "#d55e00"
"""Of goals by when they were found, late ones lightest, and of the others; apart to any eye."""
MOST_SKILLS = 16
"""Skills of which heat maps are drawn, the first ones."""

_DPI = 130


def draw(comparison: Comparison, folder: Path, plane: Sequence[str] = ()) -> list[Path]:
    """Write all pictures that the results allow; return their paths.

    `plane` names the two coordinates of the heat maps; by default those of goals, or the first.
    """
    figures = {"figures": _bars(comparison)} if comparison.figures else {}
    first = next(iter(comparison.groups.values()))[0]
    # Not every group looks for goals: a mixture takes more episodes.
    searches = {n: r[0].search for n, r in comparison.groups.items() if r[0].search is not None}
    search = next(iter(searches.values()), None)
    if first.marginal is not None:
        bins = first.marginal.bins
        axes = _plane(bins, search, plane)
        if axes is not None:
            figures["marginals"] = _heat_maps(comparison, bins, axes)
            figures |= _skill_maps(comparison, bins, axes)
            if search and {bins.entries[i] for i in axes} <= {*search.entries}:
                figures["goals"] = _goals(searches, bins, axes)
        if bins.cos:
            figures["angles"] = _angles(comparison, bins)
    if search is not None:
        figures["goals-found"] = _goals_found(comparison)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=_DPI)
    return paths


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)  # no window, and nothing that other pictures share
    return figure


def _color(comparison: Comparison, label: str) -> str:
    return COLORS[list(comparison.groups).index(label) % len(COLORS)]


def check_plane(bins: Bins | None, names: Sequence[str]) -> None:
    """Raise ConfigError unless the names are of two linear coordinates of the bins, or none."""
    known = bins.names[: len(bins.entries)] if bins else ()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(
            f"no coordinate {unknown[0]!r} to draw; linear ones counted: "
            + (", ".join(known) or "none")
        )
    if names and len(set(names)) != 2:
        raise ConfigError(f"the plane to draw is {', '.join(names)}, expected two coordinates")


def _plane(bins: Bins, search: Search | None, names: Sequence[str]) -> tuple[int, int] | None:
    """Return which two coordinates are drawn; None where there are not two linear ones."""
    check_plane(bins, names)
    if names:
        return bins.names.index(names[0]), bins.names.index(names[1])
    entries = search.entries if search else ()
    of_goals = [bins.entries.index(e) for e in entries if e in bins.entries]
    chosen = of_goals if len(of_goals) > 1 else list(range(len(bins.entries)))
    return (chosen[0], chosen[1]) if len(chosen) > 1 else None


def _bars(comparison: Comparison) -> Figure:
    """Draw each figure as bars with intervals, and the runs as dots."""
    names = [n for n in comparison.figures if n != "outside_share"] or comparison.figures
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure = _figure(3.1 * columns, 2.9 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, name in zip(panels, names, strict=False):
        _bar_panel(axes, comparison, name)
    for empty in panels[len(names) :]:
        empty.set_axis_off()
    return figure


def _bar_panel(axes: Axes, comparison: Comparison, name: str) -> None:
    labels = [label for label, found in comparison.summaries.items() if name in found]
    for place, label in enumerate(labels):
        summary = comparison.summaries[label][name]
        axes.bar(place, summary.mean, 0.65, color=_color(comparison, label), alpha=0.75)
        beside = place + np.linspace(-0.15, 0.15, len(summary.values) + 2)[1:-1]
        axes.plot(beside, summary.values, "o", color="k", markersize=3, alpha=0.6)
        if np.isfinite(summary.low):
            axes.vlines(place, summary.low, summary.high, color="k", linewidth=1.6)
    title = MEANINGS[name].text
    if name == "state_entropy":
        lines = _entropy_lines(axes, [comparison.groups[label][0] for label in labels])
        title += f"\n({lines})"
    axes.set_title(title, fontsize=9, wrap=True)
    if not any(comparison.summaries[label][name].values.any() for label in labels):
        axes.set_ylim(0, 1)  # around bars of no height there would be room for negative ones
    axes.set_ylabel(MEANINGS[name].unit)
    axes.set_xlim(-0.7, len(labels) - 0.3)
    axes.set_xticks(range(len(labels)), labels, rotation=30 if len(labels) > 3 else 0, fontsize=8)
    axes.grid(axis="y", alpha=0.3)


def _entropy_lines(axes: Axes, results: Sequence[RunResult]) -> str:
    """Mark over each group's bar what entropy there can be; return what the lines are."""
    is_known = any(result.log_target is not None for result in results)
    for place, result in enumerate(results):
        ends = place - 0.45, place + 0.45
        if result.log_target is not None:
            axes.hlines(result.uniform_entropy, *ends, color="k", linestyle="--", linewidth=1)
            axes.hlines(result.target_entropy, *ends, color="k", linestyle=":", linewidth=2)
        elif not is_known and result.marginal is not None:
            largest = result.marginal.bins.max_entropy
            axes.hlines(largest, *ends, color="k", linestyle="--", linewidth=1)
    return "dashed: uniform where p* > 0, dotted: p*" if is_known else "dashed: uniform"


def _heat_maps(comparison: Comparison, bins: Bins, plane: tuple[int, int]) -> Figure:
    """Draw each group's marginal over a plane, the mean over its runs, beside p* (figure 6)."""
    first = next(iter(comparison.groups.values()))[0]
    maps = {
        f"{label} ({comparison.count(label)})": np.mean(
            [_share(bins, plane, r.episodes) for r in results], axis=0
        )
        for label, results in comparison.groups.items()
    }
    return _maps(maps, bins, plane, first.walls, _targets(comparison, bins, plane))


def _targets(comparison: Comparison, bins: Bins, places: tuple[int, ...]) -> dict[str, Array]:
    """Return what p* has along these coordinates, an axis for each; once where groups share it."""
    found: dict[str, Array] = {}
    for label, (first, *_) in comparison.groups.items():
        if first.log_target is None:
            continue
        others = tuple(i for i in range(len(bins.shape)) if i not in places)
        share = np.exp(first.log_target).reshape(bins.shape).sum(others)
        share = share.transpose([sorted(places).index(place) for place in places])
        if not any(np.array_equal(share, known) for known in found.values()):
            found[f"p* of {label}"] = share
    return {"p*": share} if len(found) == 1 else found


def _skill_maps(comparison: Comparison, bins: Bins, plane: tuple[int, int]) -> dict[str, Figure]:
    """Draw the marginal of each skill of each mixture's first run (figure 7)."""
    figures = {}
    for label, results in comparison.groups.items():
        episodes = results[0].episodes
        skills = sorted({episode.skill for episode in episodes})[:MOST_SKILLS]
        if len(skills) > 1 and results[0].policy != RANDOM:
            maps = {
                f"skill {z}": _share(bins, plane, [e for e in episodes if e.skill == z])
                for z in skills
            }
            figure = _maps(maps, bins, plane, results[0].walls, {})
            figure.suptitle(f"{label}, first run")
            figures[f"skills-{label.replace(' ', '-')}"] = figure
    return figures


def _maps(
    maps: dict[str, Array],
    bins: Bins,
    plane: tuple[int, int],
    walls: Array | None,
    targets: dict[str, Array],
) -> Figure:
    """Draw shares of states (x bins, y bins) by name, targets first, on one logarithmic scale.

    It ends at the rarest state, or a tenth of a target's mode: the tails of p* go far lower.
    """
    x, y = (bins.edges[i] for i in plane)
    entries = [bins.entries[i] for i in plane]
    ratio = float((y[-1] - y[0]) / (x[-1] - x[0]))
    figure, panels = _panels(len(maps) + len(targets), ratio, bins, plane)
    peaks = [float(share.max()) for share in (*targets.values(), *maps.values())]
    smallest = min(float(share[share > 0].min(initial=1.0)) for share in maps.values())
    norm = LogNorm(min(smallest, *(peak / 10 for peak in peaks)), max(peaks))
    for axes, (name, share) in zip(panels, {**targets, **maps}.items(), strict=True):
        image = axes.pcolormesh(x, y, np.ma.masked_equal(share.T, 0), norm=norm, cmap="viridis")
        if walls is not None and max(entries) < walls.shape[1]:
            axes.fill(*walls[:, entries].T, fill=False, edgecolor="k", linewidth=0.8)
        axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), facecolor="#f2f2f2")
        axes.set_title(name, fontsize=10)
    label = "share of the states in a bin (logarithmic)"
    below = any((0 < share[share > 0].min() < norm.vmin) for share in targets.values())
    figure.colorbar(image, ax=panels, label=label, shrink=0.9, extend="min" if below else None)
    return figure


def _panels(
    count: int, ratio: float, bins: Bins, plane: tuple[int, int]
) -> tuple[Figure, list[Axes]]:
    """Return a figure with `count` panels of a plane, about `ratio` times as high as wide."""
    columns = min(4, count)
    rows = -(-count // columns)
    figure = _figure(3.1 * columns + 1.2, 2.9 * rows * min(max(ratio, 0.5), 2.0) + 0.7)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for place, axes in enumerate(panels[:count]):
        axes.set_aspect("equal")
        axes.set_ylabel(bins.names[plane[1]])
        axes.label_outer()
        if place + columns >= count:  # none below it
            axes.set_xlabel(bins.names[plane[0]])
            axes.tick_params(labelbottom=True)
    for empty in panels[count:]:
        empty.remove()
    return figure, list(panels[:count])


def _share(bins: Bins, plane: tuple[int, int], episodes: Sequence[Episode]) -> Array:
    """Return the share of states in each bin of a plane, (x bins, y bins)."""
    values = bins.coordinates(reached(episodes))[:, list(plane)]
    edges = [bins.edges[i] for i in plane]
    counts = np.histogram2d(values[:, 0], values[:, 1], edges)[0]
    share: Array = counts / max(1, len(values))
    return share


def _goals(searches: dict[str, Search], bins: Bins, plane: tuple[int, int]) -> Figure:
    """Draw goals coloured by the episode in which the first run found them (figure 8)."""
    first = next(iter(searches.values()))
    columns = [first.entries.index(bins.entries[i]) for i in plane]
    width, height = np.maximum(np.ptp(first.goals[:, columns], axis=0), 1e-9)
    figure, panels = _panels(len(searches), float(height / width), bins, plane)
    for axes, (label, search) in zip(panels, searches.items(), strict=True):
        horizon = search.success.shape[1]
        x, y = search.goals[:, columns].T
        found = search.found_in <= horizon
        axes.scatter(x[~found], y[~found], marker="x", color=NOT_FOUND, s=28, linewidth=1.4)
        image = axes.scatter(
            x[found],
            y[found],
            c=search.found_in[found],
            norm=Normalize(1, horizon),
            cmap=FOUND_COLORS,
            s=26,
            edgecolor="k",
            linewidth=0.3,
        )
        axes.set_title(f"{label}: {found.mean():.0%} of {len(x)} goals", fontsize=10)
    figure.colorbar(
        image,
        ax=panels,
        label="episodes until found\n(cross: not found)",
        shrink=0.9,
        ticks=MaxNLocator(integer=True),
    )
    return figure


def _goals_found(comparison: Comparison) -> Figure:
    """Draw the share of goals found within so many episodes, with its interval (figure 3b)."""
    figure = _figure(5.6, 4.0)
    axes = figure.subplots()
    for label, results in comparison.groups.items():
        curves = np.array([r.search.found_within for r in results if r.search is not None])
        if not len(curves):
            continue
        episodes = np.arange(1, curves.shape[1] + 1)
        color = _color(comparison, label)
        axes.plot(episodes, curves.mean(0), color=color, linewidth=2, label=label)
        low, high = comparison.interval(curves)
        if np.isfinite(low).all():
            axes.fill_between(episodes, low, high, color=color, alpha=0.2, linewidth=0)
    axes.set(xlabel="episodes", ylabel="goals found", xlim=(1, None), ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(framealpha=0.8)
    return figure


def _angles(comparison: Comparison, bins: Bins) -> Figure:
    """Draw how much of the time each group spends at each angle, the mean over its runs."""
    place = len(bins.entries)
    edges = bins.edges[place]
    figure = _figure(5.4, 5.6)
    axes = figure.add_subplot(projection="polar")
    assert isinstance(axes, PolarAxes)
    for label, results in comparison.groups.items():
        values = [bins.coordinates(reached(r.episodes))[:, place] for r in results]
        share = np.mean([np.histogram(v, edges)[0] / len(v) for v in values], axis=0)
        color = _color(comparison, label)
        axes.stairs(share, edges, fill=True, alpha=0.25, color=color)
        axes.stairs(share, edges, color=color, linewidth=1.6, label=label)
    uniform = np.full(len(edges) - 1, 1 / (len(edges) - 1))
    aims = _targets(comparison, bins, (place,)) or {"uniform": uniform}
    for (name, share), style in zip(aims.items(), cycle(("--", ":", "-.")), strict=False):
        axes.stairs(share, edges, color="k", linestyle=style, linewidth=1.2, label=name)
    axes.set_theta_zero_location("N")
    axes.set_rlabel_position(202.5)  # between two angle labels
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_rlim(0, None)
    axes.set_title(f"share of the states at each {bins.names[place]}")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=3, frameon=False)
    return figure
