"""A normalising flow as a density: exact, from splines on the line and on the circle."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from zuko.transforms import MonotonicRQSTransform

from smm_core.adam import Adam
from smm_core.config import Config, option
from smm_core.generators import Generators
from smm_core.mlp import MLP
from smm_core.running_scale import RunningScale
from smm_core.state_space import StateSpace

LOG_2PI = math.log(2 * math.pi)
BOUND = 5.0
"""Half the range of a spline on the line; beyond it, a coordinate is only moved and scaled."""
LOG_SCALE_BOUND = 6.0
"""Largest logarithm, either sign, of a layer's scale on the line."""


@dataclass(frozen=True)
class FlowConfig(Config):
    """Autoregressive spline flow over (s, one-hot z)."""

    hidden: tuple[int, ...] = option((64, 64), "widths of the hidden layers", low=1)
    layers: int = option(2, "flow layers one after the other, in alternating order", low=1)
    bins: int = option(12, "pieces of each spline", low=2)
    learning_rate: float = option(3e-3, "Adam's step size", low=0.0)


class Flow(nn.Module):
    """An autoregressive flow of rational-quadratic splines with an exact log-density.

    Each layer moves coordinate i by a transformation whose coefficients a network reads from the
    coordinates before i and the skill (Durkan et al., Neural Spline Flows, 2019): on the line an
    affine map and a spline, with a standard normal base; on the circle a rotation and a spline
    that takes the circle to itself, with a uniform base (Rezende et al., Normalizing Flows on
    Tori and Spheres, 2020), so that the density is continuous across +-pi. The next layer goes
    through the coordinates backwards. The splines are zuko's; the networks of all runs and
    coordinates are one batched product.
    """

    is_exact = True

    def __init__(
        self, generators: Generators, space: StateSpace, skill_size: int, config: FlowConfig
    ) -> None:
        super().__init__()
        self.space = space
        self._stack = [
            FlowLayer(generators, space, skill_size, config, backwards=bool(i % 2))
            for i in range(config.layers)
        ]
        self.layers = nn.ModuleList(self._stack)
        self.optimizer = Adam(self.parameters(), config.learning_rate)
        self.optimizers: dict[str, torch.optim.Optimizer] = {"flow": self.optimizer}
        self.scale = RunningScale(len(generators), space.num_linear)

    def observe(self, state: Tensor, skill_onehot: Tensor) -> None:
        """Do nothing: what is learnt is learnt by `fit`."""

    def fit(self, state: Tensor, skill_onehot: Tensor, generators: Generators) -> Tensor:
        """Take one gradient step on the likelihood; return log q_z(s) before it, (R, B)."""
        self.scale.observe(self.space.split(state)[0])
        return self.optimizer.climb(self._log_prob(state, skill_onehot))

    @torch.no_grad()
    def log_prob(self, state: Tensor, skill_onehot: Tensor, generators: Generators) -> Tensor:
        """Return log q_z(s) in nats, exactly, (R, B)."""
        return self._log_prob(state, skill_onehot)

    @torch.no_grad()
    def sample(self, skill_onehot: Tensor, generators: Generators) -> Tensor:
        """Draw states, (R, B, size): the base's numbers taken back through the layers."""
        batch = skill_onehot.shape[1]
        linear = generators.normal(batch, self.space.num_linear)
        angles = generators.uniform(batch, self.space.num_circular, low=-math.pi, high=math.pi)
        state = torch.cat((linear, angles), -1)
        for layer in reversed(self._stack):
            state = layer.inverse(state, skill_onehot)
        linear, angles = self.space.split(state)
        return torch.cat((self.scale.restore(linear), angles), -1)

    def _log_prob(self, state: Tensor, skill_onehot: Tensor) -> Tensor:
        linear, angles = self.space.split(state)
        moved = torch.cat((self.scale.normalise(linear), _wrap(angles)), -1)
        log_prob = self.scale.log_volume() - self.space.num_circular * LOG_2PI
        for layer in self._stack:
            moved, log_slope = layer(moved, skill_onehot)
            log_prob = log_prob + log_slope
        linear = self.space.split(moved)[0]
        return log_prob - 0.5 * (linear.square() + LOG_2PI).sum(-1)


class FlowLayer(nn.Module):
    """One autoregressive transformation of all coordinates."""

    def __init__(
        self,
        generators: Generators,
        space: StateSpace,
        skill_size: int,
        config: FlowConfig,
        backwards: bool,
    ) -> None:
        super().__init__()
        self.space, self.bins = space, config.bins
        self.order = list(range(space.size))[:: -1 if backwards else 1]
        self.before = nn.Buffer(_features_before(self.order, space), persistent=False)
        is_linear = torch.arange(space.size) < space.num_linear
        self.is_linear = nn.Buffer(is_linear, persistent=False)
        repeated = Generators(())
        repeated.streams = [g for g in generators.streams for _ in self.order]
        outputs = 2 + 3 * config.bins - 1
        self.net = MLP(repeated, (space.feature_size + skill_size, *config.hidden, outputs))

    def forward(self, state: Tensor, skill_onehot: Tensor) -> tuple[Tensor, Tensor]:
        """Return the state moved, (R, B, size), and the log of its change of volume, (R, B)."""
        shift, log_scale, (line, circle) = self._transform(self._coefficients(state, skill_onehot))
        linear, angles = self.space.split((state - shift) * (-log_scale).exp())
        linear, line_slope = line.call_and_ladj(linear)
        angles, circle_slope = circle.call_and_ladj(_wrap(angles))
        log_slope = line_slope.sum(-1) + circle_slope.sum(-1) - log_scale.sum(-1)
        return torch.cat((linear, angles), -1), log_slope

    def inverse(self, moved: Tensor, skill_onehot: Tensor) -> Tensor:
        """Return the state, (R, B, size), that `forward` moves to `moved`: one pass each."""
        linear, angles = self.space.split(moved.double())
        state = torch.zeros_like(moved)
        for coordinate in self.order:
            # In double precision, since the spline's inverse takes the root of a difference.
            coefficients = self._coefficients(state, skill_onehot).double()
            shift, log_scale, (line, circle) = self._transform(coefficients)
            found = torch.cat((line.inv(linear), circle.inv(angles)), -1) * log_scale.exp() + shift
            found = torch.where(self.is_linear, found, _wrap(found))
            state[..., coordinate] = found[..., coordinate].to(state.dtype)
        return state

    def _coefficients(self, state: Tensor, skill_onehot: Tensor) -> Tensor:
        """Return the transformations' coefficients, (R, B, size, outputs)."""
        linear, angles = self.space.split(state)
        # What a network sees of a far state is bounded: so are the coefficients that it gives.
        seen = torch.cat((linear.clamp(-BOUND, BOUND), angles), -1)
        features = self.space.features(seen).unsqueeze(1) * self.before.unsqueeze(1)
        onehot = skill_onehot.unsqueeze(1).expand(-1, len(self.order), -1, -1)
        joint = torch.cat((features, onehot), -1)
        return self.net(joint.flatten(0, 1)).view(*joint.shape[:3], -1).transpose(1, 2)

    def _transform(
        self, coefficients: Tensor
    ) -> tuple[Tensor, Tensor, tuple[MonotonicRQSTransform, MonotonicRQSTransform]]:
        """Return shift and log scale, (R, B, size), and the splines of line and circle."""
        bins, linear = self.bins, self.space.num_linear
        shift, log_scale, *spline = coefficients.split((1, 1, bins, bins, bins - 1), -1)
        line = MonotonicRQSTransform(*(part[..., :linear, :] for part in spline), bound=BOUND)
        circle = MonotonicRQSTransform(*(part[..., linear:, :] for part in spline), bound=math.pi)
        log_scale = LOG_SCALE_BOUND * torch.tanh(log_scale.squeeze(-1) / LOG_SCALE_BOUND)
        return shift.squeeze(-1), log_scale * self.is_linear, (line, circle)


def _features_before(order: list[int], space: StateSpace) -> Tensor:
    """Return which features, (size, feature_size), come of coordinates before each one."""
    rank = torch.tensor([order.index(i) for i in range(space.size)])
    owner = torch.arange(space.size)
    owner = torch.cat((owner, owner[space.num_linear :]))  # an angle is seen as cosine and sine
    return (rank[owner] < rank.unsqueeze(1)).float()


def _wrap(angle: Tensor) -> Tensor:
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
