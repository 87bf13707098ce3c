"""State Marginal Matching: replay, density, discriminator, reward and SAC made one update."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from smm_core.config import Config, option
from smm_core.density import VAE, VAEConfig
from smm_core.discriminator import Discriminator, DiscriminatorConfig
from smm_core.generators import Generators
from smm_core.history import HistoryConfig, PolicyHistory, Snapshot
from smm_core.networks import skill_onehot
from smm_core.replay import ReplayBuffer
from smm_core.reward import RewardConfig, RewardTerms, smm_reward
from smm_core.sac import SAC, SACConfig
from smm_core.target import StateConfig, StateSpace, Target
from smm_core.transitions import Layout, Transition


@dataclass(frozen=True)
class LearnerConfig(Config):
    """Everything that decides what is learnt from a stream of transitions."""

    num_skills: int = option(1, "mixture components: 1 is SMM, more is SM4", low=1, high=1000)
    batch_size: int = option(128, "transitions in each update", low=1)
    replay_capacity: int = option(1_000_000, "transitions kept", low=1)
    random_steps: int = option(1000, "steps of uniform random actions before learning", low=1)
    updates_per_step: float = option(1.0, "gradient updates for each environment step", low=0.0)
    state: StateConfig = option(StateConfig(), "the matched state s and its target p*(s)")
    reward: RewardConfig = option(RewardConfig(), "weights of the four reward terms")
    sac: SACConfig = option(SACConfig(), "the policy")
    density: VAEConfig = option(VAEConfig(), "the density model q_z(s)")
    discriminator: DiscriminatorConfig = option(DiscriminatorConfig(), "d(z|s)")
    history: HistoryConfig = option(HistoryConfig(), "the historical average")


class Learner:
    """Learns R runs at once from transitions; knows no environment, no clock and no wire."""

    def __init__(self, layout: Layout, config: LearnerConfig, seeds: Sequence[int]) -> None:
        self.layout, self.config = layout, config
        self.generators = Generators(seeds)
        self.space = StateSpace(config.state, layout.obs_size)
        self.target = Target(config.state, self.space)
        self.replay = ReplayBuffer(layout, config.replay_capacity, len(seeds))
        self.density = VAE(self.generators, self.space, layout.skill_size, config.density)
        self.discriminator = Discriminator(
            self.generators, self.space, layout.num_skills, config.discriminator
        )
        self.sac = SAC(self.generators, layout, config.sac)
        self.history = PolicyHistory(config.history)
        self.log_skill_prior = torch.full((layout.num_skills,), -math.log(layout.num_skills))
        self.updates = 0

    @property
    def steps(self) -> int:
        """Environment steps observed by each run."""
        return self.replay.added

    @property
    def updates_owed(self) -> int:
        """Updates still to be made for the steps observed so far."""
        learning_steps = max(0, self.steps - self.config.random_steps)
        return int(learning_steps * self.config.updates_per_step) - self.updates

    def observe(self, transition: Transition) -> None:
        """Add one step to the replay; raises TransitionError where it does not fit."""
        self.replay.add(transition)

    def update(self) -> dict[str, Tensor]:
        """Make one update of every model (Algorithm 2); return metrics, (R,) each.

        The matched state is the one reached: density, discriminator and reward all see s_{t+1}.
        """
        batch = self.replay.sample(self.config.batch_size, self.generators)
        state = self.space.select(batch.next_obs)
        onehot = skill_onehot(batch.skill, self.layout)
        density_loss = self.density.fit(state, onehot, self.generators)
        if self.layout.num_skills > 1:
            self.discriminator.fit(state, batch.skill)
        terms = self._reward(state, batch.skill, onehot, batch.reward)
        metrics = self.sac.update(batch, terms.total, onehot, self.generators)
        self.updates += 1
        metrics |= {f"reward_{name}": term.mean(-1) for name, term in terms._asdict().items()}
        return metrics | {"density_loss": density_loss} | self._entropies(terms)

    @torch.no_grad()
    def _reward(
        self, state: Tensor, skill: Tensor, onehot: Tensor, env_reward: Tensor
    ) -> RewardTerms:
        log_density = self.density.log_prob(state, onehot, self.generators)
        if self.layout.num_skills > 1:
            log_posterior = self.discriminator.log_prob(state, skill)
        else:
            log_posterior = torch.zeros_like(log_density)
        return smm_reward(
            self.target.log_prob(env_reward),
            log_density,
            log_posterior,
            self.log_skill_prior[skill],
            self.config.reward,
        )

    def _entropies(self, terms: RewardTerms) -> dict[str, Tensor]:
        """Return H[s|z] (an upper bound: -E log q) and H[z|s] in nats over the replay."""
        weights = self.config.reward
        entropies = {}
        if weights.state_entropy:
            entropies["entropy_s_given_z"] = terms.density.mean(-1) / weights.state_entropy
        if weights.skill_entropy:
            entropies["entropy_z_given_s"] = -terms.posterior.mean(-1) / weights.skill_entropy
        return entropies

    @property
    def _present_version(self) -> int:
        """Version that a snapshot taken now has: 1 when learning starts, then one a period."""
        return 1 + (self.steps - self.config.random_steps) // self.config.history.period

    @property
    def snapshot_due(self) -> bool:
        """Whether the history should keep the present policy."""
        if self.steps < self.config.random_steps:
            return False
        return not self.history.weights or self.history.newest < self._present_version

    def snapshot(self) -> Snapshot:
        """Freeze the present policy and add it to the history."""
        weights = {n: t.clone() for n, t in self.sac.actor.state_dict().items()}
        snapshot = Snapshot(self._present_version, self.layout, weights)
        self.history.add(snapshot)
        return snapshot
