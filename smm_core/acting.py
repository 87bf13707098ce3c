"""Acting with the policy history: one skill and one snapshot for a whole episode."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from smm_core.generators import Generators
from smm_core.history import PolicyHistory, Snapshot, SnapshotError
from smm_core.networks import Actor, skill_onehot
from smm_core.skill_prior import SkillPrior
from smm_core.transitions import Floats, Layout

RANDOM_VERSION = 0
"""Policy version of uniformly random actions, played before the first snapshot."""


_SEED_OFFSET = 1_000_003


def acting_seed(seed: int) -> int:
    """Return the seed of a run's acting, so that it never shares a stream with its learning."""
    return seed + _SEED_OFFSET


class ActingPolicy:
    """The policy that plays: Definition 3.1 with skills (Algorithm 2), for R runs in step."""

    def __init__(
        self,
        layout: Layout,
        hidden: Sequence[int],
        history: PolicyHistory,
        seeds: Sequence[int],
        activation: str = "relu",
    ) -> None:
        self.layout, self.history = layout, history
        self.generators = Generators(seeds)
        inputs = layout.obs_size + layout.skill_size
        self._actor = Actor(self.generators, inputs, layout.action_size, hidden, activation)
        self._actor.requires_grad_(False)
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
        """Draw the run's skill from p(z) and its snapshot by the averaging rule.

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
            weights[name][run] = tensor[run]

    @torch.no_grad()
    def act(self, obs: Floats) -> Floats:
        """Return actions in [-1, 1], (R, action_size), for observations (R, obs_size)."""
        noise = self.generators.normal(1, self.layout.action_size)
        blind = self.generators.uniform(self.layout.action_size, low=-1.0, high=1.0)
        onehot = skill_onehot(self.skill, self.layout)
        inputs = torch.cat((torch.from_numpy(obs), onehot), -1).unsqueeze(1)
        action, _ = self._actor.sample(inputs, noise)
        plays_blind = torch.from_numpy(self.version == RANDOM_VERSION).unsqueeze(1)
        return torch.where(plays_blind, blind, action.squeeze(1)).numpy()
