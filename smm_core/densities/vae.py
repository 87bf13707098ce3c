"""A variational autoencoder as a density: a true lower bound on log q_z(s), in nats."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smm_core.adam import Adam
from smm_core.config import Config, option
from smm_core.densities.vae_likelihood import Likelihood
from smm_core.densities.von_mises import von_mises_sample
from smm_core.generators import Generators
from smm_core.mlp import MLP
from smm_core.running_scale import RunningScale
from smm_core.state_space import StateSpace

LOG_STD = (-6.0, 3.0)
"""Least and largest log deviation of a code, given its state."""


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
        self._likelihood = Likelihood(space, config.scale, config.min_scale)
        self.encoder = MLP(generators, (space.feature_size + skill_size, *hidden, 2 * code))
        self.decoder = MLP(generators, (code + skill_size, *hidden, self._likelihood.num_outputs))
        self.optimizer = Adam(self.parameters(), config.learning_rate)
        self.optimizers: dict[str, torch.optim.Optimizer] = {"vae": self.optimizer}
        self.scale = RunningScale(len(generators), space.num_linear)

    def observe(self, state: Tensor, skill_onehot: Tensor) -> None:
        """Do nothing: what is learnt is learnt by `fit`."""

    def fit(self, state: Tensor, skill_onehot: Tensor, generators: Generators) -> Tensor:
        """Take one gradient step on the bound; return it as it was before, (R, B)."""
        self.scale.observe(self.space.split(state)[0])
        if self.config.scale:
            return self._climb(state, skill_onehot, generators)
        return self.optimizer.climb(self._bound(state, skill_onehot, generators))

    @torch.no_grad()
    def log_prob(self, state: Tensor, skill_onehot: Tensor, generators: Generators) -> Tensor:
        """Return the importance-weighted lower bound on log q_z(s) in nats, (R, B)."""
        return self._bound(state, skill_onehot, generators)

    @torch.no_grad()
    def sample(self, skill_onehot: Tensor, generators: Generators) -> Tensor:
        """Draw states, (R, B, size): a code of the prior, then of what it decodes to."""
        code = generators.normal(skill_onehot.shape[1], 1, self.config.code_size)
        decoded = self.decoder(self._joint(code, skill_onehot))
        mean, log_std, centre, log_width = self._likelihood.parts(decoded)
        noise = generators.normal(*mean.shape[1:])
        linear = self.scale.restore(mean + log_std.exp() * noise)
        return torch.cat((linear, von_mises_sample(centre, log_width, generators)), -1)

    def _bound(self, state: Tensor, skill_onehot: Tensor, generators: Generators) -> Tensor:
        mean, log_std = self.encoder(self._features(state, skill_onehot)).chunk(2, dim=-1)
        code, _, log_ratio = self._draw(mean, log_std.clamp(*LOG_STD), generators)
        decoded = self.decoder(self._joint(code, skill_onehot)).unflatten(1, code.shape[1:3])
        return self._averaged(self._log_likelihood(state, decoded) - log_ratio)

    def _averaged(self, log_weight: Tensor) -> Tensor:
        return torch.logsumexp(log_weight, -1) - math.log(self.config.samples)

    @torch.no_grad()
    def _climb(self, state: Tensor, skill_onehot: Tensor, generators: Generators) -> Tensor:
        """Take a step up the bound of fixed widths, by its gradient in closed form; return it.

        A code's log-weight enters the bound by its share of all weights; the log-weight has the
        slope of log q(s|c), and that of the codes' log ratio: c, and -1 by the log deviation.
        """
        encoded, encoder_gradients = self.encoder.passed(self._features(state, skill_onehot))
        mean, free = encoded.chunk(2, dim=-1)
        log_std = free.clamp(*LOG_STD)
        code, noise, log_ratio = self._draw(mean, log_std, generators)
        joint = self._joint(code, skill_onehot)
        decoded, decoder_gradients = self.decoder.passed(joint, of_x=True)
        decoded = decoded.unflatten(1, code.shape[1:3])
        log_weight = self._log_likelihood(state, decoded) - log_ratio

        share = log_weight.softmax(-1).div_(-state.shape[1]).unsqueeze(-1)
        of_decoded = self._likelihood.slope(*self._seen(state), decoded).mul_(share)
        of_joint, *of_decoder = decoder_gradients(of_decoded.flatten(1, 2))
        of_code = of_joint[..., : code.shape[-1]].unflatten(1, code.shape[1:3]) - share * code
        of_log_std = (of_code * noise).sum(2) * log_std.exp() - 1.0 / state.shape[1]
        of_free = of_log_std * (free == log_std)
        of_encoder = encoder_gradients(torch.cat((of_code.sum(2), of_free), -1))
        self.optimizer.move((*of_encoder, *of_decoder))
        return self._averaged(log_weight)

    def _features(self, state: Tensor, skill_onehot: Tensor) -> Tensor:
        """Return what the encoder sees, (R, B, features and skill)."""
        linear, angles = self.space.split(state)
        normalised = torch.cat((self.scale.normalise(linear), angles), -1)
        return torch.cat((self.space.features(normalised), skill_onehot), -1)

    def _draw(
        self, mean: Tensor, log_std: Tensor, generators: Generators
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draw codes c ~ e(c|s); return them, their noise, and log e(c|s) - log q(c).

        (R, B, K, code) twice, and (R, B, K), from (R, B, code).
        """
        mean, log_std = mean.unsqueeze(2), log_std.unsqueeze(2)
        noise = generators.normal(mean.shape[1], self.config.samples, self.config.code_size)
        code = mean + log_std.exp() * noise
        return code, noise, (0.5 * (code.square() - noise.square()) - log_std).sum(-1)

    def _joint(self, code: Tensor, skill_onehot: Tensor) -> Tensor:
        """Return what the decoder sees of codes (R, B, K, code), (R, B K, code and skill)."""
        onehot = skill_onehot.unsqueeze(2).expand(-1, -1, code.shape[2], -1)
        return torch.cat((code, onehot), -1).flatten(1, 2)

    def _log_likelihood(self, state: Tensor, decoded: Tensor) -> Tensor:
        """Return log q(s|c) of what K codes decode to, (R, B, K)."""
        # The volume takes the density of normalised s back to that of s in its own units.
        normalised = self._likelihood.log_prob(*self._seen(state), decoded)
        return normalised + self.scale.log_volume().unsqueeze(-1)

    def _seen(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return normalised linear coordinates and angles, (R, B, 1, coordinates) each."""
        linear, angles = self.space.split(state)
        return self.scale.normalise(linear).unsqueeze(2), angles.unsqueeze(2)
