"""A ring buffer of transitions, one row each, preallocated for all runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from smm_core.generators import Generators
from smm_core.transitions import Layout, Transition, TransitionError


@dataclass(frozen=True)
class Batch:
    """Rows drawn from the buffer; all tensors float32 but `skill` (int64)."""

    obs: Tensor
    """(R, B, obs_size)"""
    action: Tensor
    """(R, B, action_size)"""
    next_obs: Tensor
    """(R, B, obs_size)"""
    reward: Tensor
    """(R, B), nats"""
    skill: Tensor
    """(R, B)"""
    terminated: Tensor
    """(R, B), 1 where the task ended"""


class ReplayBuffer:
    """The newest `capacity` transitions of R runs that advance together."""

    def __init__(self, layout: Layout, capacity: int, runs: int) -> None:
        self.layout = layout
        self.capacity = capacity
        self.added = 0
        obs, action = layout.obs_size, layout.action_size
        self._widths = (obs, action, obs, 1, 1, 1)
        # Packed in one array: a sampled row is one contiguous read instead of six.
        self._rows = torch.zeros(runs, capacity, sum(self._widths))
        self._run_index = torch.arange(runs).unsqueeze(1)

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, transition: Transition) -> None:
        """Append one step of every run, over the oldest where full.

        Raises TransitionError (and keeps the buffer as it was) where it does not fit.
        """
        transition.check(self.layout)
        runs = len(self._run_index)
        if len(transition.obs) != runs:
            raise TransitionError(f"transition of {len(transition.obs)} runs, expected {runs}")
        row = np.concatenate(
            (
                transition.obs,
                transition.action,
                transition.next_obs,
                transition.reward[:, None],
                transition.skill[:, None],
                transition.terminated[:, None],
            ),
            axis=1,
            dtype=np.float32,
        )
        self._rows[:, self.added % self.capacity] = torch.from_numpy(row)
        self.added += 1

    def sample(self, batch_size: int, generators: Generators) -> Batch:
        """Draw rows uniformly with replacement, each run from its own stream."""
        if not len(self):
            raise ValueError("the replay buffer is empty; add a transition before sampling")
        return self._batch(self._rows[self._run_index, generators.integers(len(self), batch_size)])

    def rows(self, index: Tensor) -> Batch:
        """Return the rows at places (B,) of the buffer, the same of every run."""
        return self._batch(self._rows[:, index])

    def reached(self) -> Tensor:
        """Return the next_obs of every row, (R, rows, obs_size), oldest first.

        Copies only these columns, and nothing while the buffer is not full: read it before the
        next `add`.
        """
        next_obs = self._rows.split(self._widths, dim=-1)[2]
        if self.added <= self.capacity:
            return next_obs[:, : self.added]
        return next_obs.roll(-self.added % self.capacity, 1)

    def _batch(self, rows: Tensor) -> Batch:
        obs, action, next_obs, reward, skill, terminated = rows.split(self._widths, dim=-1)
        return Batch(
            obs,
            action,
            next_obs,
            reward.squeeze(-1),
            skill.squeeze(-1).long(),
            terminated.squeeze(-1),
        )

    def state(self) -> dict[str, Tensor]:
        """Return what `load_state` needs: the rows in use and the count ever added."""
        return {"rows": self._rows[:, : len(self)], "added": torch.tensor(self.added)}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Continue from what `state` returned; raises ValueError where the sizes differ."""
        rows, added = state["rows"], int(state["added"])
        runs, _, width = self._rows.shape
        if rows.shape != (runs, min(added, self.capacity), width):
            raise ValueError(
                f"saved replay has rows {tuple(rows.shape)} of {added} added, this buffer takes"
                f" ({runs}, up to {self.capacity}, {width}); use the settings it was saved with"
            )
        self._rows[:, : rows.shape[1]] = rows
        self.added = added
