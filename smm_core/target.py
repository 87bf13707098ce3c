"""Target distributions p*(s): what the visited states are to be distributed like."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from smm_core.config import Config, ConfigError, option
from smm_core.state_space import StateSpace

SUGGESTED = "suggested"


@dataclass(frozen=True)
class TargetConfig(Config):
    """The target p*(s): a reference density times exp(environment reward), unnormalised."""

    name: str = option(
        SUGGESTED,
        "reference density: 'suggested' is what the environment names, else 'reward'; 'reward' is"
        " flat: p* is exp(environment reward); 'uniform_circle' is uniform over all angles",
        choices=(SUGGESTED, "reward", "uniform_circle"),
    )


class Target:
    """log p*(s) in nats: a reference density times exp(environment reward), unnormalised."""

    def __init__(self, config: TargetConfig, space: StateSpace) -> None:
        if config.name == "uniform_circle" and (space.num_linear or not space.num_circular):
            raise ConfigError(
                "target.name 'uniform_circle' needs a matched state of angles only; "
                "name them in state.circular"
            )
        uniform = config.name == "uniform_circle"
        self._log_reference = -space.num_circular * math.log(2 * math.pi) if uniform else 0.0

    def log_prob(self, state: Tensor, reward: Tensor) -> Tensor:
        """Return log p*(s) up to a constant, (R, B) nats.

        `state` is (R, B, size); `reward` (R, B) is the environment's, a log-density in nats.
        """
        return reward + self._log_reference
