"""A variational autoencoder as a density: a true lower bound on log q_z(s), in nats."""

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
from smm_core.mlp import MLP
from smm_core.running_scale import RunningScale
from smm_core.state_space import StateSpace

LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class VAEConfig(Config):
    """Variational autoencoder over (s, one-hot z)."""

    hidden: tuple[int, ...] = option((150, 150), "widths of the hidden layers", low=1)
    code_size: int = option(8, "size of the latent code", low=1)
    learning_rate: float = option(3e-3, "Adam's step size", low=0.0)
    samples: int = option(4, "codes drawn for each bound; 1 is the ELBO", low=1)
    scale: float = option(
        0.2,
        "width of the decoder, the detail that the density resolves: rad for angles, standard "
        "deviations for the rest; 0 learns it",
        low=0.0,
    )
    min_scale: float = option(0.05, "smallest width where it is learnt", low=1e-3)


class VAE(nn.Module):
    """A variational autoencoder whose decoder is normalised, so that its bound is in nats.

    Linear coordinates decode to a Gaussian, angles to a von Mises distribution (a density on the
    circle: no mass is lost at +-pi). `log_prob` is the importance-weighted bound
    log q(s) >= E log 1/K sum_k q(s|c_k) q(c_k) / e(c_k|s), which is the ELBO at K = 1
    (Burda et al., Importance Weighted Autoencoders, 2016); `fit` raises the same bound.
    """

    is_exact = False

    def __init__(
        self, generators: Generators, space: StateSpace, skill_size: int, config: VAEConfig
    ) -> None:
        super().__init__()
        self.space, self.config = space, config
        hidden, code = config.hidden, config.code_size
        outputs = 2 * space.num_linear + 3 * space.num_circular
        self.encoder = MLP(generators, (space.feature_size + skill_size, *hidden, 2 * code))
        self.decoder = MLP(generators, (code + skill_size, *hidden, outputs))
        self.optimizer = Adam(self.parameters(), config.learning_rate)
        self.optimizers: dict[str, torch.optim.Optimizer] = {"vae": self.optimizer}
        self.scale = RunningScale(len(generators), space.num_linear)

    def observe(self, state: Tensor, skill_onehot: Tensor) -> None:
        """Do nothing: what is learnt is learnt by `fit`."""

    def fit(self, state: Tensor, skill_onehot: Tensor, generators: Generators) -> Tensor:
        """Take one gradient step on the bound; return it as it was before, (R, B)."""
        self.scale.observe(self.space.split(state)[0])
        return self.optimizer.climb(self._bound(state, skill_onehot, generators))

    @torch.no_grad()
    def log_prob(self, state: Tensor, skill_onehot: Tensor, generators: Generators) -> Tensor:
        """Return the importance-weighted lower bound on log q_z(s) in nats, (R, B)."""
        return self._bound(state, skill_onehot, generators)

    @torch.no_grad()
    def sample(self, skill_onehot: Tensor, generators: Generators) -> Tensor:
        """Draw states, (R, B, size): a code of the prior, then of what it decodes to."""
        code = generators.normal(skill_onehot.shape[1], 1, self.config.code_size)
        decoded = (part.squeeze(2) for part in self._decode(code, skill_onehot))
        mean, log_std, centre, log_width = decoded
        noise = generators.normal(*mean.shape[1:])
        linear = self.scale.restore(mean + log_std.exp() * noise)
        return torch.cat((linear, von_mises_sample(centre, log_width, generators)), -1)

    def _bound(self, state: Tensor, skill_onehot: Tensor, generators: Generators) -> Tensor:
        samples = self.config.samples
        mean, log_std = self._encode(state, skill_onehot)
        code, log_ratio = self._draw(mean, log_std, generators, samples)
        log_likelihood = self._log_likelihood(state, skill_onehot, code)
        return torch.logsumexp(log_likelihood - log_ratio, -1) - math.log(samples)

    def _encode(self, state: Tensor, skill_onehot: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log of the standard deviation of e(c|s), each (R, B, code)."""
        linear, angles = self.space.split(state)
        normalised = torch.cat((self.scale.normalise(linear), angles), -1)
        inputs = torch.cat((self.space.features(normalised), skill_onehot), -1)
        mean, log_std = self.encoder(inputs).chunk(2, dim=-1)
        return mean, log_std.clamp(-6.0, 3.0)

    def _draw(
        self, mean: Tensor, log_std: Tensor, generators: Generators, samples: int
    ) -> tuple[Tensor, Tensor]:
        """Draw codes c ~ e(c|s), (R, B, K, code), with log e(c|s) - log q(c), (R, B, K)."""
        mean, log_std = mean.unsqueeze(2), log_std.unsqueeze(2)
        noise = generators.normal(mean.shape[1], samples, self.config.code_size)
        code = mean + log_std.exp() * noise
        return code, (0.5 * (code.square() - noise.square()) - log_std).sum(-1)

    def _log_likelihood(self, state: Tensor, skill_onehot: Tensor, code: Tensor) -> Tensor:
        """Return log q(s|c) summed over the coordinates, (R, B, K)."""
        mean, log_std, centre, log_width = self._decode(code, skill_onehot)
        linear, angles = self.space.split(state)
        error = self.scale.normalise(linear).unsqueeze(2) - mean
        gaussian = -0.5 * (error / log_std.exp()).square() - log_std - 0.5 * LOG_2PI
        von_mises = von_mises_log_prob(angles.unsqueeze(2), centre, log_width)
        # The volume takes the density of normalised s back to that of s in its own units.
        return gaussian.sum(-1) + von_mises.sum(-1) + self.scale.log_volume().unsqueeze(-1)

    def _decode(self, code: Tensor, skill_onehot: Tensor) -> tuple[Tensor, ...]:
        """Return what codes (R, B, K, code) decode to, (R, B, K, coordinates) each.

        Mean and log of the standard deviation of the linear coordinates, normalised; centre
        (rad) and log of the width of the angles.
        """
        runs, batch, samples, _ = code.shape
        onehot = skill_onehot.unsqueeze(2).expand(-1, -1, samples, -1)
        joint = torch.cat((code, onehot), -1).view(runs, batch * samples, -1)
        decoded = self.decoder(joint).view(runs, batch, samples, -1)
        sizes = (self.space.num_linear,) * 2 + (self.space.num_circular,) * 3
        mean, log_std, east, north, log_width = decoded.split(sizes, dim=-1)
        centre = torch.atan2(north, east)
        return mean, self._log_scale(log_std), centre, self._log_scale(log_width)

    def _log_scale(self, decoded: Tensor) -> Tensor:
        """Return the log of the decoder's widths: the fixed one, or what was decoded, bounded.

        Fixed is the default: a learnt width soon covers a state of few coordinates by itself,
        the code goes unused, and the density has one peak at most.
        """
        if self.config.scale:
            return torch.full_like(decoded, math.log(self.config.scale))
        floor = math.log(self.config.min_scale)
        return floor + F.softplus(decoded - floor)
