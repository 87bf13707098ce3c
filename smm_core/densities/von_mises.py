"""The von Mises distribution, the Gaussian of the circle: log-density and draws for R runs."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from smm_core.generators import Generators

PROPOSALS = 24
"""Proposals made for each draw; all are refused in fewer than 1 draw of 10^11."""


def von_mises_log_prob(angle: Tensor, centre: Tensor, log_width: Tensor) -> Tensor:
    """Return the log-density on the circle, nats per rad, of concentration 1 / width^2.

    Uses log I0(k) = k + log(i0e(k)), which does not overflow for narrow widths.
    """
    concentration = (-2.0 * log_width).exp()
    log_bessel = torch.special.i0e(concentration).log()
    return concentration * ((angle - centre).cos() - 1.0) - math.log(2 * math.pi) - log_bessel


@torch.no_grad()
def von_mises_sample(centre: Tensor, log_width: Tensor, generators: Generators) -> Tensor:
    """Draw one angle in [-pi, pi) for each centre, (R, ...), of concentration 1 / width^2.

    Rejection from a wrapped Cauchy distribution (Best and Fisher, Efficient simulation of the
    von Mises distribution, 1979). The number of proposals is fixed, so that a run's stream
    advances by as much alone as beside others.
    """
    concentration = (-2.0 * log_width.double()).exp().clamp_min(1e-5).unsqueeze(-1)
    tau = 1.0 + (1.0 + 4.0 * concentration.square()).sqrt()
    rho = (tau - (2.0 * tau).sqrt()) / (2.0 * concentration)
    spread = (1.0 + rho.square()) / (2.0 * rho)
    shape = centre.shape[1:]
    proposed = (math.pi * generators.uniform(*shape, PROPOSALS).double()).cos()
    cosine = (1.0 + spread * proposed) / (spread + proposed)
    slack = concentration * (spread - cosine)
    chance = (slack.log() + 1.0 - slack).exp()
    taken = generators.uniform(*shape, PROPOSALS) < chance
    first = taken.int().argmax(-1, keepdim=True)
    offset = cosine.gather(-1, first).squeeze(-1).clamp(-1.0, 1.0).acos()
    sign = 2.0 * generators.integers(2, *shape) - 1.0
    angle = centre.double() + sign * offset
    return (torch.remainder(angle + math.pi, 2 * math.pi) - math.pi).to(centre.dtype)
