"""A ring buffer of transitions, one row each, preallocated for all runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from smm_core.config import ConfigError
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
        self._rows = _room(runs, capacity, sum(self._widths))
        self._run_index = torch.arange(runs).unsqueeze(1)
        self._held = torch.zeros((), dtype=torch.int64)

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, transition: Transition, copies: int = 1) -> tuple[Tensor, Tensor]:
        """Append a step of each of every run's `copies` environments, over the oldest where full.

        Returns next_obs, (R, copies, obs_size), and skill, (R, copies), on the buffer's device.
        Raises TransitionError (and keeps the buffer as it was) where it does not fit.
        """
        transition.check(self.layout)
        runs = len(self._run_index)
        if len(transition.obs) != runs * copies:
            wanted = f"{runs}" if copies == 1 else f"{runs} with {copies} environments each"
            raise TransitionError(f"transition of {len(transition.obs)} runs, expected {wanted}")
        if copies > self.capacity:
            raise TransitionError(f"{copies} rows at once, expected at most {self.capacity}")
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
        rows = torch.from_numpy(row).view(runs, copies, -1).to(self._rows.device)
        place = self.added % self.capacity
        before_end = min(copies, self.capacity - place)
        self._rows[:, place : place + before_end] = rows[:, :before_end]
        if before_end < copies:
            self._rows[:, : copies - before_end] = rows[:, before_end:]
        self._count(self.added + copies)
        begin = sum(self._widths[:2])
        return rows[..., begin : begin + self.layout.obs_size], rows[..., -2].long()

    def _count(self, added: int) -> None:
        self.added = added
        if not self._rows.is_cpu:
            self._held.fill_(len(self))

    def sample(self, batch_size: int, generators: Generators) -> Batch:
        """Draw rows uniformly with replacement, each run from its own stream."""
        if not len(self):
            raise ValueError("the replay buffer is empty; add a transition before sampling")
        # A captured update reads how many there are where it runs: they become more.
        held = len(self) if self._rows.is_cpu else self._held
        return self._batch(self._rows[self._run_index, generators.integers(held, batch_size)])

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
        self._count(added)


def _room(*shape: int) -> Tensor:
    try:
        return torch.zeros(*shape)
    except torch.OutOfMemoryError as error:
        size = 4 * math.prod(shape) / 2**30
        raise ConfigError(
            f"the replay of {shape[0]} runs takes {size:.1f} GiB, more than the device has left;"
            " make replay_capacity or runs smaller"
        ) from error
