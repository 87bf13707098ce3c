"""Equal cells over a box of one to three coordinates, angles closing on themselves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Masses = NDArray[np.float64]
"""One number for each cell, in the shape of the grid."""

MAX_COORDINATES = 3


class Grid:
    """Cells of equal size; along a circular axis the last cell is the first one's neighbour."""

    def __init__(
        self,
        low: Sequence[float],
        high: Sequence[float],
        cells: Sequence[int],
        circular: Sequence[bool],
    ) -> None:
        self.low = np.asarray(low, float)
        self.extent = np.asarray(high, float) - self.low
        self.shape, self.circular = tuple(cells), tuple(circular)
        self.step = self.extent / self.shape
        self.cell_volume = float(np.prod(self.step))

    def centres(self) -> Masses:
        """Return the cells' centres, (*shape, coordinates)."""
        axes = [
            low + step * (np.arange(count) + 0.5)
            for low, step, count in zip(self.low, self.step, self.shape, strict=True)
        ]
        return np.stack(np.meshgrid(*axes, indexing="ij"), -1)

    def counts(self, states: NDArray[np.floating]) -> Masses:
        """Count states (N, coordinates) in the cells; those outside are left out."""
        where = (states - self.low) / self.extent
        where = np.where(self.circular, where % 1.0, where)
        edges = [np.linspace(0.0, 1.0, count + 1) for count in self.shape]
        return np.histogramdd(where, edges)[0]

    def ball_sums(self, masses: Masses, radius: float) -> Masses:
        """Return for each cell the sum over all cells whose centre is within `radius` of its own.

        Distances are Euclidean in the units of the coordinates, around the circle for angles. Only
        additions of what is there: a sum of nothing is exactly 0.
        """
        reach = [int(radius / step + 1e-9) for step in self.step]
        pad = [(0, 0 if c else r) for c, r in zip(self.circular, reach, strict=True)]
        padded = np.pad(masses, pad)
        total, axes = np.zeros_like(padded), tuple(range(masses.ndim))
        for shift in self._shifts(reach, radius):
            total += np.roll(padded, shift, axes)
        return total[tuple(slice(count) for count in self.shape)]

    def _shifts(self, reach: Sequence[int], radius: float) -> Iterator[tuple[int, ...]]:
        """Yield the offsets of the cells in the ball, each cell of a circular axis once."""
        spans = [
            range(-((n - 1) // 2), n // 2 + 1) if c and 2 * r >= n else range(-r, r + 1)
            for r, n, c in zip(reach, self.shape, self.circular, strict=True)
        ]
        for shift in itertools.product(*spans):
            if math.dist(np.multiply(shift, self.step), np.zeros(len(shift))) <= radius + 1e-9:
                yield shift


class GridInterpolation(nn.Module):
    """Values at the centres of a grid's cells, linear in between; constant beyond the last."""

    def __init__(self, grid: Grid, values: Masses) -> None:
        super().__init__()
        self._values = nn.Buffer(torch.as_tensor(values, dtype=torch.float32).flatten())
        self._low = nn.Buffer(torch.tensor(grid.low, dtype=torch.float32))
        self._step = nn.Buffer(torch.tensor(grid.step, dtype=torch.float32))
        self._count = nn.Buffer(torch.tensor(grid.shape))
        self._circular = nn.Buffer(torch.tensor(grid.circular))
        strides = [math.prod(grid.shape[axis + 1 :]) for axis in range(len(grid.shape))]
        self._strides = nn.Buffer(torch.tensor(strides))
        corners = list(itertools.product((False, True), repeat=len(grid.shape)))
        self._corners = nn.Buffer(torch.tensor(corners))

    def forward(self, point: Tensor) -> Tensor:
        """Return the values at points, (...) from (..., coordinates)."""
        position = (point - self._low) / self._step - 0.5
        inside = torch.minimum(position.clamp_min(0.0), self._count - 1.0)
        position = torch.where(self._circular, position, inside)
        below = position.floor()
        share = position - below
        total = torch.zeros_like(share[..., 0])
        for is_upper in self._corners:
            index = below.long() + is_upper
            index = torch.where(
                self._circular, index.remainder(self._count), index.minimum(self._count - 1)
            )
            index = index.clamp_min(0)  # of a NaN; its share makes the value NaN
            weight = torch.where(is_upper, share, 1.0 - share).prod(-1)
            total = total + weight * self._values[(index * self._strides).sum(-1)]
        return total
