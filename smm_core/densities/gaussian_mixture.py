"""A mixture of Gaussians as a density: exact, one mixture for each skill."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smm_core.adam import Adam
from smm_core.config import Config, option
from smm_core.densities.von_mises import von_mises_log_prob, von_mises_sample
from smm_core.generators import Generators
from smm_core.running_scale import RunningScale
from smm_core.state_space import StateSpace

LOG_2PI = math.log(2 * math.pi)
FIRST_WIDTH = 0.5
"""Width that every component starts with, rad or standard deviations."""


@dataclass(frozen=True)
class GaussianMixtureConfig(Config):
    """Mixture of Gaussians over the matched state, one for each skill."""

    components: int = option(8, "Gaussians in each mixture", low=1)
    full: bool = option(True, "whether coordinates correlate within one Gaussian")
    learning_rate: float = option(1e-2, "Adam's step size", low=0.0)
    min_scale: float = option(
        0.01, "smallest width: rad for angles, standard deviations for the rest", low=1e-3
    )


class GaussianMixture(nn.Module):
    """Components that are Gaussian on the line and von Mises on the circle, fitted by gradient.

    A Gaussian is held as the regression of each linear coordinate on those before it: centres
    mu_i, coefficients b_ij and conditional widths sigma_i, so that
    x_i = mu_i + sum_j<i b_ij (x_j - mu_j) + sigma_i noise_i; any covariance can be written so.
    Within one component angles are independent of all else. The first batch sets the centres.
    """

    is_exact = True

    def __init__(
        self,
        generators: Generators,
        space: StateSpace,
        skill_size: int,
        config: GaussianMixtureConfig,
    ) -> None:
        super().__init__()
        self.space, self.config = space, config
        self.skills = max(1, skill_size)
        runs, linear = len(generators), space.num_linear
        shape = (runs, self.skills, config.components)
        self.logits = nn.Parameter(torch.zeros(shape))
        self.centres = nn.Parameter(torch.zeros(*shape, space.size))
        self.log_widths = nn.Parameter(torch.full((*shape, space.size), math.log(FIRST_WIDTH)))
        self.slopes = nn.Parameter(torch.zeros(*shape, linear, linear), config.full)
        self.optimizer = Adam(self.parameters(), config.learning_rate)
        self.optimizers: dict[str, torch.optim.Optimizer] = {"gaussian_mixture": self.optimizer}
        self.scale = RunningScale(runs, linear)
        self._is_placed = False

    def observe(self, state: Tensor, skill_onehot: Tensor) -> None:
        """Do nothing: what is learnt is learnt by `fit`."""

    def fit(self, state: Tensor, skill_onehot: Tensor, generators: Generators) -> Tensor:
        """Take one gradient step on the likelihood; return log q_z(s) before it, (R, B)."""
        is_first = not self._is_placed and not self.scale.seen.any()
        linear, angles = self.space.split(state)
        self.scale.observe(linear)
        if is_first:
            self._place(torch.cat((self.scale.normalise(linear), angles), -1), generators)
        self._is_placed = True  # known from here on without a look at what the device holds
        return self.optimizer.climb(self._log_prob(state, skill_onehot))

    @torch.no_grad()
    def log_prob(self, state: Tensor, skill_onehot: Tensor, generators: Generators) -> Tensor:
        """Return log q_z(s) in nats, exactly, (R, B)."""
        return self._log_prob(state, skill_onehot)

    @torch.no_grad()
    def sample(self, skill_onehot: Tensor, generators: Generators) -> Tensor:
        """Draw a component by its weight and a state of it, (R, B, size)."""
        batch, linear = skill_onehot.shape[1], self.space.num_linear
        weights = self._of_skill(self.logits, skill_onehot).softmax(-1).cumsum(-1)
        which = (generators.uniform(batch, 1) >= weights[..., :-1]).sum(-1).long()

        def chosen(values: Tensor) -> Tensor:
            values = self._of_skill(values, skill_onehot).expand(-1, batch, *values.shape[2:])
            index = which.view(*which.shape, *[1] * (values.dim() - 2))
            return values.take_along_dim(index, 2).squeeze(2)

        centres, log_widths = chosen(self.centres), chosen(self._bounded_log_widths())
        noise = generators.normal(batch, linear) * log_widths[..., :linear].exp()
        mixing = torch.eye(linear, device=noise.device) - chosen(self.slopes).tril(-1)
        offset = torch.linalg.solve_triangular(mixing, noise.unsqueeze(-1), upper=False)
        values = self.scale.restore(centres[..., :linear] + offset.squeeze(-1))
        angles = von_mises_sample(centres[..., linear:], log_widths[..., linear:], generators)
        return torch.cat((values, angles), -1)

    def _log_prob(self, state: Tensor, skill_onehot: Tensor) -> Tensor:
        linear, angles = self.space.split(state)
        centres, log_widths, slopes, log_weights = (
            self._of_skill(values, skill_onehot)
            for values in (
                self.centres,
                self._bounded_log_widths(),
                self.slopes.tril(-1),
                self.logits.log_softmax(-1),
            )
        )
        offset = self.scale.normalise(linear).unsqueeze(2) - self.space.split(centres)[0]
        unexplained = offset - (slopes @ offset.unsqueeze(-1)).squeeze(-1)
        widths, arcs = self.space.split(log_widths)
        gaussian = -0.5 * (unexplained / widths.exp()).square() - widths - 0.5 * LOG_2PI
        middle = self.space.split(centres)[1]
        von_mises = von_mises_log_prob(angles.unsqueeze(2), middle, arcs)
        joint = log_weights + gaussian.sum(-1) + von_mises.sum(-1)
        return joint.logsumexp(-1) + self.scale.log_volume()

    def _of_skill(self, values: Tensor, skill_onehot: Tensor) -> Tensor:
        """Return the values of each state's skill, (R, B or 1, ...), from (R, skills, ...)."""
        if self.skills == 1:
            return values
        run = torch.arange(len(values), device=values.device).unsqueeze(1)
        return values[run, skill_onehot.argmax(-1)]

    def _bounded_log_widths(self) -> Tensor:
        floor = math.log(self.config.min_scale)
        return floor + F.softplus(self.log_widths - floor)

    @torch.no_grad()
    def _place(self, normalised: Tensor, generators: Generators) -> None:
        """Put the centres of all skills near random states of a first batch, (R, B, size)."""
        count = self.skills * self.config.components
        index = generators.integers(normalised.shape[1], count, 1)
        near = normalised.take_along_dim(index, 1) + 0.1 * generators.normal(count, 1)
        self.centres.copy_(near.view_as(self.centres))
