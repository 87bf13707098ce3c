"""A histogram as a density: counts of all states visited, exact and normalised."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smm_core.config import Config, ConfigError, option
from smm_core.generators import Generators
from smm_core.state_space import StateSpace

MAX_CELLS = 10_000_000
"""Most cells of one run, all skills together: 40 MB of counts."""
TURN = 2 * math.pi
UNIFORM, LINEAR = "uniform", "linear"


@dataclass(frozen=True)
class HistogramConfig(Config):
    """Histogram over a grid of the matched state, one for each skill."""

    bins: tuple[int, ...] = option(
        (32,), "bins of each coordinate, the linear ones first; one number serves all", low=1
    )
    low: tuple[float, ...] = option(
        (), "where the grid of each linear coordinate begins; none: it grows with the states"
    )
    high: tuple[float, ...] = option((), "where the grid of each linear coordinate ends")
    pseudo_count: float = option(
        0.1, "states taken as seen in each cell beforehand, so that none has density 0", low=1e-9
    )
    rule: str = option(
        UNIFORM,
        "'uniform': all states count alike, 'linear': the i-th counts i, so that the density is"
        " that of the policies averaged by history.rule 'linear'",
        choices=(UNIFORM, LINEAR),
    )


class Histogram(nn.Module):
    """A piecewise constant density over a grid of the matched state, one for each skill.

    Every state given to `observe` counts once, so the density is that of all states visited, and
    `fit` has nothing to do. By the rule 'linear' the i-th state of a run counts i times, and
    `pseudo_count` is in states that count as the newest does. Angles are cut into `bins` equal
    arcs. A linear coordinate has `bins` equal cells within its grid and an open cell at either
    end, where the density falls with the square of the distance: it is a density on the whole
    line, and a state anywhere has a finite log-density. Where `low` and `high` are not given, the
    grid covers all states observed: it starts as the range of the first batch, and a state outside
    doubles it, which adds the counts of two neighbouring cells and loses no state. One far state
    then makes all cells coarse.
    """

    is_exact = True

    def __init__(
        self, generators: Generators, space: StateSpace, skill_size: int, config: HistogramConfig
    ) -> None:
        super().__init__()
        self.space, self.config = space, config
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        runs, linear = len(generators), space.num_linear
        self.bins = _one_each("bins", config.bins, space.size)
        self.grows = not config.low and not config.high
        self.shape = [n + 2 if i < linear else n for i, n in enumerate(self.bins)]
        self._bins = bins = torch.tensor(self.bins)
        self._linear_bins, self._arcs = bins[:linear], bins[linear:]
        self._log_arcs = (TURN / self._arcs).log().sum()
        self.skills, self.cells = max(1, skill_size), math.prod(self.shape)
        self._check()
        low, high = _range(config, linear)
        self.low = nn.Buffer(low.expand(runs, -1).clone())
        self.width = nn.Buffer((high - low).expand(runs, -1).clone())
        is_linear = config.rule == LINEAR
        kind = torch.int64 if is_linear else torch.int32
        self.counts = nn.Buffer(torch.zeros(runs, self.skills, *self.shape, dtype=kind))
        self.totals = nn.Buffer(torch.zeros(runs, self.skills, dtype=torch.long))
        self.seen = nn.Buffer(torch.zeros(1, dtype=torch.long)) if is_linear else None

    def _check(self) -> None:
        if self.skills * self.cells > MAX_CELLS:
            raise ConfigError(
                f"histogram.bins {self.bins} make {self.cells} cells for each of {self.skills} "
                f"skills, expected at most {MAX_CELLS} together; use fewer bins, or a model whose "
                "size does not grow with the coordinates"
            )
        odd = [n for n in self.bins[: self.space.num_linear] if n % 2]
        if self.grows and odd:
            raise ConfigError(
                f"histogram.bins is {odd[0]} for a linear coordinate, expected an even number; "
                "or give histogram.low and histogram.high"
            )

    @torch.no_grad()
    def observe(self, state: Tensor, skill_onehot: Tensor) -> None:
        """Count states, (R, B, size), in their order."""
        if self.grows and self.space.num_linear:
            self._cover(self.space.split(state)[0].double())
        row, flat = self._row(skill_onehot), self.counts.view(len(state), -1)
        index = row * self.cells + self._cell(state)[0]
        weight = torch.ones_like(index)
        if self.seen is not None:
            weight = weight.cumsum(1) + self.seen
            self.seen.add_(index.shape[1])
        flat.scatter_add_(1, index, weight.to(flat.dtype))
        self.totals.scatter_add_(1, row, weight)

    @property
    def _prior(self) -> float | Tensor:
        """What is added to each count."""
        newest = 1 if self.seen is None else self.seen.clamp_min(1).double()
        return self.config.pseudo_count * newest

    def fit(self, state: Tensor, skill_onehot: Tensor, generators: Generators) -> Tensor:
        """Return log q_z(s) in nats, (R, B); what is learnt is learnt by `observe`."""
        return self.log_prob(state, skill_onehot, generators)

    @torch.no_grad()
    def log_prob(self, state: Tensor, skill_onehot: Tensor, generators: Generators) -> Tensor:
        """Return log q_z(s) in nats, exactly, (R, B)."""
        cell, log_volume = self._cell(state)
        row = self._row(skill_onehot)
        count = self.counts.view(len(state), -1).gather(1, row * self.cells + cell)
        prior = self._prior
        share = (count.double() + prior) / (self.totals.gather(1, row) + prior * self.cells)
        return (share.log() - log_volume).float()

    @torch.no_grad()
    def sample(self, skill_onehot: Tensor, generators: Generators) -> Tensor:
        """Draw a cell by its probability and a state within it, (R, B, size)."""
        runs, batch = skill_onehot.shape[:2]
        row, within = self._row(skill_onehot), generators.uniform(batch, 1 + self.space.size)
        mass = (self.counts.double() + self._prior).view(runs, -1).cumsum(1)
        ends = mass[:, self.cells - 1 :: self.cells]
        before = torch.cat((ends.new_zeros(runs, 1), ends), 1).gather(1, row)
        wanted = before + within[..., 0] * (ends.gather(1, row) - before)
        flat = torch.searchsorted(mass, wanted, right=True)
        # Rounding may carry a draw over the last cell of its skill.
        flat = (flat - row * self.cells).clamp_max(self.cells - 1)
        cell = torch.stack(_unravel(flat, self.shape), -1)
        return self._within(cell, within[..., 1:].double()).float()

    def _row(self, skill_onehot: Tensor) -> Tensor:
        """Return the skills, (R, B): zero where there is one."""
        if self.skills == 1:
            return torch.zeros(
                skill_onehot.shape[:2], dtype=torch.long, device=skill_onehot.device
            )
        return skill_onehot.argmax(-1)

    def _cell(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return the index of each state's cell, (R, B), and log of minus its density there.

        The second is the logarithm of the cell's volume; in an open cell of the ends it is that
        of (width + distance)^2 / width, since width / (width + distance)^2 integrates to one.
        """
        linear, angles = self.space.split(state.double())
        place, log_volume = self._arc(angles), self._log_arcs
        if self.space.num_linear:
            column, log_size = self._column(linear)
            place, log_volume = torch.cat((column, place), -1), log_volume + log_size.sum(-1)
        cell, *others = place.long().unbind(-1)
        for index, size in zip(others, self.shape[1:], strict=True):
            cell = cell * size + index
        return cell, log_volume

    def _arc(self, angles: Tensor) -> Tensor:
        """Return which arc each angle is on, (R, B, num_circular)."""
        turn = torch.remainder((angles + math.pi) / TURN, 1.0)
        return torch.minimum((turn * self._arcs).floor(), self._arcs - 1)

    def _column(self, linear: Tensor) -> tuple[Tensor, Tensor]:
        """Return each linear coordinate's cell and the log of its size, (R, B, num_linear)."""
        low, width, bins = self.low.unsqueeze(1), self.width.unsqueeze(1), self._linear_bins
        place = (linear - low) / width
        column = torch.minimum((place * bins).floor().clamp_min(-1), bins) + 1
        beyond = torch.relu((place - 0.5).abs() - 0.5)
        inside = (column > 0) & (column <= bins)
        return column, width.log() + torch.where(inside, -bins.log(), 2 * beyond.log1p())

    def _within(self, cell: Tensor, share: Tensor) -> Tensor:
        """Return the state (R, B, size) at `share` in [0, 1) of each coordinate's cell."""
        linear = self.space.num_linear
        bins = self._bins
        column, share_of_column = cell[..., :linear] - 1, share[..., :linear]
        place = (column + share_of_column) / bins[:linear]
        # The share of an open cell within the distance d is d / (width + d).
        distance = share_of_column / (1.0 - share_of_column)
        place = torch.where(column < 0, -distance, place)
        place = torch.where(column == bins[:linear], 1.0 + distance, place)
        states = self.low.unsqueeze(1) + place * self.width.unsqueeze(1)
        angles = (cell[..., linear:] + share[..., linear:]) / bins[linear:] * TURN - math.pi
        return torch.cat((states, angles), -1)

    def _cover(self, linear: Tensor) -> None:
        """Let each run's grid cover states (R, B, num_linear), keeping all counts."""
        least, most = linear.amin(1), linear.amax(1)
        if not self.totals.any():
            # The least width is far below any detail, and far above a float32's resolution.
            tiny = 1e-6 + 1e-5 * least.abs()
            self.low.copy_(least)
            self.width.copy_(torch.maximum((most - least) * (1 + 1e-6), tiny))
        while True:
            too_low, too_high = least < self.low, most >= self.low + self.width
            if not (too_low | too_high).any():
                return
            for coordinate in range(self.space.num_linear):
                self._double(coordinate, too_low[:, coordinate], too_high[:, coordinate])
            self.low.sub_(too_low * self.width)
            self.width.mul_(1.0 + (too_low | too_high))

    def _double(self, coordinate: int, downwards: Tensor, upwards: Tensor) -> None:
        """Halve the resolution of a coordinate in the runs, (R,) bool, whose grid doubles."""
        bins = self.bins[coordinate]
        for run in (downwards | upwards).nonzero().flatten():
            counts = self.counts[run].transpose(0, coordinate + 1)
            halved = counts[1:-1].unflatten(0, (bins // 2, 2)).sum(1).to(counts.dtype)
            # The grid covers all states, but rounding may put one at its edge into an open cell.
            halved[0] += counts[0]
            halved[-1] += counts[-1]
            begin = 1 + bins // 2 if downwards[run] else 1
            counts.zero_()
            counts[begin : begin + bins // 2] = halved


def _unravel(flat: Tensor, shape: list[int]) -> list[Tensor]:
    indices = []
    for size in reversed(shape):
        indices.append(flat % size)
        flat = flat // size
    return indices[::-1]


def _one_each(name: str, values: tuple, count: int) -> tuple:
    """Return one value for each coordinate: those given, or one given for all."""
    if len(values) == 1:
        return values * count
    if len(values) != count:
        raise ConfigError(
            f"histogram.{name} is {values}, expected one number for each of {count} coordinates"
        )
    return values


def _range(config: HistogramConfig, linear: int) -> tuple[Tensor, Tensor]:
    """Return both ends of the grid, (1, num_linear) each; any range where it is to grow."""
    ends = (config.low, config.high)
    if not any(ends):
        ends = ((0.0,), (1.0,))
    low, high = _one_each("low", ends[0], linear), _one_each("high", ends[1], linear)
    if not all(-math.inf < a < b < math.inf for a, b in zip(low, high, strict=True)):
        raise ConfigError(
            f"histogram.low is {config.low} and histogram.high {config.high}, expected finite "
            "numbers, each low below its high"
        )
    return torch.tensor([low], dtype=torch.float64), torch.tensor([high], dtype=torch.float64)
