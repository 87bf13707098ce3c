"""A target learnt from states that somebody showed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smm_core.config import Config, ConfigError, option
from smm_core.counter_generators import generators_on
from smm_core.densities.density import DensityConfig, make_density
from smm_core.densities.fitting import fit_to
from smm_core.generators import Generators
from smm_core.state_space import StateSpace
from smm_core.targets.box import BoxConfig, BoxTarget
from smm_core.targets.state_file import read_states

NARROWEST = 1e-3
"""Least width of the background along a coordinate, in its unit: some never change."""


@dataclass(frozen=True)
class DemonstrationsConfig(Config):
    """States to be like, and the density that is fitted to them when a run starts."""

    file: str = option("", "states or observations in a .npy, .npz or .csv file")
    density: DensityConfig = option(DensityConfig("gaussian_mixture"), "the density fitted")
    updates: int = option(1000, "updates of the fit", low=1)
    batch_size: int = option(256, "states in each update", low=1)
    held_out: float = option(
        0.1, "share of the states held out, to measure the fit by", low=0.001, high=0.9
    )
    background: float = option(
        0.01,
        "mass that is uniform over the range of the demonstrations, so that log p* falls gently"
        " far from them",
        low=0.0,
        high=0.9,
    )
    seed: int = option(0, "seed of the fit, the same for all runs", low=0)


class DemonstrationTarget(nn.Module):
    """A density fitted to demonstrations, mixed with a uniform background.

    Outside the range of the demonstrations the background falls by 10 nats for each of its widths.
    The same file, settings and seed give the same target, so that nothing of it is saved.
    """

    def __init__(self, space: StateSpace, config: DemonstrationsConfig) -> None:
        super().__init__()
        states = read_states(config.file, space, "target.demonstrations.file")
        self._seed, generators = config.seed, Generators([config.seed])
        self._density = make_density(generators, space, 0, config.density)
        self.is_normalised = self._density.is_exact
        self._background = _background(space, states)
        shares = torch.tensor([1.0 - config.background, config.background])
        self._log_shares = nn.Buffer(shares.log())
        try:
            fit = fit_to(
                self._density,
                states[None],
                torch.zeros(1, len(states), 0),
                generators,
                config.updates,
                config.batch_size,
                config.held_out,
            )
        except ValueError as error:
            raise ConfigError(f"target.demonstrations.file {config.file}: {error}") from error
        self.held_out_nll = float(fit.held_out)
        """Mean negative log-likelihood of the states held out, nats; a bound of it for a VAE."""

    def log_prob(self, state: Tensor) -> Tensor:
        """Return the log-density in nats, (...) from s (..., size); for a VAE a lower bound."""
        batches = state.reshape(-1, *state.shape[-2:])
        if self._density.is_exact:
            batches = batches.reshape(1, -1, state.shape[-1])
        # A bound is an estimate from noise: the same for each run, whatever others there are.
        fitted = torch.cat([self._fitted(batch[None]) for batch in batches])
        fitted = fitted.view(state.shape[:-1])
        shared, background = self._log_shares.unbind()
        return torch.logaddexp(shared + fitted, background + self._background.log_prob(state))

    def _fitted(self, state: Tensor) -> Tensor:
        """Return the log-density that was fitted, (B,) nats, of states (1, B, size)."""
        generators = generators_on(state.device, [self._seed])
        return self._density.log_prob(state, state[..., :0], generators)[0]


def _background(space: StateSpace, states: Tensor) -> BoxTarget:
    linear, _ = space.split(states)
    low, high = linear.amin(0), linear.amax(0)
    margin = 0.5 * (NARROWEST - (high - low)).clamp_min(0.0)
    low, high = low - margin, high + margin
    return BoxTarget(space, BoxConfig(tuple(low.tolist()), tuple(high.tolist()), drop=0.0))
