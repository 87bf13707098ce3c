"""Networks with a run axis in front: R independent copies computed by one batched product."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smm_core.generators import Generators
from smm_core.transitions import Layout

LOG_STD_RANGE = (-5.0, 2.0)
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}


class Linear(nn.Module):
    """R affine maps side by side, (R, B, in) -> (R, B, out)."""

    def __init__(self, generators: Generators, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)
        weight = generators.uniform(inputs, outputs, low=-bound, high=bound)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(generators.uniform(1, outputs, low=-bound, high=bound))

    def forward(self, x: Tensor) -> Tensor:
        """Map (R, B, in) to (R, B, out)."""
        return torch.baddbmm(self.bias, x, self.weight)


def mlp(generators: Generators, sizes: Sequence[int], activation: str = "relu") -> nn.Sequential:
    """Stack linear layers of the given sizes with one of ACTIVATIONS between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [Linear(generators, inputs, outputs), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> Tensor:
    """Take one gradient step down each run's loss, (R,); return the losses, detached."""
    optimizer.zero_grad()
    loss.sum().backward()
    optimizer.step()
    return loss.detach()


def skill_onehot(skill: Tensor, layout: Layout) -> Tensor:
    """Return the one-hot skills, (..., skill_size), of skills (...); width 0 for one skill."""
    if not layout.skill_size:
        return torch.zeros(*skill.shape, 0)
    return F.one_hot(skill, layout.num_skills).float()


def sample_squashed(mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Return tanh of a Gaussian's sample, (R, B, actions), and its log-density in nats, (R, B).

    `noise` is standard normal; all arguments are (R, B, actions). The change of variables uses
    log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2u)), which does not underflow.
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
    log_normal = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
    log_slope = 2.0 * (math.log(2.0) - unsquashed - F.softplus(-2.0 * unsquashed))
    return (log_normal - log_slope).sum(-1)


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
        self.net = mlp(generators, (inputs, *hidden, 2 * actions), activation)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log of the standard deviation before tanh, each (R, B, actions)."""
        mean, log_std = self.net(x).chunk(2, dim=-1)
        low, high = LOG_STD_RANGE
        return mean, low + 0.5 * (high - low) * (torch.tanh(log_std) + 1.0)

    def sample(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions and their log-density for standard normal noise: `sample_squashed`."""
        mean, log_std = self(x)
        return sample_squashed(mean, log_std, noise)


class Critic(nn.Module):
    """`members` Q functions for each run, held as so many copies of one network."""

    def __init__(
        self, generators: Generators, inputs: int, hidden: Sequence[int], members: int = 2
    ) -> None:
        super().__init__()
        self.members = members
        repeated = Generators(())
        repeated.streams = [stream for stream in generators.streams for _ in range(members)]
        self.net = mlp(repeated, (inputs, *hidden, 1))

    def forward(self, x: Tensor, action: Tensor) -> Tensor:
        """Map (R, B, inputs - actions) and (R, B, actions) to all values, (R, members, B)."""
        joint = torch.cat((x, action), -1)
        values = self.net(joint.repeat_interleave(self.members, 0)).squeeze(-1)
        return values.view(len(x), self.members, -1)
