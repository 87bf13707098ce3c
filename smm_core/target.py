"""Target distributions p*(s), and which entries of an observation are the matched state s."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from smm_core.config import Config, ConfigError, option


@dataclass(frozen=True)
class StateConfig(Config):
    """The matched state s and its target p*(s); nothing named: the whole observation."""

    linear: tuple[int, ...] = option((), "observation entries taken into s as they are", low=0)
    circular: tuple[int, ...] = option(
        (), "observation entries (cos, sin, cos, sin, ...) taken into s as angles", low=0
    )
    target: str = option(
        "reward",
        "p*(s): 'reward' is exp(environment reward), 'uniform_circle' is uniform over all"
        " angles times exp(environment reward)",
        choices=("reward", "uniform_circle"),
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
        angles = torch.atan2(obs[..., list(self.sin)], obs[..., list(self.cos)])
        return torch.cat((obs[..., list(self.linear)], angles), -1)

    def split(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return the linear coordinates and the angles (rad) of s."""
        return state[..., : self.num_linear], state[..., self.num_linear :]

    def features(self, state: Tensor) -> Tensor:
        """Return s as a network should see it, (..., feature_size): no jump at +-pi."""
        linear, angles = self.split(state)
        return torch.cat((linear, angles.cos(), angles.sin()), -1)


class Target:
    """log p*(s) in nats: a reference density times exp(environment reward), unnormalised."""

    def __init__(self, config: StateConfig, space: StateSpace) -> None:
        if config.target == "uniform_circle" and (space.num_linear or not space.num_circular):
            raise ConfigError(
                "state.target 'uniform_circle' needs a matched state of angles only; "
                "name them in state.circular"
            )
        uniform = config.target == "uniform_circle"
        self.log_reference = -space.num_circular * math.log(2 * math.pi) if uniform else 0.0

    def log_prob(self, reward: Tensor) -> Tensor:
        """Return log p*(s) up to a constant, of the shape of the environment's reward (nats)."""
        return reward + self.log_reference
