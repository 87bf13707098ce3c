"""One update of everything that is learnt from a stream of transitions: reward, then SAC."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from smm_core.config import Config, ConfigError, option
from smm_core.counter_generators import generators_on
from smm_core.densities.density import DensityConfig
from smm_core.device import CPU
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
from smm_core.replay import Batch, ReplayBuffer
from smm_core.sac import SAC, SACConfig
from smm_core.skill_prior import SkillPrior
from smm_core.state_space import StateConfig, StateSpace
from smm_core.symmetry import Symmetry, SymmetryConfig
from smm_core.targets.target import Target, TargetConfig
from smm_core.transitions import Layout, Transition
from smm_core.update_graph import Recorder, UpdateGraph


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
    symmetry: SymmetryConfig = option(
        SymmetryConfig(), "alike parts of the robot, by which a transition stands for several"
    )
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

    def __init__(
        self,
        layout: Layout,
        config: LearnerConfig,
        seeds: Sequence[int],
        device: torch.device = CPU,
    ) -> None:
        """Begin with the weights that the seeds stand for, the same on every device.

        What is learnt, and the replay, is on the device; the history is not. The random numbers
        drawn while learning are of another kind than on a CPU (`CounterGenerators`).
        """
        self.layout, self.config = layout, config
        self.space = StateSpace(config.state, layout.obs_size)
        self.target = Target(config.target, self.space).to(device)
        with device:  # every tensor that is made in here is made there
            self.generators = Generators(seeds)
            self.symmetry = Symmetry(config.symmetry, layout)
            self.skill_prior = SkillPrior(layout.num_skills)
            self.replay = ReplayBuffer(layout, config.replay_capacity, len(seeds))
            self.objective = self._make_objective()
            self.sac = SAC(self.generators, layout, config.sac)
        self._learn: Callable[[], dict[str, Tensor]] = self._learn_eagerly
        if device.type != CPU.type:
            self.generators = generators_on(device, seeds)
        if device.type == "cuda":
            self._learn = UpdateGraph(self._learn_eagerly, self._replaceable, Recorder(device))
        self.history = PolicyHistory(config.history)
        self.updates = 0
        """Updates of the policy ever made."""
        self.prefilled = 0
        """Transitions of earlier runs, which are no steps of this one."""
        self.off_line_updates = 0
        """Those of `updates` that no step of this run owed."""
        self.off_line_versions = 0
        """Policies kept before the first step of this run."""

    def _make_objective(self) -> Objective:
        config, weight = self.config, self.config.reward.target
        common = (self.generators, self.layout, self.space)
        match config.method:
            case "sac":
                return TargetOnly(weight)
            case "count":
                return Count(*common, weight, config.count)
            case "pseudocount":
                if config.symmetry.order > 1:
                    raise ConfigError(
                        f"symmetry.order is {config.symmetry.order} with method 'pseudocount',"
                        " which knows its bonus for states that were seen alone; expected 1, or"
                        " another method"
                    )
                return PseudoCount(*common, weight, config.pseudocount, config.density)
            case "icm":
                return ICM(*common, weight, config.icm)
            case "rnd":
                return RND(*common, weight, config.rnd)
        models = (config.density, config.discriminator)
        return StateMarginalMatching(*common, self.skill_prior, config.reward, *models)

    @property
    def steps(self) -> int:
        """Environment steps observed by each run; what it was prefilled with is none."""
        return self.replay.added - self.prefilled

    @property
    def updates_owed(self) -> int:
        """Updates still to be made for the steps observed so far."""
        learning_steps = max(0, self.steps - self.config.random_steps)
        owed = int(learning_steps * self.config.updates_per_step)
        return owed - (self.updates - self.off_line_updates)

    def observe(self, transition: Transition, copies: int = 1) -> None:
        """Add a step of each of every run's `copies` environments to the replay.

        Raises TransitionError where it does not fit.
        """
        self._take_in(transition, copies)

    def prefill(self, transition: Transition) -> None:
        """Add a transition of an earlier run, as `observe` does, but not as a step of this one.

        Raises TransitionError where it does not fit, ValueError after the first step: what is
        earlier has to come before.
        """
        self._check_off_line()
        self._take_in(transition, 1)
        self.prefilled += 1

    def _take_in(self, transition: Transition, copies: int) -> None:
        next_obs, skill = self.replay.add(transition, copies)
        self.objective.observe(self.space.select(next_obs), skill_onehot(skill, self.layout))

    def reached(self) -> Tensor:
        """Return the next_obs of this run's steps in the replay, (R, rows, obs_size), in order.

        As `ReplayBuffer.reached`, without what the replay was prefilled with.
        """
        forgotten = self.replay.added - len(self.replay)
        return self.replay.reached()[:, max(0, self.prefilled - forgotten) :]

    def warm_up(self) -> dict[str, Tensor]:
        """Make one update of what the objective learns, the density above all; return metrics.

        The policy and its critics stay as they are, and it does not count as an update.
        """
        return self._fit_objective()[0]

    def update(self) -> dict[str, Tensor]:
        """Make one update of every model (Algorithm 2); return metrics, (R,) each.

        The matched state is the one reached: models and reward all see s_{t+1}. With a symmetry
        SAC learns from equals of the transitions drawn; what is told is of those drawn.
        """
        metrics = self._learn()
        self.updates += 1
        return metrics

    def _learn_eagerly(self) -> dict[str, Tensor]:
        metrics, batch, state, onehot = self._fit_objective()
        learnt, terms = batch, self._terms(batch, state, onehot)
        reward = _total(terms)
        metrics |= {f"reward_{name}": term.mean(-1) for name, term in terms.items()}
        metrics |= {"reward_total": reward.mean(-1)} | self.objective.entropies()
        if self.symmetry.order > 1:
            learnt = self.symmetry.turned(batch, self.generators)
            reward = _total(self._terms(learnt, self.space.select(learnt.next_obs), onehot))
        return metrics | self.sac.update(learnt, reward, onehot, self.generators)

    def _terms(self, batch: Batch, state: Tensor, onehot: Tensor) -> dict[str, Tensor]:
        """Return what each row of a batch is paid, by its terms, (R, B) nats each."""
        log_target = self.target.log_prob(state, batch.reward)
        return self.objective.terms(batch, state, onehot, log_target, self.generators)

    def _replaceable(self) -> Iterator[Tensor]:
        """Yield what is learnt in, and may be put into another tensor, as a table that grows."""
        yield from self.objective.buffers()
        for optimizer in (*self.objective.optimizers.values(), *self.sac.optimizers.values()):
            for state in optimizer.state.values():
                yield from state.values()

    def update_off_line(self) -> dict[str, Tensor]:
        """Make one update that no step owes; raises ValueError after the first step."""
        self._check_off_line()
        self.off_line_updates += 1
        return self.update()

    def _fit_objective(self) -> tuple[dict[str, Tensor], Batch, Tensor, Tensor]:
        """Draw a batch and fit the objective's models to it; return metrics and what was drawn."""
        batch = self.replay.sample(self.config.batch_size, self.generators)
        state = self.space.select(batch.next_obs)
        onehot = skill_onehot(batch.skill, self.layout)
        return self.objective.fit(batch, state, onehot, self.generators), batch, state, onehot

    def _check_off_line(self) -> None:
        if self.steps:
            raise ValueError(f"{self.steps} steps were observed; what is off line comes before")

    @property
    def _present_version(self) -> int:
        """Version that a snapshot taken now has: one when learning starts, then one a period.

        Counted from 1, or behind the policies that were learnt before the first step.
        """
        periods = (self.steps - self.config.random_steps) // self.config.history.period
        return self.off_line_versions + 1 + periods

    @property
    def snapshot_due(self) -> bool:
        """Whether the history should keep the present policy."""
        if self.steps < self.config.random_steps:
            return False
        return not self.history.weights or self.history.newest < self._present_version

    def snapshot(self) -> Snapshot:
        """Freeze the present policy and add it to the history."""
        return self._keep(self._present_version)

    def snapshot_off_line(self) -> Snapshot:
        """Freeze the present policy before the first step; raises ValueError after it."""
        self._check_off_line()
        self.off_line_versions += 1
        return self._keep(self.off_line_versions)

    def _keep(self, version: int) -> Snapshot:
        learnt = self.sac.actor.state_dict()
        weights = {n: t.to(CPU, copy=True) for n, t in learnt.items()}
        snapshot = Snapshot(version, self.layout, weights)
        self.history.add(snapshot)
        return snapshot


def _total(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum(0)
