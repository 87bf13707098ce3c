"""Networks with a run axis in front: R independent copies computed by one batched product."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smm_core.generators import Generators
from smm_core.mlp import MLP
from smm_core.transitions import Layout

LOG_STD_RANGE = (-5.0, 2.0)


def skill_onehot(skill: Tensor, layout: Layout) -> Tensor:
    """Return the one-hot skills, (..., skill_size), of skills (...); width 0 for one skill."""
    if not layout.skill_size:
        return torch.zeros(*skill.shape, 0, device=skill.device)
    return F.one_hot(skill, layout.num_skills).float()


def sample_squashed(mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Return tanh of a Gaussian's sample, (R, B, actions), and its log-density in nats, (R, B).

    `noise` is standard normal; all arguments are (R, B, actions). The change of variables uses
    log(1 - tanh(u)^2) = 2 (log 2 - u - log(1 + exp(-2u))), which does not underflow.
    """
    unsquashed = mean + log_std.exp() * noise
    return torch.tanh(unsquashed), _log_density(unsquashed, log_std, noise)


def squashed_log_prob(action: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Return the log-density in nats, (...), of actions (..., actions) in [-1, 1].

    That of `sample_squashed`, which an action at the border has as one just inside of it.
    """
    nearly_one = 1.0 - torch.finfo(action.dtype).eps
    unsquashed = torch.atanh(action.clamp(-nearly_one, nearly_one))
    return _log_density(unsquashed, log_std, (unsquashed - mean) * (-log_std).exp())


def _log_density(unsquashed: Tensor, log_std: Tensor, noise: Tensor) -> Tensor:
    # Minus log N(noise; 0, 1) / std, and minus half of the slope's logarithm, without constants.
    normal = torch.addcmul(log_std, noise, noise, value=0.5)
    slope = torch.sub(unsquashed, F.softplus(unsquashed, beta=-2.0), alpha=2.0)
    constant = noise.shape[-1] * (0.5 * math.log(2 * math.pi) + 2.0 * math.log(2.0))
    return -constant - torch.sub(normal, slope, alpha=2.0).sum(-1)


class Actor(nn.Module):
    """A Gaussian squashed by tanh into [-1, 1]; its input is (obs, one-hot skill)."""

    def __init__(
        self,
        generators: Generators,
        inputs: int,
        actions: int,
        hidden: Sequence[int],
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.net = MLP(generators, (inputs, *hidden, 2 * actions), activation)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log of the standard deviation before tanh, each (R, B, actions)."""
        mean, log_std = self.net(x).chunk(2, dim=-1)
        low, high = LOG_STD_RANGE
        return mean, 0.5 * (high + low) + 0.5 * (high - low) * torch.tanh(log_std)

    @property
    def compiled(self) -> tuple[Any, ...]:
        """What native/sac.cpp takes for it."""
        return self.net.weights, self.net.activation, *LOG_STD_RANGE

    def act(self, x: Tensor, noise: Tensor) -> Tensor:
        """Return the actions of `sample` alone, (R, B, actions)."""
        mean, log_std = self(x)
        return torch.tanh(mean + log_std.exp() * noise)

    def sample(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions and their log-density for standard normal noise: `sample_squashed`."""
        mean, log_std = self(x)
        return sample_squashed(mean, log_std, noise)


class Critic(nn.Module):
    """`members` Q functions for each run, held as so many copies of one network."""

    def __init__(
        self,
        generators: Generators,
        inputs: int,
        hidden: Sequence[int],
        members: int = 2,
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        self.members = members
        repeated = Generators(())
        repeated.streams = [stream for stream in generators.streams for _ in range(members)]
        self.net = MLP(repeated, (inputs, *hidden, 1), layer_norm=layer_norm)

    @property
    def compiled(self) -> tuple[Any, ...]:
        """What native/sac.cpp takes for it."""
        return self.net.weights, self.members, self.net.layer_norm

    def forward(self, x: Tensor, action: Tensor) -> Tensor:
        """Map (R, B, inputs - actions) and (R, B, actions) to all values, (R, members, B)."""
        values = self.net(torch.cat((x, action), -1), self.members).squeeze(-1)
        return values.view(len(x), self.members, -1)
