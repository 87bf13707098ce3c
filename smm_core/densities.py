"""The density models by name."""

from __future__ import annotations

from dataclasses import dataclass

from smm_core.config import Config, option
from smm_core.density import Density
from smm_core.generators import Generators
from smm_core.state_space import StateSpace
from smm_core.vae import VAE, VAEConfig


@dataclass(frozen=True)
class DensityConfig(Config):
    """Which density model is fitted, and how."""

    model: str = option("vae", "the kind of model", choices=("vae",))
    vae: VAEConfig = option(VAEConfig(), "a variational autoencoder")


def make_density(
    generators: Generators, space: StateSpace, skill_size: int, config: DensityConfig
) -> Density:
    """Build the density model that the settings name."""
    return VAE(generators, space, skill_size, config.vae)
