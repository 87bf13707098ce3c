"""Settings of a fit to recorded states."""

from __future__ import annotations

from dataclasses import dataclass

from smm_core.config import Config, option
from smm_core.densities.density import DensityConfig
from smm_core.objectives.discriminator import DiscriminatorConfig
from smm_core.state_space import StateConfig
from smm_core.targets.target import TargetConfig


@dataclass(frozen=True)
class FitConfig(Config):
    """What is fitted to recorded states, and how."""

    num_skills: int = option(
        0, "skills of the mixture; 0: as many as the transitions have", low=0, high=1000
    )
    steps: int = option(1000, "gradient steps", low=0)
    batch_size: int = option(256, "states in each step", low=1)
    capacity: int = option(
        200_000,
        "states kept for training, and as many again to test by: an even sample of all; a density"
        " that counts, counts all",
        low=2,
        high=100_000_000,
    )
    held_out: float = option(
        0.2, "share of the episodes held out, whole, to measure the fit by", low=0.0, high=0.9
    )
    bins: int = option(
        36, "bins of each coordinate, for entropy, divergences and the picture", low=2, high=1000
    )
    seed: int = option(0, "of everything random here", low=0)
    threads: int = option(
        1, "threads of torch; with another number the last digits may differ", low=1
    )
    state: StateConfig = option(StateConfig(), "the matched state s")
    target: TargetConfig = option(TargetConfig(), "the target p*(s) that the states are held to")
    density: DensityConfig = option(DensityConfig("flow"), "the density model")
    discriminator: DiscriminatorConfig = option(DiscriminatorConfig(), "d(z|s) of several skills")
