"""A Gaussian mixture written down as a target; angles are von Mises."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smm_core.config import Config, ConfigError, option
from smm_core.densities.von_mises import von_mises_log_prob
from smm_core.state_space import StateSpace

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True)
class MixtureConfig(Config):
    """Components of a Gaussian mixture over s: the linear coordinates, then the angles."""

    means: tuple[float, ...] = option(
        (), "centre of each component, all coordinates of s, one component after the other"
    )
    deviations: tuple[float, ...] = option(
        (1.0,),
        "standard deviations: one for all, one for each coordinate, or as many as means; an angle"
        " is von Mises of concentration 1 / deviation^2",
    )
    weights: tuple[float, ...] = option(
        (), "mass of each component, in any unit; none: all the same", low=0.0
    )

    def __post_init__(self) -> None:
        """Check that deviations are positive and weights not all zero."""
        super().__post_init__()
        for deviation in self.deviations:
            if not 0.0 < deviation < math.inf:
                raise ConfigError(
                    f"target.mixture.deviations has {deviation}, expected positive numbers"
                )
        if self.weights and not 0.0 < sum(self.weights) < math.inf:
            raise ConfigError(
                f"target.mixture.weights is {self.weights}, expected finite numbers with a "
                "positive sum"
            )


class MixtureTarget(nn.Module):
    """A normalised mixture with independent coordinates in each component.

    Far from all components log p* falls with the square of the distance: one wide component of
    small weight keeps that bounded where a policy may wander far.
    """

    is_normalised = True

    def __init__(self, space: StateSpace, config: MixtureConfig) -> None:
        super().__init__()
        size, given = space.size, len(config.means)
        if not given or given % size:
            raise ConfigError(
                f"target.mixture.means has {given} numbers, expected {size} (the coordinates of "
                "the matched state) for each component"
            )
        components = given // size
        if len(config.deviations) not in (1, size, given):
            raise ConfigError(
                f"target.mixture.deviations has {len(config.deviations)} numbers, expected 1, "
                f"{size} (one for each coordinate) or {given} (as many as means)"
            )
        weights = config.weights or (1.0,) * components
        if len(weights) != components:
            raise ConfigError(
                f"target.mixture.weights has {len(weights)} numbers, expected {components}: one "
                f"for each component (target.mixture.means has {given} numbers, {size} each)"
            )
        self.space = space
        self._means = nn.Buffer(torch.tensor(config.means).view(components, size))
        deviations = torch.tensor(config.deviations)
        rows = components if len(config.deviations) == given else 1
        self._deviations = nn.Buffer(deviations.view(rows, -1).expand(components, size))
        self._log_weights = nn.Buffer((torch.tensor(weights) / sum(weights)).log())

    def log_prob(self, state: Tensor) -> Tensor:
        """Return the log-density in nats, (...) from s (..., size)."""
        linear, angles = self.space.split(state.unsqueeze(-2))
        means, centres = self.space.split(self._means)
        deviations, widths = self.space.split(self._deviations)
        gaussian = -0.5 * ((linear - means) / deviations).square() - deviations.log()
        von_mises = von_mises_log_prob(angles, centres, widths.log())
        log_peaks = (gaussian - HALF_LOG_2PI).sum(-1) + von_mises.sum(-1)
        return torch.logsumexp(log_peaks + self._log_weights, -1)
