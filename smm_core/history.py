"""The historical average: kept policy snapshots and the rule that samples one per episode."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from dataclasses import dataclass
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from smm_core.config import Config, option
from smm_core.transitions import Layout

Weights = dict[str, Tensor]


class SnapshotError(ValueError):
    """A snapshot was damaged on its way or belongs to another layout."""


@dataclass(frozen=True)
class HistoryConfig(Config):
    """Which policies are kept and how one of them is drawn at the start of an episode."""

    rule: str = option(
        "uniform",
        "'uniform' over all iterations, 'linear' (the i-th weighs i) and 'exponential' favour "
        "late ones, 'last' over the newest `capacity` only",
        choices=("uniform", "linear", "exponential", "last"),
    )
    capacity: int = option(20, "number of snapshots kept", low=1)
    growth: float = option(
        1.2, "weight ratio of successive snapshots, 'exponential' only", low=1.0
    )
    period: int = option(250, "environment steps between snapshots", low=1)
    on_policy: float = option(
        1.0,
        "probability that an episode uses the newest policy; 0 plays the historical average",
        low=0.0,
        high=1.0,
    )


@dataclass(frozen=True)
class Snapshot:
    """One frozen policy: the actor's weights with the run axis in front."""

    version: int
    layout: Layout
    weights: Weights

    def to_bytes(self) -> bytes:
        """Serialise the weights; safetensors, so that reading them runs no code."""
        contiguous = {name: tensor.contiguous() for name, tensor in self.weights.items()}
        return safetensors.torch.save(contiguous)

    @classmethod
    def from_bytes(cls, version: int, layout: Layout, data: bytes, sha256: str) -> Snapshot:
        """Read `to_bytes` back; raises SnapshotError where the checksum does not match."""
        found = checksum(data)
        if found != sha256:
            raise SnapshotError(
                f"policy {version} has checksum {found[:12]}, expected {sha256[:12]}: "
                "it was damaged on the way; the last good policy is kept"
            )
        try:
            weights = safetensors.torch.load(data)
        except safetensors.SafetensorError as error:
            raise SnapshotError(f"policy {version} is not safetensors: {error}") from error
        return cls(version, layout, weights)


def checksum(data: bytes) -> str:
    """Return the SHA-256 of serialised weights, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


class PolicyHistory:
    """A bounded set of snapshots whose weighted draw stands for the whole history.

    The i-th snapshot weighs 1 ('uniform'), i ('linear') or growth^i ('exponential', told by
    dividing the older ones, since growth^i overflows). 'linear' is the step 2 / (i + 1) of
    Frank-Wolfe's method, of which fictitious play is a case: the poor early policies fade as
    1 / i^2, and the average still widens with the run.
    Above capacity the two neighbours that weigh least together become one: a survivor drawn by
    weight, carrying both weights. So each policy ever added keeps, in expectation, the
    probability that the full history would give it (Definition 3.1).
    """

    def __init__(self, config: HistoryConfig) -> None:
        self.config = config
        self.snapshots: dict[int, Snapshot] = {}
        self.weights: dict[int, float] = {}
        # Not of a run's seed: the kept versions are then the same for every run and its replay.
        self._random = random.Random(0)

    def add(self, snapshot: Snapshot) -> None:
        """Keep a snapshot newer than all kept ones, making room by the rule."""
        if self.weights and snapshot.version <= self.newest:
            raise ValueError(f"policy {snapshot.version} is not newer than {self.newest}")
        growth = self.config.growth if self.config.rule == "exponential" else 1.0
        # The newest is never merged, so its weight is still the number of those before.
        before = self.weights[self.newest] if self.config.rule == "linear" and self.weights else 0
        self.weights = {version: w / growth for version, w in self.weights.items()}
        self.snapshots[snapshot.version] = snapshot
        self.weights[snapshot.version] = before + 1.0
        if len(self.weights) > self.config.capacity:
            self._make_room()

    def _make_room(self) -> None:
        versions = sorted(self.weights)
        if self.config.rule == "last" or len(versions) == 2:
            dropped, heir = versions[0], None
        else:
            # The newest stays out of it: it is the policy in training.
            pairs = list(zip(versions[:-2], versions[1:-1], strict=True))
            older, newer = min(pairs, key=lambda p: self.weights[p[0]] + self.weights[p[1]])
            both = self.weights[older] + self.weights[newer]
            share = self.weights[newer] / both if both else 0.5  # both may be too small to tell
            dropped, heir = (older, newer) if self._random.random() < share else (newer, older)
        weight = self.weights.pop(dropped)
        del self.snapshots[dropped]
        if heir is not None:
            self.weights[heir] += weight

    def keep(self, snapshot: Snapshot, weights: dict[int, float]) -> None:
        """Mirror another history: add its newest snapshot and take over its weights."""
        self.snapshots[snapshot.version] = snapshot
        self.weights = {v: w for v, w in weights.items() if v in self.snapshots}
        self.snapshots = {v: self.snapshots[v] for v in self.weights}

    @property
    def newest(self) -> int:
        """Version of the newest snapshot; raises ValueError where there is none."""
        if not self.weights:
            raise ValueError("the policy history is empty; add a snapshot first")
        return max(self.weights)

    def sample(self, coin: float, draw: float) -> Snapshot:
        """Return the policy of the next episode from two numbers uniform on [0, 1)."""
        if coin < self.config.on_policy:
            return self.snapshots[self.newest]
        left = draw * sum(self.weights.values())
        for version in sorted(self.weights):
            left -= self.weights[version]
            if left < 0:
                return self.snapshots[version]
        return self.snapshots[self.newest]

    def averaged(self) -> PolicyHistory:
        """Return the same policies to be played as the historical average (Definition 3.1)."""
        average = PolicyHistory(dataclasses.replace(self.config, on_policy=0.0))
        average.snapshots, average.weights = dict(self.snapshots), dict(self.weights)
        return average

    def state(self) -> tuple[Weights, dict[str, Any]]:
        """Return all kept weights by 'version/name', and the plain numbers besides."""
        tensors = {
            f"{version}/{name}": tensor
            for version, snapshot in self.snapshots.items()
            for name, tensor in snapshot.weights.items()
        }
        version, words, gauss = self._random.getstate()
        numbers = {
            "weights": {str(v): w for v, w in self.weights.items()},
            "random": [version, list(words), gauss],
        }
        return tensors, numbers

    def load_state(self, tensors: Weights, numbers: dict[str, Any], layout: Layout) -> None:
        """Continue from what `state` returned."""
        self.weights = {int(v): w for v, w in numbers["weights"].items()}
        loaded: dict[int, Weights] = {version: {} for version in self.weights}
        for key, tensor in tensors.items():
            version, name = key.split("/", 1)
            loaded[int(version)][name] = tensor
        self.snapshots = {v: Snapshot(v, layout, weights) for v, weights in loaded.items()}
        version, words, gauss = numbers["random"]
        self._random.setstate((version, tuple(words), gauss))
