"""Which entries of an observation are the matched state s."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from smm_core.config import Config, ConfigError, option


@dataclass(frozen=True)
class StateConfig(Config):
    """The matched state s; nothing named: what the environment suggests, or all of obs."""

    linear: tuple[int, ...] = option((), "observation entries taken into s as they are", low=0)
    circular: tuple[int, ...] = option(
        (), "observation entries (cos, sin, cos, sin, ...) taken into s as angles", low=0
    )


class StateSpace:
    """Selects s from observations: the linear entries first, then the angles in rad."""

    def __init__(self, config: StateConfig, obs_size: int) -> None:
        if len(config.circular) % 2:
            raise ConfigError(f"state.circular is {config.circular}, expected pairs (cos, sin)")
        too_large = [i for i in config.linear + config.circular if i >= obs_size]
        if too_large:
            raise ConfigError(
                f"matched state entry {too_large[0]} is outside the observation of {obs_size}"
            )
        nothing_named = not config.linear and not config.circular
        self.linear = tuple(range(obs_size)) if nothing_named else config.linear
        self.cos, self.sin = config.circular[0::2], config.circular[1::2]
        self.num_linear, self.num_circular = len(self.linear), len(self.cos)
        self._columns = [_columns(entries) for entries in (self.linear, self.cos, self.sin)]

    @property
    def size(self) -> int:
        """Number of coordinates of s."""
        return self.num_linear + self.num_circular

    @property
    def feature_size(self) -> int:
        """Width of `features`."""
        return self.num_linear + 2 * self.num_circular

    def select(self, obs: Tensor) -> Tensor:
        """Return s, (..., size), from observations (..., obs_size)."""
        linear, cos, sin = (_taken(obs, columns) for columns in self._columns)
        return torch.cat((linear, torch.atan2(sin, cos)), -1)

    def split(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return the linear coordinates and the angles (rad) of s."""
        return state[..., : self.num_linear], state[..., self.num_linear :]

    def features(self, state: Tensor) -> Tensor:
        """Return s as a network should see it, (..., feature_size): no jump at +-pi."""
        linear, angles = self.split(state)
        return torch.cat((linear, angles.cos(), angles.sin()), -1)


def _columns(entries: tuple[int, ...]) -> list[slice]:
    """Return the entries as slices, which copy nothing: one for all of them that are in a row."""
    columns = [slice(0, 0)]
    for entry in entries:
        if columns[-1].stop == entry and columns[-1] != slice(0, 0):
            columns[-1] = slice(columns[-1].start, entry + 1)
        else:
            columns.append(slice(entry, entry + 1))
    return columns[1:] or columns


def _taken(obs: Tensor, columns: list[slice]) -> Tensor:
    if len(columns) == 1:
        return obs[..., columns[0]]
    return torch.cat([obs[..., entries] for entries in columns], -1)
