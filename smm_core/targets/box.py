"""Uniform targets on a box, whole or in two halves of different weight."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smm_core.config import Config, ConfigError, option
from smm_core.state_space import StateSpace


@dataclass(frozen=True)
class BoxConfig(Config):
    """A box of the linear coordinates of s; angles go all the way round."""

    low: tuple[float, ...] = option((), "lower end of each linear coordinate of s")
    high: tuple[float, ...] = option((), "upper end of each linear coordinate of s")
    drop: float = option(10.0, "nats by which log p* falls at the faces of the box", low=0.0)
    slope: float = option(
        10.0, "nats by which log p* falls further for each width of the box beyond", low=0.1
    )

    def __post_init__(self) -> None:
        """Check that the ends make a box."""
        super().__post_init__()
        if len(self.low) != len(self.high):
            raise ConfigError(
                f"target.box has {len(self.low)} low and {len(self.high)} high ends, "
                "expected one of each for every linear coordinate of s"
            )
        for low, high in zip(self.low, self.high, strict=True):
            if not -math.inf < low < high < math.inf:
                raise ConfigError(
                    f"target.box reaches from {low} to {high}, expected finite ends, low below "
                    "high; swap or widen them"
                )


@dataclass(frozen=True)
class HalvesConfig(Config):
    """Two sides of the box, parted along one coordinate."""

    coordinate: int = option(0, "the entry of s along which the sides are parted", low=0)
    threshold: float = option(0.0, "where the upper side begins, in the unit of the coordinate")
    weights: tuple[float, ...] = option(
        (1.0, 1.0), "mass of the lower and the upper side, in any unit", low=0.0
    )

    def __post_init__(self) -> None:
        """Check that both sides have a weight."""
        super().__post_init__()
        if len(self.weights) != 2 or not all(0.0 < weight < math.inf for weight in self.weights):
            raise ConfigError(
                f"target.halves.weights is {self.weights}, expected two positive numbers: the "
                "mass of the lower and of the upper side"
            )


class Skirt(nn.Module):
    """How log p* falls outside a box: by `drop`, then by `slope` nats for each width.

    The distance is the sum over the coordinates, each in widths of the box, so that the way back
    is rewarded along every coordinate that is outside. Nothing falls off along an angle.
    """

    def __init__(self, space: StateSpace, box: BoxConfig) -> None:
        super().__init__()
        if len(box.low) != space.num_linear:
            raise ConfigError(
                f"target.box.low and high have {len(box.low)} entries, but the matched state has "
                f"{space.num_linear} linear coordinates (and {space.num_circular} angles, which "
                "take none); give one entry for each"
            )
        self.space, self.box = space, box
        self.low = nn.Buffer(torch.tensor(box.low))
        self.high = nn.Buffer(torch.tensor(box.high))
        self._width = nn.Buffer(self.high - self.low)

    def depth(self, state: Tensor) -> Tensor:
        """Return by how many nats log p* is lower than in the box, (...) from s (..., size)."""
        linear, _ = self.space.split(state)
        beyond = torch.maximum(self.low - linear, linear - self.high).clamp_min(0.0)
        distance = (beyond / self._width).sum(-1)
        return self.box.drop * (distance > 0) + self.box.slope * distance


class BoxTarget(nn.Module):
    """Uniform on a box, or on each of its two sides; falls off outside as `Skirt` says.

    Normalised exactly, the little mass outside included.
    """

    is_normalised = True

    def __init__(
        self, space: StateSpace, box: BoxConfig, halves: HalvesConfig | None = None
    ) -> None:
        super().__init__()
        self.skirt = Skirt(space, box)
        ends = [*zip(box.low, box.high, strict=True), *[(-math.pi, math.pi)] * space.num_circular]
        self._coordinate = halves.coordinate if halves else 0
        if self._coordinate >= space.size:
            raise ConfigError(
                f"target.halves.coordinate is {self._coordinate}, but the matched state has "
                f"{space.size} coordinates; expected 0 to {space.size - 1}"
            )
        low, high = ends[self._coordinate]
        self._threshold = halves.threshold if halves else (low + high) / 2
        if not low < self._threshold < high:
            raise ConfigError(
                f"target.halves.threshold is {self._threshold}, expected within the box, "
                f"between {low} and {high} for coordinate {self._coordinate}"
            )
        weights = halves.weights if halves else (1.0, 1.0)
        extents = (self._threshold - low, high - self._threshold)
        sides = [w / sum(weights) / e for w, e in zip(weights, extents, strict=True)]
        is_linear = self._coordinate < space.num_linear
        faces = sum(sides) * (high - low) if is_linear else 0.0
        volume = math.prod(high - low for low, high in ends) / (high - low)
        others = space.num_linear - is_linear
        total = volume * _mass(faces, others, box)
        self._log_sides = nn.Buffer(torch.tensor([math.log(side / total) for side in sides]))

    def log_prob(self, state: Tensor) -> Tensor:
        """Return the log-density in nats, (...) from s (..., size)."""
        is_upper = (state[..., self._coordinate] >= self._threshold).long()
        return self._log_sides[is_upper] - self.skirt.depth(state)


def _mass(faces: float, others: int, box: BoxConfig) -> float:
    """Return the mass of box and skirt where the box has 1.

    Without the drop the density would be a product: along a coordinate, 1 inside and
    exp(-slope x) beyond each face; `faces` is the density at the two faces of the parted
    coordinate times its width, 2 where it is uniform.
    """
    whole = (1.0 + faces / box.slope) * (1.0 + 2.0 / box.slope) ** others
    return 1.0 + math.exp(-box.drop) * (whole - 1.0)
