"""What every density model q_z(s) can do; each model is a file of its own."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor


class Density(Protocol):
    """A model q_z(s) of the states visited, R runs at once; also a torch module.

    States are (R, B, size) as `StateSpace.select` gives them; `skill_onehot` is (R, B, skill_size)
    and has width 0 where there is one skill. All that has to be saved is in `state_dict`.
    """

    is_exact: bool
    """Whether `log_prob` is the log-density itself or a lower bound on it."""
    optimizers: dict[str, torch.optim.Optimizer]
    """Optimisers whose state a checkpoint keeps; none where nothing is learnt by gradient."""

    def observe(self, state: Tensor, skill_onehot: Tensor) -> None:
        """Take in states reached for the first time; only models that count them do anything."""

    def fit(self, state: Tensor, skill_onehot: Tensor, generators: Any) -> Tensor:
        """Learn from states drawn from the replay; return the mean loss in nats before, (R,)."""

    def log_prob(self, state: Tensor, skill_onehot: Tensor, generators: Any) -> Tensor:
        """Return log q_z(s) in nats, or a lower bound on it, (R, B)."""

    def sample(self, skill_onehot: Tensor, generators: Any) -> Tensor:
        """Draw one state for each of (R, B, skill_size): (R, B, size)."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything learnt, as a torch module does."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Continue from what `state_dict` returned."""
