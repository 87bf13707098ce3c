"""State marginals by bins: their entropy, and how far they are from a target.

All figures are of the plug-in distribution counts / N. Its entropy is too low by about
(bins occupied - 1) / (2 N) nats (Miller and Madow), more where states of an episode are alike;
its divergences are too high for the same reason. Compare figures of equal N and equal bins only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from smm_core.config import Config, ConfigError, from_mapping, option

C = TypeVar("C", bound="Overrides")

Array = NDArray[np.float64]
Counts = NDArray[np.integer]
LogDensity = Callable[[NDArray[np.float32]], Array]
"""From observations (N, obs_size) to log p*(s) in nats up to a constant, (N,)."""

MOST_BINS = 5_000_000
"""Bins of a grid over which a target can be normalised."""

TARGET_FLOOR = 1e-6
"""Share of the target spread evenly over all bins: where p* is 0 a divergence stays finite."""

_CHUNK, _MOST_POINTS = 100_000, 2_000_000


@dataclass(frozen=True)
class Overrides(Config):
    """Settings that an environment may tell too; they remember which of them were given."""

    def __new__(cls: type[C], *values: Any, **named: Any) -> C:
        """Note the names given: a value equal to the default may have been given or not."""
        made = object.__new__(cls)
        in_order = [field.name for field in fields(cls)][: len(values)]
        object.__setattr__(made, "_given", (*in_order, *named))
        return made

    def over(self: C, told: Mapping[str, Any], where: str) -> C:
        """Return what the environment told in its `where`, but for the settings given here.

        Raises ConfigError where both together do not fit.
        """
        given: tuple[str, ...] = getattr(self, "_given", ())
        try:
            return from_mapping(type(self), {**told, **{n: getattr(self, n) for n in given}})
        except ConfigError as error:
            raise ConfigError(f"{error} (of the options and the environment's {where})") from error


@dataclass(frozen=True)
class BinsConfig(Overrides):
    """The coordinates that are counted in bins; what is not named the environment says.

    Coordinates are the linear entries first, then the angles, as in the matched state.
    """

    names: tuple[str, ...] = option((), "names of the coordinates")
    entries: tuple[int, ...] = option((), "observation entries counted as they are", low=0)
    low: tuple[float, ...] = option((), "lower bound of each entry")
    high: tuple[float, ...] = option((), "upper bound of each entry")
    circular: tuple[int, ...] = option(
        (), "observation entries (cos, sin, cos, sin, ...) counted as angles", low=0
    )
    bin_width: tuple[float, ...] = option((), "width of the bins: one for all or one for each")

    def __post_init__(self) -> None:
        """Check that the lists fit together."""
        super().__post_init__()
        if len(self.circular) % 2:
            raise ConfigError(f"bins.circular is {self.circular}, expected pairs (cos, sin)")
        count = len(self.entries) + len(self.circular) // 2
        linear = len(self.entries)
        expected = {"low": linear, "high": linear, "names": count, "bin_width": count}
        for name, length in expected.items():
            found = len(getattr(self, name))
            is_for_all = name == "bin_width" and found == 1
            # Without coordinates these are only changes to what the environment says.
            if count and found != length and not is_for_all:
                raise ConfigError(
                    f"bins.{name} has {found} values, expected {length}: one for each of "
                    f"entries {self.entries} and angles {self.circular}"
                )
        if not all(width > 0 for width in self.bin_width):
            raise ConfigError(f"bins.bin_width is {self.bin_width}, expected positive numbers")
        for low, high in zip(self.low, self.high, strict=False):
            if not -math.inf < low < high < math.inf:
                raise ConfigError(f"bins range from {low} to {high}, expected low < high")

    def only(self, names: tuple[str, ...]) -> BinsConfig:
        """Return the bins of the coordinates named alone, in the order they have here."""
        unknown = [name for name in names if name not in self.names]
        if unknown:
            known = ", ".join(self.names) or "none"
            raise ConfigError(f"no coordinate {unknown[0]!r} to count in bins; known: {known}")
        kept = [i for i, name in enumerate(self.names) if name in names]
        linear = [i for i in kept if i < len(self.entries)]
        angles = [i - len(self.entries) for i in kept if i >= len(self.entries)]
        widths = self.bin_width * (len(self.names) if len(self.bin_width) == 1 else 1)
        return BinsConfig(
            names=tuple(self.names[i] for i in kept),
            entries=tuple(self.entries[i] for i in linear),
            low=tuple(self.low[i] for i in linear),
            high=tuple(self.high[i] for i in linear),
            circular=tuple(e for a in angles for e in self.circular[2 * a : 2 * a + 2]),
            bin_width=tuple(widths[i] for i in kept),
        )


class Bins:
    """A grid over coordinates of the observation."""

    def __init__(self, config: BinsConfig, obs_size: int) -> None:
        if not config.names:
            raise ConfigError(
                "there are no bins: the environment names none; give names, entries, low, high "
                "and bin_width"
            )
        outside = [i for i in config.entries + config.circular if i >= obs_size]
        if outside:
            raise ConfigError(f"bins entry {outside[0]} is outside the observation of {obs_size}")
        self.names, self.entries = config.names, config.entries
        self.cos, self.sin = config.circular[0::2], config.circular[1::2]
        linear = len(self.entries)
        widths = np.broadcast_to(config.bin_width, len(self.names)).tolist()
        spans = zip(config.low, config.high, widths[:linear], strict=True)
        self.edges = [_linear_edges(*span) for span in spans]
        """Edges along each coordinate, in its unit; angles in rad from -pi."""
        self.edges += [_angle_edges(width) for width in widths[linear:]]
        self.shape = tuple(len(edges) - 1 for edges in self.edges)
        """Bins along each coordinate."""
        self._low = np.array([edges[0] for edges in self.edges])
        self._high = np.array([edges[-1] for edges in self.edges])
        self._widths = (self._high - self._low) / self.shape
        self._obs_size = obs_size

    @property
    def size(self) -> int:
        """Number of bins."""
        return math.prod(self.shape)

    @property
    def max_entropy(self) -> float:
        """Largest entropy that a distribution over the bins can have, nats."""
        return math.log(self.size)

    def coordinates(self, obs: NDArray[np.floating]) -> Array:
        """Return the coordinates (N, dimensions) of observations (N, obs_size); angles in rad."""
        angles = np.arctan2(obs[:, list(self.sin)], obs[:, list(self.cos)])
        return np.concatenate((obs[:, list(self.entries)], angles), axis=1, dtype=np.float64)

    def index(self, obs: NDArray[np.floating]) -> NDArray[np.int64]:
        """Return the bin (N,) of each observation (N, obs_size); -1 outside the grid."""
        values = self.coordinates(obs)
        # Both ends belong to the grid, and a float32 may lie beyond one by its rounding.
        slack = 1e-6 * (self._high - self._low)
        inside = ((values >= self._low - slack) & (values <= self._high + slack)).all(1)
        cell = np.floor((values[inside] - self._low) / self._widths).astype(np.int64)
        cell = np.clip(cell, 0, np.array(self.shape) - 1)
        flat = np.full(len(values), -1)
        flat[inside] = np.ravel_multi_index(tuple(cell.T), self.shape)
        return flat

    def log_target(self, log_density: LogDensity) -> Array | None:
        """Return the target's log-probability (size,) of each bin, normalised over the bins.

        The density is averaged over points spread evenly in each bin. It gets observations that
        are NaN in every entry that is not counted, since nothing is known of those; None where
        it can not do without them, or where there are more than MOST_BINS bins.
        """
        if self.size > MOST_BINS:
            return None
        parts = [self._log_mean(log_density, cells) for cells in self._chunks()]
        log_mass: Array = np.concatenate(parts)
        if np.isnan(log_mass).any() or not np.isfinite(log_mass).any():
            return None
        largest = float(log_mass.max())
        log_mass -= largest + math.log(float(np.exp(log_mass - largest).sum()))
        return log_mass

    def _log_mean(self, log_density: LogDensity, cells: NDArray[np.int64]) -> Array:
        """Return the log of the mean density over points in each of `cells` (N, dimensions)."""
        dimensions = len(self.shape)
        per_axis = max(1, min(4, int((_MOST_POINTS / self.size) ** (1 / dimensions))))
        within = (np.indices((per_axis,) * dimensions).reshape(dimensions, -1).T + 0.5) / per_axis
        logs = [np.float64(log_density(self._obs_at(cells + shift))) for shift in within]
        with np.errstate(invalid="ignore"):  # NaN where the density needs what is not known
            return np.asarray(np.logaddexp.reduce(logs) - math.log(len(within)))

    def _chunks(self) -> Iterator[NDArray[np.int64]]:
        for start in range(0, self.size, _CHUNK):
            flat = np.arange(start, min(start + _CHUNK, self.size))
            yield np.stack(np.unravel_index(flat, self.shape), axis=1)

    def _obs_at(self, cells: Array) -> NDArray[np.float32]:
        values = self._low + cells * self._widths
        obs = np.full((len(values), self._obs_size), np.nan, np.float32)
        linear = len(self.entries)
        obs[:, list(self.entries)] = values[:, :linear]
        obs[:, list(self.cos)] = np.cos(values[:, linear:])
        obs[:, list(self.sin)] = np.sin(values[:, linear:])
        return obs


def _linear_edges(low: float, high: float, width: float) -> Array:
    """Return edges from `low` on; the last bin may reach beyond `high`."""
    count = max(1, math.ceil((high - low) / width - 1e-6))
    return np.linspace(low, low + count * width, count + 1)


def _angle_edges(width: float) -> Array:
    """Return edges all around the circle from -pi rad, in bins of about `width`."""
    return np.linspace(-math.pi, math.pi, max(1, round(2 * math.pi / width)) + 1)


@dataclass(frozen=True)
class Marginal:
    """How often each bin was visited; only bins that were are kept."""

    bins: Bins
    index: NDArray[np.int64]
    """(occupied,), flat and ascending"""
    counts: Counts
    """(occupied,)"""
    outside: int
    """States beyond the grid; no figure counts them."""

    @classmethod
    def of(cls, bins: Bins, obs: NDArray[np.floating]) -> Marginal:
        """Count observations (N, obs_size)."""
        index, counts = np.unique(bins.index(obs), return_counts=True)
        inside = index >= 0
        return cls(bins, index[inside], counts[inside], int(counts[~inside].sum()))

    @property
    def total(self) -> int:
        """Number of states counted."""
        return int(self.counts.sum())

    @property
    def outside_share(self) -> float:
        """Share of all states that were beyond the grid."""
        return self.outside / max(1, self.outside + self.total)

    @property
    def entropy(self) -> float:
        """Plug-in entropy in nats; NaN where nothing was counted."""
        return entropy(self.counts)

    @property
    def bias(self) -> float:
        """About how many nats the entropy is too low: (occupied - 1) / (2 total)."""
        return (len(self.counts) - 1) / (2 * self.total) if self.total else math.nan

    def smoothed(self) -> Array:
        """Return the distribution (size,), one pseudo-count spread evenly over all bins."""
        mass = np.full(self.bins.size, 1.0 / self.bins.size)
        mass[self.index] += self.counts
        return mass / mass.sum()

    def divergences(self, log_target: Array) -> dict[str, float]:
        """Return KL both ways (nats) and total variation to the target of `Bins.log_target`.

        So that all are finite the marginal is smoothed by one pseudo-count in all and the target
        by TARGET_FLOOR: a bin never visited, or one where p* is 0, counts much but not all.
        """
        if not self.total:
            return {
                "kl_target_policy": math.nan,
                "kl_policy_target": math.nan,
                "total_variation": math.nan,
            }
        rho = self.smoothed()
        target = (1 - TARGET_FLOOR) * np.exp(log_target) + TARGET_FLOOR / self.bins.size
        return {
            "kl_target_policy": kl(target, rho),
            "kl_policy_target": kl(rho, target),
            "total_variation": total_variation(rho, target),
        }


def entropy(counts: Counts | Array) -> float:
    """Return the entropy in nats of counts or masses, as shares of all; NaN where all are 0."""
    total = counts.sum()
    if not total:
        return float("nan")
    share = counts[counts > 0] / total
    return float(-(share * np.log(share)).sum())


def kl(p: Array, q: Array) -> float:
    """Return KL(p || q) in nats of two distributions over the same bins; inf where q lacks p."""
    some = p > 0
    with np.errstate(divide="ignore"):
        return float((p[some] * (np.log(p[some]) - np.log(q[some]))).sum())


def total_variation(p: Array, q: Array) -> float:
    """Return the total variation distance of two distributions, in [0, 1]."""
    return float(np.abs(p - q).sum() / 2)
