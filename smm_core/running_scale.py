"""The mean and standard deviation of all states seen, by which a model's inputs are scaled."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SMALLEST = 1e-6
"""Smallest standard deviation: a coordinate that never changes is scaled by it."""


class RunningScale(nn.Module):
    """Mean and standard deviation of `size` linear coordinates, R runs at once."""

    def __init__(self, runs: int, size: int) -> None:
        super().__init__()
        self.seen = nn.Buffer(torch.zeros(runs, 1, 1))
        self.mean = nn.Buffer(torch.zeros(runs, 1, size))
        self.deviation = nn.Buffer(torch.ones(runs, 1, size))

    def observe(self, linear: Tensor) -> None:
        """Take in a batch, (R, B, size), beside all that came before."""
        batch = linear.shape[1]
        self.seen.add_(batch)
        if not linear.numel():
            return
        share = batch / self.seen
        shift = linear.mean(1, keepdim=True) - self.mean
        variance = linear.var(1, unbiased=False, keepdim=True) - self.deviation.square()
        spread = variance + (1.0 - share) * shift.square()
        self.deviation.copy_((self.deviation.square() + share * spread).sqrt().clamp_min(SMALLEST))
        self.mean.add_(share * shift)

    def normalise(self, linear: Tensor) -> Tensor:
        """Return (R, B, size) with mean 0 and standard deviation 1."""
        return (linear - self.mean) / self.deviation

    def restore(self, normalised: Tensor) -> Tensor:
        """Return (R, B, size) in its own units, from what `normalise` returned."""
        return normalised * self.deviation + self.mean

    def log_volume(self) -> Tensor:
        """Return log |d normalised / d linear|, (R, 1): what a log-density gains by scaling."""
        return -self.deviation.log().sum(-1)
