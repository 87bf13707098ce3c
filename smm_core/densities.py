"""The density models by name."""

from __future__ import annotations

from dataclasses import dataclass

from smm_core.config import Config, option
from smm_core.density import Density
from smm_core.flow import Flow, FlowConfig
from smm_core.gaussian_mixture import GaussianMixture, GaussianMixtureConfig
from smm_core.generators import Generators
from smm_core.histogram import Histogram, HistogramConfig
from smm_core.state_space import StateSpace
from smm_core.vae import VAE, VAEConfig


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
