"""What the outputs of a VAE's decoder say of a state: log q(s|c), in nats, and its slope."""

from __future__ import annotations

import math

import torch
from scipy.special import i0e
from torch import Tensor
from torch.nn import functional as F

from smm_core.densities.von_mises import von_mises_log_prob
from smm_core.state_space import StateSpace

LOG_2PI = math.log(2 * math.pi)


class Likelihood:
    """A Gaussian for each linear coordinate, a von Mises distribution for each angle.

    Of the decoder's outputs the first are the Gaussians' means and log deviations, then the
    angles' directions, as far east and north, and their log widths. A fixed width is the default:
    a learnt one soon covers a state of few coordinates by itself, the code goes unused, and the
    density has one peak at most.
    """

    def __init__(self, space: StateSpace, width: float, min_width: float) -> None:
        """`width`: of all coordinates (rad for angles); 0 takes the outputs', from `min_width`."""
        self._sizes = (space.num_linear,) * 2 + (space.num_circular,) * 3
        self._width, self._floor = width, math.log(min_width)
        if width:
            self._precision = width**-2.0
            circular = -math.log(i0e(self._precision)) - math.log(2 * math.pi)
            gaussian = -math.log(width) - 0.5 * LOG_2PI
            self._peak = space.num_linear * gaussian + space.num_circular * circular

    @property
    def num_outputs(self) -> int:
        """Outputs of the decoder."""
        return sum(self._sizes)

    def parts(self, decoded: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return mean and log deviation of the linear coordinates, centre and log width of angles.

        (..., coordinates) each, from outputs (..., num_outputs).
        """
        mean, log_std, east, north, log_width = decoded.split(self._sizes, dim=-1)
        return mean, self._log_width(log_std), torch.atan2(north, east), self._log_width(log_width)

    def log_prob(self, linear: Tensor, angles: Tensor, decoded: Tensor) -> Tensor:
        """Return log q(s|c) summed over the coordinates, (...), as `linear` is scaled."""
        if self._width:
            mean, _, east, north, _ = decoded.split(self._sizes, dim=-1)
            nearness = _cosine(angles, east, north)[0].sum(-1) - angles.shape[-1]
            distance = (linear - mean).square().sum(-1)
            return self._peak + self._precision * (nearness - 0.5 * distance)
        mean, log_std, centre, log_width = self.parts(decoded)
        error = (linear - mean) / log_std.exp()
        gaussian = -0.5 * error.square() - log_std - 0.5 * LOG_2PI
        return gaussian.sum(-1) + von_mises_log_prob(angles, centre, log_width).sum(-1)

    def slope(self, linear: Tensor, angles: Tensor, decoded: Tensor) -> Tensor:
        """Return the gradient of `log_prob` by the outputs, (..., num_outputs); of a fixed width.

        The cosine of an angle's distance from its direction d is a . d / |d|, whose gradient by d
        is (a - cosine d / |d|) / |d|.
        """
        mean, log_std, east, north, log_width = decoded.split(self._sizes, dim=-1)
        cosine, length, cos, sin = _cosine(angles, east, north)
        of_east = (cos - cosine * east / length) / length
        of_north = (sin - cosine * north / length) / length
        free, free_width = torch.zeros_like(log_std), torch.zeros_like(log_width)
        slope = torch.cat((linear - mean, free, of_east, of_north, free_width), -1)
        return slope.mul_(self._precision)

    def _log_width(self, decoded: Tensor) -> Tensor:
        if self._width:
            return torch.full_like(decoded, math.log(self._width))
        return self._floor + F.softplus(decoded - self._floor)


def _cosine(angles: Tensor, east: Tensor, north: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the cosine between angles and directions, these' length, and the angles' directions.

    Directions without length have none: they are at right angles to all.
    """
    length = torch.hypot(east, north).clamp_min(1e-12)
    cos, sin = angles.cos(), angles.sin()
    return (cos * east + sin * north) / length, length, cos, sin
