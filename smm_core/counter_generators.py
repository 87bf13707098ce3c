"""Random streams for a device: what R runs draw is one operation, not R of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from smm_core.generators import Generators, seeds_from

GOLDEN = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio: its multiples spread evenly over 64 bits."""
_MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_LARGEST = 2**63 - 1


class CounterGenerators(Generators):
    """SplitMix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, 2014).

    The n-th number of a run is a hash of its state and n, by whole-number arithmetic alone: the
    same on every device and however many runs there are. The state is on the device and advances
    there, so that a captured draw gives new numbers each time. Two of 1000 runs that draw 10^10
    numbers each share a part of their streams with probability 10^-3 at most.

    They have no `streams` to hand on: networks begin with the numbers of `Generators`.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        # Written by kernels, not copied from the host, which a CUDA graph may not do.
        starts = (np.random.SeedSequence(seed).generate_state(1, np.uint64) for seed in seeds)
        self._state = torch.stack(
            [torch.full((1,), as_int64(int(start[0])), device=device) for start in starts]
        )

    def __len__(self) -> int:
        return len(self._state)

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal numbers, (R, *shape) float32; none is beyond +-6.7.

        By Box and Muller (1958), from the two halves of each number.
        """
        bits = self._bits(shape)
        radius = (((bits >> 32) & 0xFFFFFFFF) + 1).float() * 2.0**-32
        turn = (bits & 0xFFFFFFFF).float() * 2.0**-32
        return (-2.0 * radius.log()).sqrt() * (2.0 * math.pi * turn).cos()

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Draw numbers uniform on [low, high), (R, *shape) float32, in steps of 2^-24."""
        unit = ((self._bits(shape) >> 40) & 0xFFFFFF).float() * 2.0**-24
        return unit * (high - low) + low

    def integers(self, high: int | Tensor, *shape: int) -> Tensor:
        """Draw integers uniform on 0 .. high - 1, (R, *shape) int64.

        `high` may be a number on the device; some are likelier than others by high / 2^63.
        """
        return (self._bits(shape) & _LARGEST).remainder(high)

    def twins(self) -> tuple[Generators, Generators]:
        """Return two that draw the same numbers, other ones each time that twins are asked for."""
        start = self._bits((1,))
        return self._started(start), self._started(start.clone())

    def state(self) -> Tensor:
        """Return the state of all streams, (R, 1) int64."""
        return self._state.clone()

    def load_state(self, state: Tensor) -> None:
        """Continue from what `state` returned, or from a `Generators`', with other numbers.

        That of the other kind seeds these: the runs go on with streams as independent as before.
        """
        if state.dtype != torch.int64:
            state = CounterGenerators(seeds_from(state)).state()
        if len(state) != len(self):
            raise ValueError(f"the saved state is of {len(state)} runs, expected {len(self)}")
        self._state.copy_(state)

    @classmethod
    def _started(cls, state: Tensor) -> CounterGenerators:
        found = cls.__new__(cls)
        found._state = state
        return found

    def _bits(self, shape: tuple[int, ...]) -> Tensor:
        """Return 64 random bits for each place, (R, *shape) int64."""
        count = math.prod(shape)
        steps = torch.arange(1, count + 1, device=self._state.device)
        drawn = _mix(self._state + steps * as_int64(GOLDEN))
        self._state.add_(as_int64(count * GOLDEN))
        return drawn.view(-1, *shape)


def generators_on(device: torch.device, seeds: Sequence[int]) -> Generators:
    """Return the random streams of a device, one for each seed."""
    return Generators(seeds) if device.type == "cpu" else CounterGenerators(seeds, device)


def _mix(bits: Tensor) -> Tensor:
    for shift, multiplier in zip((30, 27), _MULTIPLIERS, strict=True):
        bits = (bits ^ _shifted(bits, shift)) * as_int64(multiplier)
    return bits ^ _shifted(bits, 31)


def _shifted(bits: Tensor, places: int) -> Tensor:
    # An int64 is shifted with its sign, an unsigned number, which is meant, with zeros.
    return (bits >> places) & (2 ** (64 - places) - 1)


def as_int64(unsigned: int) -> int:
    """Return the signed number that has the lower 64 bits of another."""
    unsigned %= 2**64
    return unsigned - 2**64 if unsigned >= 2**63 else unsigned
