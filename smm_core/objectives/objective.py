"""What the policy is paid for: the part in which exploration methods differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from smm_core.generators import Generators
from smm_core.replay import Batch


class Objective(Protocol):
    """Turns transitions into the reward that the policy maximises; also a torch module.

    `state` is the matched state reached, (R, B, size), `skill_onehot` (R, B, skill_size),
    `log_target` log p*(s) of that state in nats, (R, B).
    """

    optimizers: dict[str, torch.optim.Optimizer]
    """Optimisers whose state a checkpoint keeps."""

    def observe(self, state: Tensor, skill_onehot: Tensor) -> None:
        """Take in states reached for the first time; only methods that count them need it."""

    def fit(
        self, batch: Batch, state: Tensor, skill_onehot: Tensor, generators: Generators
    ) -> dict[str, Tensor]:
        """Learn what the reward needs from a batch; return metrics, (R,) each."""

    def terms(
        self,
        batch: Batch,
        state: Tensor,
        skill_onehot: Tensor,
        log_target: Tensor,
        generators: Generators,
    ) -> dict[str, Tensor]:
        """Return the terms of the reward by name, (R, B) nats each, weighted: it is their sum."""

    def entropies(self) -> dict[str, Tensor]:
        """Return the entropies in nats, (R,) each, of the states of the last `terms`."""

    def buffers(self) -> Iterator[Tensor]:
        """Yield what is kept beside the parameters, as a torch module does."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything learnt, as a torch module does."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Continue from what `state_dict` returned."""


class TargetOnly(torch.nn.Module):
    """Plain reinforcement learning: the reward is log p*(s) alone."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.optimizers: dict[str, torch.optim.Optimizer] = {}

    def observe(self, state: Tensor, skill_onehot: Tensor) -> None:
        """Do nothing: what is learnt, if anything, is learnt by `fit`."""

    def fit(
        self, batch: Batch, state: Tensor, skill_onehot: Tensor, generators: Generators
    ) -> dict[str, Tensor]:
        """Do nothing: there is nothing to learn."""
        return {}

    def terms(
        self,
        batch: Batch,
        state: Tensor,
        skill_onehot: Tensor,
        log_target: Tensor,
        generators: Generators,
    ) -> dict[str, Tensor]:
        """Return log p*(s), weighted, (R, B)."""
        return {"target": self.weight * log_target}

    def entropies(self) -> dict[str, Tensor]:
        """Return none: no density is known."""
        return {}


class Bonus(TargetOnly):
    """A bonus beside log p*(s): what the methods share that pay states for more than the target.

    A method says in `paid` what its bonus is, and overrides what else it needs.
    """

    def __init__(self, target_weight: float, coefficient: float) -> None:
        super().__init__(target_weight)
        self.coefficient = coefficient

    def paid(self, batch: Batch, state: Tensor) -> Tensor:
        """Return the bonus before its weight, (R, B), of a batch and the states it reached."""
        raise NotImplementedError

    @torch.no_grad()
    def terms(
        self,
        batch: Batch,
        state: Tensor,
        skill_onehot: Tensor,
        log_target: Tensor,
        generators: Generators,
    ) -> dict[str, Tensor]:
        """Return log p*(s) and the bonus, weighted, (R, B) each."""
        target = super().terms(batch, state, skill_onehot, log_target, generators)
        return target | {"bonus": self.coefficient * self.paid(batch, state)}
