"""Count-based exploration: states are paid for by how seldom their bin of a histogram was entered.

Sources: the Count baseline of the paper (appendix D.2, Table 3), whose two published forms differ;
Strehl and Littman, An Analysis of Model-Based Interval Estimation (2008), for 1 / sqrt(n).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smm_core.config import Config, ConfigError, option
from smm_core.counter_generators import GOLDEN, as_int64
from smm_core.generators import Generators
from smm_core.objectives.objective import Bonus
from smm_core.replay import Batch
from smm_core.state_space import StateSpace
from smm_core.transitions import Layout

INVERSE_SQRT, LOG = "inverse_sqrt", "log"
SLOTS = 16
"""Bins that share a bucket of the table."""


@dataclass(frozen=True)
class CountConfig(Config):
    """Which bins are counted, and what a count is worth (Table 3)."""

    form: str = option(
        INVERSE_SQRT,
        "what n visits among N pay: 'inverse_sqrt' 1 / sqrt(n), 'log' minus the log-density"
        " log(n / (N volume of a bin)) in nats",
        choices=(INVERSE_SQRT, LOG),
    )
    coefficient: float = option(10.0, "weight of the bonus", low=0.0)
    bin_width: tuple[float, ...] = option(
        (0.05,), "width of the bins, one for all counted coordinates or one for each", low=1e-6
    )
    coordinates: tuple[int, ...] = option(
        (), "coordinates of s that are counted, by place; none named: all", low=0
    )


class Count(Bonus):
    """Counts each state reached once, in bins without end: exact, and each run for itself."""

    def __init__(
        self,
        generators: Generators,
        layout: Layout,
        space: StateSpace,
        target_weight: float,
        config: CountConfig,
    ) -> None:
        super().__init__(target_weight, config.coefficient)
        self.config = config
        self.bins = Bins(space, config.coordinates, config.bin_width)
        self.visits = VisitTable(len(generators))
        self.total = nn.Buffer(torch.zeros(len(generators), 1, dtype=torch.int64))

    def observe(self, state: Tensor, skill_onehot: Tensor) -> None:
        """Count states reached for the first time, (R, B, size)."""
        self.visits.add(self.bins.key(state))
        self.total.add_(state.shape[1])

    def paid(self, batch: Batch, state: Tensor) -> Tensor:
        """Return the bonus of the states: one drawn again from the replay is not visited again."""
        return self.bonus(state)

    def count(self, state: Tensor) -> Tensor:
        """Return how often the bin of each state was entered, (R, B) int64."""
        return self.visits.count(self.bins.key(state))

    def bonus(self, state: Tensor) -> Tensor:
        """Return the chosen form of the bonus, (R, B); a bin never entered pays as entered once.

        The log form is minus the histogram's log-density, in nats per unit of the counted
        coordinates: it integrates to one over the bins entered.
        """
        entered = self.count(state).clamp_min(1).float()
        if self.config.form == INVERSE_SQRT:
            return entered.rsqrt()
        return self.total.clamp_min(1).float().log() + self.bins.log_volume - entered.log()


class Bins:
    """Bins of equal size over the counted coordinates, each known by one 64-bit key.

    Bins start at 0. An angle's width is rounded so that whole bins fill the circle. The key of one
    coordinate is never shared; with more, two of a million bins share one with probability 3e-8.
    """

    def __init__(
        self, space: StateSpace, coordinates: tuple[int, ...], bin_width: tuple[float, ...]
    ) -> None:
        chosen = coordinates or range(space.size)
        if max(chosen) >= space.size:
            raise ConfigError(
                f"count.coordinates is {coordinates}, expected places below {space.size} in s"
            )
        size = len(chosen)
        if len(bin_width) not in (1, size):
            raise ConfigError(
                f"count.bin_width has {len(bin_width)} widths, expected 1 or {size}, one for each"
                " counted coordinate"
            )
        widths, periods = list(bin_width) * (size // len(bin_width)), [2**62] * size
        for place, coordinate in enumerate(chosen):
            # A linear coordinate's period is longer than any index.
            if coordinate >= space.num_linear:
                periods[place] = max(1, round(2 * math.pi / widths[place]))
                widths[place] = 2 * math.pi / periods[place]
        self.coordinates = torch.tensor(chosen)
        self.width = torch.tensor(widths, dtype=torch.float64)
        self.period = torch.tensor(periods)
        self.log_volume = sum(math.log(width) for width in widths)
        self._factors = torch.tensor([as_int64(GOLDEN ** (place + 1)) for place in range(size)])

    def key(self, state: Tensor) -> Tensor:
        """Return the key of each state's bin, (R, B) int64."""
        index = (state.index_select(-1, self.coordinates) / self.width).floor().long()
        return (index.remainder(self.period) * self._factors).sum(-1)


class VisitTable(nn.Module):
    """How often each key was added, for R runs: a hash table in tensors, read without a loop.

    A key's bucket of SLOTS places is read whole, whatever the size of the table; when a bucket is
    full the table doubles. It takes some 50 to 100 bytes for each distinct key.
    """

    def __init__(self, runs: int) -> None:
        super().__init__()
        self.keys: Tensor = nn.Buffer(torch.zeros(runs, 64, SLOTS, dtype=torch.int64))
        self.counts: Tensor = nn.Buffer(torch.zeros_like(self.keys))

    def count(self, key: Tensor) -> Tensor:
        """Return how often each key (R, B) was added to its run, (R, B)."""
        run = torch.arange(len(key), device=key.device).unsqueeze(1)
        bucket = self._bucket(key)
        same = self.keys[run, bucket] == key.unsqueeze(-1)
        # An empty place counts 0, whatever its key.
        return (self.counts[run, bucket] * same).sum(-1)

    def add(self, key: Tensor) -> None:
        """Count each key (R, B) once more in its run."""
        run = torch.arange(len(key), device=key.device).unsqueeze(1).expand_as(key)
        pairs = torch.stack((run.flatten(), key.flatten()))
        (run, key), times = torch.unique(pairs, dim=1, return_counts=True)
        bucket = self._bucket(key)
        same = (self.keys[run, bucket] == key.unsqueeze(-1)) & (self.counts[run, bucket] > 0)
        self.counts.index_put_((run, bucket), same * times.unsqueeze(-1), accumulate=True)
        new = ~same.any(-1)
        if new.any():
            self._insert(run[new], key[new], times[new])

    def _bucket(self, key: Tensor) -> Tensor:
        mixed = (key ^ (key >> 29)) * as_int64(GOLDEN)
        return (mixed >> 24) & (self.keys.shape[1] - 1)

    def _insert(self, run: Tensor, key: Tensor, times: Tensor) -> None:
        """Put keys that are not in the table, each named once, into the next free places."""
        while not self._put(run, key, times):
            held = self.counts.nonzero(as_tuple=True)
            entries = (held[0], self.keys[held], self.counts[held])
            self._resize(2 * self.keys.shape[1])
            self._insert(*entries)

    def _put(self, run: Tensor, key: Tensor, times: Tensor) -> bool:
        row, order = (run * self.keys.shape[1] + self._bucket(key)).sort()
        rank = torch.arange(len(row), device=row.device) - torch.searchsorted(row, row)
        place = (self.counts.view(-1, SLOTS)[row] > 0).sum(-1) + rank
        if (place >= SLOTS).any():
            return False
        self.keys.view(-1, SLOTS)[row, place] = key[order]
        self.counts.view(-1, SLOTS)[row, place] = times[order]
        return True

    def _resize(self, buckets: int) -> None:
        self.keys = self.keys.new_zeros(len(self.keys), buckets, SLOTS)
        self.counts = torch.zeros_like(self.keys)

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: object
    ) -> None:
        """Take the saved table's size before its content."""
        saved = state_dict.get(f"{prefix}keys")
        if saved is not None:
            self._resize(saved.shape[1])
        super()._load_from_state_dict(state_dict, prefix, *args)
