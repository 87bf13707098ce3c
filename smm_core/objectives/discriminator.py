"""The skill discriminator d(z|s) of SM4: which skill visits this state?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smm_core.config import Config, option
from smm_core.generators import Generators
from smm_core.networks import descend, mlp
from smm_core.state_space import StateSpace


@dataclass(frozen=True)
class DiscriminatorConfig(Config):
    """Network and optimiser of d(z|s)."""

    hidden: tuple[int, ...] = option((300, 300), "widths of the hidden layers", low=1)
    learning_rate: float = option(1e-3, "Adam's step size", low=0.0)


class Discriminator(nn.Module):
    """A classifier of skills from states, trained by maximum likelihood (Algorithm 2, step 2)."""

    def __init__(
        self, generators: Generators, space: StateSpace, skills: int, config: DiscriminatorConfig
    ) -> None:
        super().__init__()
        self.space = space
        self.net = mlp(generators, (space.feature_size, *config.hidden, skills))
        self.optimizer = torch.optim.Adam(self.parameters(), lr=config.learning_rate, fused=True)

    def log_prob(self, state: Tensor, skill: Tensor) -> Tensor:
        """Return log d(z|s) in nats, (R, B), for states (R, B, size) and skills (R, B)."""
        return self.log_posterior(state).gather(-1, skill.unsqueeze(-1)).squeeze(-1)

    def log_posterior(self, state: Tensor) -> Tensor:
        """Return log d(z|s) of every skill in nats, (R, B, skills), for states (R, B, size)."""
        return F.log_softmax(self.net(self.space.features(state)), dim=-1)

    def fit(self, state: Tensor, skill: Tensor) -> Tensor:
        """Take one gradient step; return the cross-entropy in nats before it, (R,)."""
        return descend(self.optimizer, -self.log_prob(state, skill).mean(-1))
