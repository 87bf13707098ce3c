"""Pictures of Navigation: the map, a point in it, and heat maps of where points have been."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smm_core.envs.halls import GOAL_RADIUS, HALL_WIDTH, Array, Halls

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURE_SIZE = 480
"""Pixels along the longer side of the map in `picture`."""

FLOOR, WALL, GOAL, POINT = (245, 245, 242), (70, 74, 82), (150, 205, 150), (200, 60, 40)

_SMALLEST_DOT = 4  # pixels, so that a point stays visible on a large map
_GRID_PER_HALL = 4  # bins across a hall in a heat map
_MOST_BINS = 240  # bins along the longer side of a heat map
_FAINTEST = 1e-4  # of the largest share: what is below has the colour of this
_MARGIN = 0.03  # of the halls' radius, around the map


def picture(halls: Halls, position: Array) -> NDArray[np.uint8]:
    """Return the map with a point at a position (2,) m, uint8 (height, width, 3)."""
    low, high = _frame(halls)
    pixel = float((high - low).max()) / PICTURE_SIZE
    x = np.arange(low[0], high[0], pixel) + pixel / 2
    y = np.arange(high[1], low[1], -pixel) - pixel / 2
    points = np.stack(np.meshgrid(x, y), -1)
    flat = points.reshape(-1, 2)
    image = np.full((len(flat), 3), WALL, np.uint8)
    image[halls.contains(flat)] = FLOOR
    dot = _SMALLEST_DOT * pixel
    for place, radius, color in [
        *((goal, GOAL_RADIUS, GOAL) for goal in halls.goals),
        (position, HALL_WIDTH / 5, POINT),
    ]:
        image[((flat - place) ** 2).sum(-1) <= max(radius, dot) ** 2] = color
    return image.reshape(*points.shape[:2], 3)


def draw_map(axes: Axes, halls: Halls) -> None:
    """Draw walls and goals on matplotlib axes in m, both axes to the same scale."""
    from matplotlib.patches import Circle, Polygon

    axes.add_patch(Polygon(halls.outline, fill=False, edgecolor="black", linewidth=0.8))
    for goal in halls.goals:
        axes.add_patch(Circle(tuple(goal), GOAL_RADIUS, fill=False, edgecolor="tab:red"))
    low, high = _frame(halls)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel="x (m)", ylabel="y (m)")
    axes.set_aspect("equal")


def draw_visits(axes: Axes, halls: Halls, positions: Array, most: float = 1.0) -> Any:
    """Draw a heat map of visited positions (N, 2) m over the map.

    The colour is the share of the positions in a bin, on a logarithmic scale up to `most`.
    Returns the drawn image, for a colour bar.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.patches import Polygon

    share, (x, y) = _shares(halls, positions)
    visited = np.ma.masked_equal(share.T, 0)
    norm = LogNorm(_FAINTEST * most, most, clip=True)
    image = axes.pcolormesh(x, y, visited, cmap="viridis", norm=norm, rasterized=True)
    image.set_clip_path(Polygon(halls.outline, transform=axes.transData))
    draw_map(axes, halls)
    return image


def heat_maps(halls: Halls, visits: Mapping[str, Array], path: Path) -> Path:
    """Write a PNG with one heat map for each name, such as a skill's; return its path.

    `visits` maps names to positions (N, 2) m. All panels share one colour scale.

    Raises:
        ValueError: nothing to draw.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not visits:
        raise ValueError("visits is empty, expected positions by name")
    columns = min(4, len(visits))
    rows = -(-len(visits) // columns)
    figure = Figure(figsize=(3.2 * columns + 0.9, 3.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    most = max(float(_shares(halls, positions)[0].max()) for positions in visits.values()) or 1.0
    for panel, (name, positions) in zip(axes, visits.items(), strict=False):
        image = draw_visits(panel, halls, positions, most)
        panel.set_title(name)
    for empty in axes[len(visits) :]:
        empty.set_axis_off()
    figure.colorbar(image, ax=list(axes), label="share of the steps")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return path


def _frame(halls: Halls) -> tuple[Array, Array]:
    """Return the lowest and highest x and y of a picture, (2,) m each."""
    low, high = halls.bounds
    return low - _MARGIN * halls.radius, high + _MARGIN * halls.radius


def _shares(halls: Halls, positions: Array) -> tuple[Array, tuple[Array, Array]]:
    """Return the share of positions (N, 2) m in each bin of the map, and the bins' edges."""
    positions = np.asarray(positions, np.float64)
    if positions.ndim != 2 or positions.shape[1] != 2:
        raise ValueError(f"positions have shape {positions.shape}, expected (N, 2)")
    low, high = halls.bounds
    width = max(HALL_WIDTH / _GRID_PER_HALL, float((high - low).max()) / _MOST_BINS)
    edges = [np.arange(a, b + width, width) for a, b in zip(low, high, strict=True)]
    counts, x, y = np.histogram2d(positions[:, 0], positions[:, 1], edges)
    return counts / max(len(positions), 1), (x, y)
