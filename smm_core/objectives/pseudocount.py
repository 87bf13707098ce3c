"""Pseudo-counts: how often a state was seen, read from how much a density model learns from it.

Sources: Bellemare et al., Unifying Count-Based Exploration and Intrinsic Motivation (2016), and
Ostrovski et al., Count-Based Exploration with Neural Density Models (2017), equation 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smm_core.config import Config, ConfigError, option
from smm_core.densities.density import DensityConfig, make_density
from smm_core.generators import Generators
from smm_core.objectives.objective import Bonus
from smm_core.replay import Batch
from smm_core.state_space import StateSpace
from smm_core.transitions import Layout


@dataclass(frozen=True)
class PseudoCountConfig(Config):
    """What a prediction gain is worth."""

    coefficient: float = option(1.0, "weight of the bonus", low=0.0)
    gain_scale: float = option(
        1.0, "c, the factor of the prediction gain ('Pseudocount coeff' of Table 3)", low=0.0
    )
    smallest_count: float = option(
        0.01, "a pseudo-count below this is taken for this, which bounds the bonus", low=1e-6
    )


def pseudo_count_bonus(
    gain: Tensor, observed: Tensor, gain_scale: float, smallest_count: float
) -> Tensor:
    """Return 1 / sqrt(N) for pseudo-counts N = 1 / (exp(c / sqrt(n) max(PG, 0)) - 1).

    `gain` is the prediction gain PG in nats, `observed` the states n seen so far. No gain is an
    infinite count and pays 0; N is at least `smallest_count`, so that no gain overflows.
    """
    scaled = gain_scale * gain.clamp_min(0.0) / observed.clamp_min(1).sqrt()
    return scaled.expm1().clamp_max(1.0 / smallest_count).sqrt()


class PseudoCount(Bonus):
    """Fits a density to all states, whatever their skill, and pays for its gain on each."""

    def __init__(
        self,
        generators: Generators,
        layout: Layout,
        space: StateSpace,
        target_weight: float,
        config: PseudoCountConfig,
        density: DensityConfig,
    ) -> None:
        super().__init__(target_weight, config.coefficient)
        self.config = config
        self.density = make_density(generators, space, 0, density)
        if not self.density.optimizers:
            raise ConfigError(
                f"pseudo-counts are read from one gradient step on a batch, and density.model ="
                f" '{density.model}' takes none; choose another model, or method = 'count'"
            )
        self.optimizers = dict(self.density.optimizers)
        self.observed = nn.Buffer(torch.zeros(len(generators), 1))
        self._gain: tuple[Tensor, Tensor] | None = None

    def observe(self, state: Tensor, skill_onehot: Tensor) -> None:
        """Count the states reached, (R, B, size)."""
        self.observed.add_(state.shape[1])
        self.density.observe(state, skill_onehot[..., :0])

    def fit(
        self, batch: Batch, state: Tensor, skill_onehot: Tensor, generators: Generators
    ) -> dict[str, Tensor]:
        """Teach the density a batch and keep what each of its states gained by that.

        A stochastic bound is drawn with the same numbers before and after: their noise would
        otherwise be taken for a gain.
        """
        onehot = skill_onehot[..., :0]
        first, second = generators.twins()
        before = self.density.fit(state, onehot, first)
        gain = self.density.log_prob(state, onehot, second) - before
        self._gain = (state, gain)
        return {"density_loss": -before.mean(1), "prediction_gain": gain.mean(-1)}

    def paid(self, batch: Batch, state: Tensor) -> Tensor:
        """Return 1 / sqrt(pseudo-count) of the states of the last `fit`, (R, B).

        Raises ValueError for other states than those of the last `fit`: without an update on a
        state there is no gain.
        """
        if self._gain is None or self._gain[0] is not state:
            raise ValueError("pseudo-counts are known for the states of the last fit only")
        config = self.config
        return pseudo_count_bonus(
            self._gain[1], self.observed, config.gain_scale, config.smallest_count
        )
