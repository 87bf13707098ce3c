"""Acting with the policy history: one skill and one snapshot for a whole episode."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from smm_core.device import CPU
from smm_core.generators import Generators
from smm_core.history import PolicyHistory, Snapshot, SnapshotError
from smm_core.networks import Actor, skill_onehot
from smm_core.skill_prior import SkillPrior
from smm_core.transitions import Floats, Layout

RANDOM_VERSION = 0
"""Policy version of uniformly random actions, played before the first snapshot."""


_SEED_OFFSET = 1_000_003
_ACTING_STREAM = 1


def acting_seed(seed: int, copy: int = 0) -> int:
    """Return the seed of a run's acting, so that it never shares a stream with its learning.

    Of the environments that a run plays in side by side, `copy` is the number; each has its own.
    """
    if not copy:
        return seed + _SEED_OFFSET
    drawn = np.random.SeedSequence(seed, spawn_key=(copy, _ACTING_STREAM))
    return int(drawn.generate_state(1, np.uint64)[0])


class ActingPolicy:
    """The policy that plays: Definition 3.1 with skills (Algorithm 2), for R runs in step.

    Each run may play in several environments side by side, each with a skill and a snapshot of
    its own: then `seeds` has one for each environment, those of a run next to each other, and
    where R stands below it counts the environments.
    """

    def __init__(
        self,
        layout: Layout,
        hidden: Sequence[int],
        history: PolicyHistory,
        seeds: Sequence[int],
        activation: str = "relu",
        copies: int = 1,
        device: torch.device = CPU,
    ) -> None:
        """Play a history of R / `copies` runs, each in `copies` environments.

        The actor is on the device; what is drawn, and taken and given here, is on the CPU.
        """
        self.layout, self.history, self._copies = layout, history, copies
        self.generators = Generators(seeds)
        inputs = layout.obs_size + layout.skill_size
        with device:
            self._actor = Actor(self.generators, inputs, layout.action_size, hidden, activation)
        self._actor.requires_grad_(False)
        self._device = device
        self._shapes = {name: t.shape[1:] for name, t in self._actor.state_dict().items()}
        runs = len(self.generators)
        self.skill_prior = SkillPrior(layout.num_skills)
        self.skill = torch.zeros(runs, dtype=torch.int64)
        self.version = np.zeros(runs, dtype=np.int64)

    def check(self, snapshot: Snapshot) -> None:
        """Raise SnapshotError for another layout or network, or weights that are no numbers."""
        if snapshot.layout != self.layout:
            raise SnapshotError(
                f"policy {snapshot.version} is for {snapshot.layout}, expected {self.layout}"
            )
        shapes = {name: t.shape[1:] for name, t in snapshot.weights.items()}
        wrong = [n for n in self._shapes if shapes.get(n) != self._shapes[n]]
        if wrong or len(shapes) != len(self._shapes):
            name = wrong[0] if wrong else "the number of tensors"
            raise SnapshotError(
                f"policy {snapshot.version} does not fit the actor at {name}; "
                "use the same sac.hidden for trainer and policy server"
            )
        broken = [n for n, t in snapshot.weights.items() if not t.isfinite().all()]
        if broken:
            raise SnapshotError(
                f"policy {snapshot.version} has weights in {broken[0]} that are not finite: "
                "the training has diverged"
            )

    def begin_episode(self, run: int = 0) -> None:
        """Draw the skill from p(z) and the snapshot by the averaging rule, of environment `run`.

        While there is no snapshot yet the episode plays uniformly random actions.
        """
        stream = self.generators.streams[run]
        coin, draw, skill = torch.rand(3, generator=stream).tolist()
        self.skill[run] = self.skill_prior.draw(skill)
        if not self.history.weights:
            self.version[run] = RANDOM_VERSION
            return
        snapshot = self.history.sample(coin, draw)
        self.version[run] = snapshot.version
        weights = self._actor.state_dict()
        for name, tensor in snapshot.weights.items():
            weights[name][run] = tensor[run // self._copies]

    @torch.no_grad()
    def act(self, obs: Floats) -> Floats:
        """Return actions in [-1, 1], (R, action_size), for observations (R, obs_size)."""
        noise = self.generators.normal(1, self.layout.action_size)
        plays_blind = self.version == RANDOM_VERSION
        # Twice the normal distribution function, less one: uniform on [-1, 1].
        action = torch.erf(noise / math.sqrt(2.0))
        if not plays_blind.all():
            onehot = skill_onehot(self.skill, self.layout)
            inputs = torch.cat((torch.from_numpy(obs), onehot), -1).unsqueeze(1)
            learnt = self._learnt(inputs, noise)
            action = torch.where(torch.from_numpy(plays_blind).view(-1, 1, 1), action, learnt)
        return action.squeeze(1).numpy()

    def _learnt(self, inputs: Tensor, noise: Tensor) -> Tensor:
        """Return the actor's actions, (R, 1, action_size); one way there and one back."""
        if self._device.type == CPU.type:
            return self._actor.act(inputs, noise)
        there = torch.cat((inputs, noise), -1).to(self._device)
        return self._actor.act(*there.tensor_split((inputs.shape[-1],), -1)).cpu()
