"""One update of everything that is learnt from a stream of transitions: reward, then SAC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from smm_core.config import Config, option
from smm_core.densities.density import DensityConfig
from smm_core.generators import Generators
from smm_core.history import HistoryConfig, PolicyHistory, Snapshot
from smm_core.networks import skill_onehot
from smm_core.objectives.count import Count, CountConfig
from smm_core.objectives.discriminator import DiscriminatorConfig
from smm_core.objectives.objective import Objective, TargetOnly
from smm_core.objectives.prediction_error import ICM, RND, ICMConfig, RNDConfig
from smm_core.objectives.pseudocount import PseudoCount, PseudoCountConfig
from smm_core.objectives.reward import RewardConfig
from smm_core.objectives.smm import StateMarginalMatching
from smm_core.replay import ReplayBuffer
from smm_core.sac import SAC, SACConfig
from smm_core.skill_prior import SkillPrior
from smm_core.state_space import StateConfig, StateSpace
from smm_core.targets.target import Target, TargetConfig
from smm_core.transitions import Layout, Transition


@dataclass(frozen=True)
class LearnerConfig(Config):
    """Everything that decides what is learnt from a stream of transitions."""

    method: str = option(
        "smm",
        "what the policy is paid for beside log p*(s): 'smm' State Marginal Matching (SM4 with"
        " num_skills above 1), 'sac' nothing, the others the bonus of that name",
        choices=("smm", "sac", "count", "pseudocount", "icm", "rnd"),
    )
    num_skills: int = option(1, "mixture components: 1 is SMM, more is SM4", low=1, high=1000)
    batch_size: int = option(128, "transitions in each update", low=1)
    replay_capacity: int = option(1_000_000, "transitions kept", low=1)
    random_steps: int = option(1000, "steps of uniform random actions before learning", low=1)
    updates_per_step: float = option(1.0, "gradient updates for each environment step", low=0.0)
    state: StateConfig = option(StateConfig(), "the matched state s")
    target: TargetConfig = option(TargetConfig(), "the target distribution p*(s)")
    reward: RewardConfig = option(RewardConfig(), "weights of the reward's terms")
    sac: SACConfig = option(SACConfig(), "the policy")
    density: DensityConfig = option(DensityConfig(), "the density model of smm, pseudocount")
    discriminator: DiscriminatorConfig = option(DiscriminatorConfig(), "d(z|s) of smm")
    count: CountConfig = option(CountConfig(), "method count")
    pseudocount: PseudoCountConfig = option(PseudoCountConfig(), "method pseudocount")
    icm: ICMConfig = option(ICMConfig(), "method icm")
    rnd: RNDConfig = option(RNDConfig(), "method rnd")
    history: HistoryConfig = option(HistoryConfig(), "the historical average")


class Learner:
    """Learns R runs at once from transitions; knows no environment, no clock and no wire."""

    def __init__(self, layout: Layout, config: LearnerConfig, seeds: Sequence[int]) -> None:
        self.layout, self.config = layout, config
        self.generators = Generators(seeds)
        self.space = StateSpace(config.state, layout.obs_size)
        self.target = Target(config.target, self.space)
        self.skill_prior = SkillPrior(layout.num_skills)
        self.replay = ReplayBuffer(layout, config.replay_capacity, len(seeds))
        self.objective = self._make_objective()
        self.sac = SAC(self.generators, layout, config.sac)
        self.history = PolicyHistory(config.history)
        self.updates = 0

    def _make_objective(self) -> Objective:
        config, weight = self.config, self.config.reward.target
        common = (self.generators, self.layout, self.space)
        match config.method:
            case "sac":
                return TargetOnly(weight)
            case "count":
                return Count(*common, weight, config.count)
            case "pseudocount":
                return PseudoCount(*common, weight, config.pseudocount, config.density)
            case "icm":
                return ICM(*common, weight, config.icm)
            case "rnd":
                return RND(*common, weight, config.rnd)
        models = (config.density, config.discriminator)
        return StateMarginalMatching(*common, self.skill_prior, config.reward, *models)

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
        next_obs = torch.tensor(transition.next_obs[:, None], dtype=torch.float32)
        skill = torch.tensor(transition.skill[:, None])
        self.objective.observe(self.space.select(next_obs), skill_onehot(skill, self.layout))

    def update(self) -> dict[str, Tensor]:
        """Make one update of every model (Algorithm 2); return metrics, (R,) each.

        The matched state is the one reached: models and reward all see s_{t+1}.
        """
        batch = self.replay.sample(self.config.batch_size, self.generators)
        state = self.space.select(batch.next_obs)
        onehot = skill_onehot(batch.skill, self.layout)
        metrics = self.objective.fit(batch, state, onehot, self.generators)
        log_target = self.target.log_prob(state, batch.reward)
        terms = self.objective.terms(batch, state, onehot, log_target, self.generators)
        reward = torch.stack(list(terms.values())).sum(0)
        metrics |= self.sac.update(batch, reward, onehot, self.generators)
        self.updates += 1
        metrics |= {f"reward_{name}": term.mean(-1) for name, term in terms.items()}
        metrics["reward_total"] = reward.mean(-1)
        return metrics | self.objective.entropies()

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
