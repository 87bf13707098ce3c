"""One random stream for each run, so that a run draws the same numbers alone or beside others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


class Generators:
    """R independent random streams; every draw has the run axis in front: (R, *shape)."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self.streams = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __len__(self) -> int:
        return len(self.streams)

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal numbers, (R, *shape) float32."""
        return torch.stack([torch.randn(shape, generator=g, device="cpu") for g in self.streams])

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Draw numbers uniform on [low, high), (R, *shape) float32."""
        unit = torch.stack([torch.rand(shape, generator=g, device="cpu") for g in self.streams])
        return unit * (high - low) + low

    def integers(self, high: int | Tensor, *shape: int) -> Tensor:
        """Draw integers uniform on 0 .. high - 1, (R, *shape) int64."""
        end = int(high)
        return torch.stack(
            [torch.randint(end, shape, generator=g, device="cpu") for g in self.streams]
        )

    def twins(self) -> tuple[Generators, Generators]:
        """Return two that draw the same numbers, other ones each time that twins are asked for."""
        seeds = self.integers(2**62).tolist()
        return Generators(seeds), Generators(seeds)

    def state(self) -> Tensor:
        """Return the state of all streams, (R, bytes) uint8."""
        return torch.stack([g.get_state() for g in self.streams])

    def load_state(self, state: Tensor) -> None:
        """Continue from what `state` returned, or from a device's streams, with other numbers.

        Those of the other kind seed these: the runs go on with streams as independent as before.
        """
        if state.dtype != torch.uint8:
            for stream, seed in zip(self.streams, seeds_from(state), strict=True):
                stream.manual_seed(seed)
            return
        for stream, saved in zip(self.streams, state, strict=True):
            stream.set_state(saved.clone())  # set_state reads from the start of the storage


def seeds_from(state: Tensor) -> list[int]:
    """Return a seed for each row of what `state` of some random streams returned."""
    rows = [row.numpy().tobytes() for row in state.cpu()]
    return [int.from_bytes(hashlib.sha256(row).digest()[:7], "little") for row in rows]
