"""What every density model q_z(s) can do, and the models by name; each is a file beside this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from smm_core.config import Config, option
from smm_core.densities.flow import Flow, FlowConfig
from smm_core.densities.gaussian_mixture import GaussianMixture, GaussianMixtureConfig
from smm_core.densities.histogram import Histogram, HistogramConfig
from smm_core.densities.vae import VAE, VAEConfig
from smm_core.generators import Generators
from smm_core.state_space import StateSpace


class Density(Protocol):
    """A model q_z(s) of the states visited, R runs at once; also a torch module.

    States are (R, B, size) as `StateSpace.select` gives them; `skill_onehot` is (R, B, skill_size)
    and has width 0 where there is one skill. All that has to be saved is in `state_dict`.
    """

    is_exact: bool
    """Whether `log_prob` is the log-density itself or a lower bound on it."""
    optimizers: dict[str, torch.optim.Optimizer]
    """Optimisers whose state a checkpoint keeps; none where nothing is learnt by gradient."""

    def observe(self, state: Tensor, skill_onehot: Tensor) -> None:
        """Take in states reached for the first time; only models that count them do anything."""

    def fit(self, state: Tensor, skill_onehot: Tensor, generators: Any) -> Tensor:
        """Learn from states drawn from the replay; return `log_prob` as it was before, (R, B)."""

    def log_prob(self, state: Tensor, skill_onehot: Tensor, generators: Any) -> Tensor:
        """Return log q_z(s) in nats, or a lower bound on it, (R, B)."""

    def sample(self, skill_onehot: Tensor, generators: Any) -> Tensor:
        """Draw one state for each of (R, B, skill_size): (R, B, size)."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything learnt, as a torch module does."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Continue from what `state_dict` returned."""


@dataclass(frozen=True)
class DensityConfig(Config):
    """Which density model is fitted, and how."""

    model: str = option(
        "vae",
        "the kind of model: 'vae' gives a lower bound on log q_z(s), the others log q_z(s) itself;"
        " 'histogram' counts all states visited, for few coordinates",
        choices=("vae", "flow", "histogram", "gaussian_mixture"),
    )
    vae: VAEConfig = option(VAEConfig(), "a variational autoencoder")
    flow: FlowConfig = option(FlowConfig(), "a normalising flow of splines")
    histogram: HistogramConfig = option(HistogramConfig(), "a histogram")
    gaussian_mixture: GaussianMixtureConfig = option(GaussianMixtureConfig(), "a mixture")


def make_density(
    generators: Generators, space: StateSpace, skill_size: int, config: DensityConfig
) -> Density:
    """Build the density model that the settings name; raises ConfigError where they do not fit."""
    if config.model == "flow":
        return Flow(generators, space, skill_size, config.flow)
    if config.model == "histogram":
        return Histogram(generators, space, skill_size, config.histogram)
    if config.model == "gaussian_mixture":
        return GaussianMixture(generators, space, skill_size, config.gaussian_mixture)
    return VAE(generators, space, skill_size, config.vae)
