"""The skill discriminator d(z|s) of SM4: which skill visits this state?"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from smm_core.adam import Adam
from smm_core.config import Config, option
from smm_core.generators import Generators
from smm_core.mlp import MLP
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
        self.net = MLP(generators, (space.feature_size, *config.hidden, skills))
        self.optimizer = Adam(self.parameters(), config.learning_rate)

    def log_prob(self, state: Tensor, skill: Tensor) -> Tensor:
        """Return log d(z|s) in nats, (R, B), for states (R, B, size) and skills (R, B)."""
        return self.log_posterior(state).gather(-1, skill.unsqueeze(-1)).squeeze(-1)

    def log_posterior(self, state: Tensor) -> Tensor:
        """Return log d(z|s) of every skill in nats, (R, B, skills), for states (R, B, size)."""
        return F.log_softmax(self.net(self.space.features(state)), dim=-1)

    def fit(self, state: Tensor, skill: Tensor) -> Tensor:
        """Take one gradient step; return log d(z|s) in nats as it was before, (R, B)."""
        logits, gradients = self.net.passed(self.space.features(state))
        log_posterior = F.log_softmax(logits, dim=-1)
        # Of -log d(z|s) by the logits it is d less one for the skill that there was.
        error = log_posterior.exp() - F.one_hot(skill, logits.shape[-1])
        self.optimizer.move(gradients(error / state.shape[1]))
        return log_posterior.gather(-1, skill.unsqueeze(-1)).squeeze(-1)
