"""A symmetry of the robot, by which each transition stands for several."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from smm_core.config import Config, ConfigError, option
from smm_core.generators import Generators
from smm_core.replay import Batch
from smm_core.transitions import Layout


@dataclass(frozen=True)
class SymmetryConfig(Config):
    """Alike parts in a ring, and what turns in their middle and looks the same after 1 / order."""

    order: int = option(1, "number of alike parts; 1: no symmetry is used", low=1)
    obs: tuple[int, ...] = option(
        (), "observation entries of the first part, those of the next one, and so on", low=0
    )
    action: tuple[int, ...] = option((), "action entries, in the same way", low=0)
    angles: tuple[int, ...] = option(
        (), "observation entries (cos, sin, ...) of the angles that turn in the middle", low=0
    )


class Symmetry:
    """Replaces transitions by others that would have been seen as well.

    The robot turned by some parts, and what it holds turned by some of its own steps of
    1 / order of a turn, moves as before: the parts change their places, and the angle is another.
    The environment's reward has to be the same for all of them. Learning from such transitions
    beside those seen is as in Lin et al., Invariant Transform Experience Replay (2020).
    """

    def __init__(self, config: SymmetryConfig, layout: Layout) -> None:
        """Check the entries; raises ConfigError for some that do not fit."""
        self.order = config.order
        self._check(config, layout)
        self._obs = self._places(config.obs, layout.obs_size)
        self._action = self._places(config.action, layout.action_size)
        angles = torch.tensor(config.angles, dtype=torch.long)
        self._cos, self._sin = angles[0::2], angles[1::2]

    def turned(self, batch: Batch, generators: Generators) -> Batch:
        """Return each row as one of its `order` squared equals, drawn evenly."""
        rows = batch.obs.shape[1]
        parts = generators.integers(self.order, rows)
        turn = generators.integers(self.order, rows) * (2 * math.pi / self.order)
        cos, sin = turn.cos().unsqueeze(-1), turn.sin().unsqueeze(-1)
        return dataclasses.replace(
            batch,
            obs=self._turned_obs(batch.obs, parts, cos, sin),
            action=batch.action.gather(-1, self._action[parts]),
            next_obs=self._turned_obs(batch.next_obs, parts, cos, sin),
        )

    def _turned_obs(self, obs: Tensor, parts: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        found = obs.gather(-1, self._obs[parts])
        x, y = obs[..., self._cos], obs[..., self._sin]
        found[..., self._cos], found[..., self._sin] = cos * x - sin * y, sin * x + cos * y
        return found

    def _places(self, entries: tuple[int, ...], size: int) -> Tensor:
        """Return where each entry comes from, (order, size), after a turn by 0, 1, ... parts."""
        found = torch.arange(size).repeat(self.order, 1)
        width = len(entries) // self.order
        for parts in range(self.order):
            for place, entry in enumerate(entries):
                found[parts, entry] = entries[(place - parts * width) % len(entries)]
        return found

    def _check(self, config: SymmetryConfig, layout: Layout) -> None:
        sizes = {"obs": layout.obs_size, "action": layout.action_size, "angles": layout.obs_size}
        for name, size in sizes.items():
            entries = getattr(config, name)
            if len(set(entries)) < len(entries) or any(entry >= size for entry in entries):
                raise ConfigError(
                    f"symmetry.{name} is {entries}, expected different entries below {size}"
                )
            groups = 2 if name == "angles" else self.order
            if len(entries) % groups:
                raise ConfigError(
                    f"symmetry.{name} has {len(entries)} entries, expected a multiple of {groups}"
                )
        shared = set(config.obs) & set(config.angles)
        if shared:
            raise ConfigError(f"symmetry has entry {min(shared)} in obs and in angles")
