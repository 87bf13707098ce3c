"""The in-process loop: the same learner as on the robot, over any gymnasium environment."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from smm_core import checkpoint
from smm_core.acting import ActingPolicy, acting_seed
from smm_core.config import C, Config, ConfigError, from_mapping, option, to_mapping
from smm_core.device import open_device
from smm_core.environments import EPISODE_LIMIT, layout_of, make_env, make_envs, read_env_options
from smm_core.evaluation.metrics import coverage
from smm_core.learner import Learner, LearnerConfig
from smm_core.rollout import Rollout
from smm_core.run_folder import RunFolder
from smm_core.state_space import StateConfig
from smm_core.targets.target import REWARD, SUGGESTED, TargetConfig

Metrics = dict[str, Any]
Report = Callable[[Metrics], None]

_ENV_STREAM = 2

CHANGEABLE = ("steps", "threads", "device", "report_period", "checkpoint_period")
"""Settings that a resumed run may have anew: how long and where it learns, not what."""


@dataclass(frozen=True)
class RunsConfig(Config):
    """What is learnt in one run or several at once, from steps or from fixed data."""

    env: str = option("", "gymnasium id of the environment, or of that which the data are of")
    env_options: tuple[str, ...] = option((), "arguments of the environment, NAME=VALUE each")
    seed: int = option(0, "seed of the first run; run i uses seed + i", low=0)
    runs: int = option(1, "runs learnt at once, each as if it were alone", low=1)
    threads: int = option(1, "threads of torch", low=1)
    device: str = option(
        "cpu", "where it learns: cpu, or a GPU by the name that torch has for it, cuda or cuda:1"
    )
    learner: LearnerConfig = option(LearnerConfig(), "what is learnt")

    @property
    def seeds(self) -> range:
        """The seed of each run."""
        return range(self.seed, self.seed + self.runs)


@dataclass(frozen=True)
class TrainConfig(RunsConfig):
    """One in-process training."""

    steps: int = option(20_000, "environment steps of each run, of all its environments", low=1)
    envs: int = option(
        1, "environments that each run plays side by side, each with its own skill", low=1
    )
    report_period: int = option(500, "environment steps between reports", low=1)
    checkpoint_period: int = option(10_000, "environment steps between checkpoints", low=1)

    def __post_init__(self) -> None:
        """Check besides that a step of all environments fits into the replay."""
        super().__post_init__()
        if self.envs > self.learner.replay_capacity:
            raise ConfigError(
                f"TrainConfig.envs is {self.envs}, expected at most learner.replay_capacity,"
                f" {self.learner.replay_capacity}"
            )


class DivergedError(RuntimeError):
    """The policy holds numbers that are not finite."""


class Training:
    """One training from its first step, or its last checkpoint, to its end."""

    def __init__(self, config: TrainConfig, folder: Path) -> None:
        """Begin a run in a new folder; raises ConfigError where it exists or settings clash."""
        self._build(config, folder)
        self.folder.create(to_mapping(self.config), list(config.seeds))

    @classmethod
    def resumed(cls, folder: Path, changes: Mapping[str, Any]) -> Training:
        """Go on with a run from its newest checkpoint, with new values for some of CHANGEABLE.

        All that is learnt goes on bit for bit; the episodes under way are begun anew.
        """
        found = RunFolder(folder)
        settings = found.settings()
        refused = [name for name in changes if name not in CHANGEABLE]
        if refused:
            raise ConfigError(
                f"a resumed run keeps its {refused[0]}; only {', '.join(CHANGEABLE)} may change"
            )
        path = checkpoint.newest(found.checkpoints)
        if path is None:
            raise ConfigError(f"{found.checkpoints} has no checkpoint to go on from")
        config = from_mapping(TrainConfig, {**settings, **changes})
        steps = checkpoint.read(path)[1]["steps"]
        if steps >= config.steps:
            raise ConfigError(f"{folder} has {steps} steps already; ask for more with --steps")
        training = cls.__new__(cls)
        training._build(config, folder, path, steps)
        training.folder.resume(to_mapping(config), steps)
        return training

    def _build(
        self, config: TrainConfig, folder: Path, path: Path | None = None, steps: int = 0
    ) -> None:
        """Make all parts; what a checkpoint holds is in them before the first episode begins.

        The episodes are others after `steps` than those that a run begins with.
        """
        torch.set_num_threads(config.threads)
        options = read_env_options(config.env_options)
        env = make_env(config.env, options)
        learner_config = with_env_defaults(config.learner, env.unwrapped.metadata)
        layout = layout_of(env, learner_config.num_skills)
        env.close()
        assert env.spec is not None
        length = env.spec.max_episode_steps or EPISODE_LIMIT
        self.config, self.folder = replace(config, learner=learner_config), RunFolder(folder)
        device = open_device(config.device)
        self.learner = learner = Learner(layout, learner_config, config.seeds, device)
        places = [(seed, copy) for seed in config.seeds for copy in range(config.envs)]
        acting = ActingPolicy(
            layout,
            learner_config.sac.hidden,
            learner.history,
            [acting_seed(seed, copy) for seed, copy in places],
            learner_config.sac.policy_activation,
            config.envs,
            device,
        )
        acting.skill_prior = learner.skill_prior
        if path is not None:
            extra = checkpoint.load(path, learner)
            checkpoint.load_random_state(acting.generators, extra["acting"])
        env_seeds = [_env_seed(seed, copy, steps) for seed, copy in places]
        # Begun one after the other: as many policies are then played as in one environment.
        cuts = [length * (config.envs - copy) // config.envs for _, copy in places]
        envs = make_envs(config.env, len(places), options)
        self.rollout = Rollout(envs, acting, env_seeds, [max(1, cut) for cut in cuts])
        self._losses: dict[str, torch.Tensor] = {}
        self._stopping = self._is_torn = False
        self.saved = None if path is None else (learner.steps, path)
        """Steps and path of the newest checkpoint."""
        self._last_report = (time.perf_counter(), learner.steps)

    def run(self, report: Report) -> Metrics:
        """Train to the end or until `stop`; call `report` with the metrics now and then.

        Returns the last metrics. On an error the run up to there is saved before it is raised;
        what can not be gone on from, an update cut in two or a policy that is no longer finite,
        is not: the checkpoint before stays the newest. Raises DivergedError for the second.
        """
        metrics: Metrics = {}
        board = SummaryWriter(str(self.folder.tensorboard), purge_step=self.learner.steps + 1)
        try:
            while self.learner.steps < self.config.steps and not self._stopping:
                before = self.learner.steps
                self._step()
                is_last = self.learner.steps == self.config.steps
                if is_last or self._passed(self.config.report_period, before):
                    metrics = self._metrics()
                    self.folder.report(metrics)
                    write_curves(board, metrics, metrics["steps"])
                    report(metrics)
                if self._passed(self.config.checkpoint_period, before):
                    self._save()
        finally:
            path = self._save()
            self.rollout.close()
            board.close()
        return metrics | {"checkpoint": str(path)}

    def stop(self) -> None:
        """End after the step under way: an update cut in two could not be resumed exactly."""
        self._stopping = True

    def _step(self) -> None:
        learner, copies = self.learner, self.config.envs
        transition = self.rollout.step()
        left = self.config.steps - learner.steps
        if left < copies:
            # The run has as many steps as were asked for, whatever plays side by side.
            transition, copies = transition.of_first(left, copies), left
        learner.observe(transition, copies)
        self._is_torn = True
        while learner.updates_owed > 0:
            self._losses = learner.update()
        self._is_torn = False
        if learner.snapshot_due:
            self._check_finite()
            learner.snapshot()

    def _check_finite(self) -> None:
        good = None if self.saved is None else self.saved[1]
        check_finite(self.learner, f"step {self.learner.steps}", good)

    def _passed(self, period: int, before: int) -> bool:
        """Whether a multiple of a period was reached since there were `before` steps."""
        return self.learner.steps // period > before // period

    def _metrics(self) -> Metrics:
        (before, steps_before), now = self._last_report, time.perf_counter()
        self._last_report = (now, self.learner.steps)
        losses = {name: values.cpu().numpy() for name, values in self._losses.items()}
        per_run = {**losses, **coverage(self.learner)}
        return {
            "steps": self.learner.steps,
            "updates": self.learner.updates,
            "steps_per_second": (self.learner.steps - steps_before) / (now - before),
            **{name: [round(float(v), 6) for v in values] for name, values in per_run.items()},
        }

    def _save(self) -> Path | None:
        """Save where there is something new and whole; return the newest checkpoint, if any."""
        if self._is_torn:
            return self.saved and self.saved[1]
        if self.saved is None or self.saved[0] != self.learner.steps:
            self._check_finite()
            extra = {"acting": checkpoint.random_state(self.rollout.acting.generators)}
            path = checkpoint.save(self.folder.checkpoints, self.learner, extra)
            self.saved = (self.learner.steps, path)
        return self.saved[1]


def check_finite(learner: Learner, moment: str, good: Path | None) -> None:
    """Raise DivergedError where the policy holds numbers that are not finite.

    `moment` says by when, `good` is the last checkpoint before it.
    """
    for name, tensor in learner.sac.actor.state_dict().items():
        if not tensor.isfinite().all():
            raise DivergedError(
                f"the training has diverged before {moment}: the policy's {name} is no longer "
                f"finite; the last good checkpoint is {good or 'none'}; try smaller learning "
                "rates or reward weights"
            )


def with_env_defaults(config: LearnerConfig, metadata: Mapping[str, Any]) -> LearnerConfig:
    """Take from the environment's metadata the matched state and the target not named here.

    The suggested target goes with the suggested state only: a density over angles says nothing
    of positions. What differs from the defaults in the settings of the target stays. Where no
    target is suggested, or not for this state, it is the reward. Raises ConfigError for what can
    not be read in the metadata, or does not go with the settings.
    """
    nothing = StateConfig()
    suggested = _suggestion(StateConfig, "matched_state", metadata)
    is_suggested = config.state in (nothing, suggested)
    if config.state == nothing:
        config = replace(config, state=suggested)
    if config.target.name != SUGGESTED:
        return config
    told = _suggestion(TargetConfig, "target", metadata if is_suggested else {})
    changes = _changes(to_mapping(config.target), to_mapping(TargetConfig()))
    name = REWARD if told.name == SUGGESTED else told.name
    target = from_mapping(TargetConfig, {"name": name, **changes}, "learner.target.", told)
    return replace(config, target=target)


def _suggestion(cls: type[C], name: str, metadata: Mapping[str, Any]) -> C:
    """Read settings from an environment's metadata; raises ConfigError that says where it is."""
    try:
        return from_mapping(cls, metadata.get(name, {}), f"{name}.")
    except ConfigError as error:
        raise ConfigError(f"in the environment's metadata: {error}") from error


def _changes(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings, group by group, that are not the defaults."""
    return {
        name: _changes(value, defaults[name]) if isinstance(value, dict) else value
        for name, value in values.items()
        if value != defaults[name]
    }


def _env_seed(seed: int, copy: int, steps: int) -> int:
    """Return the seed of a run's environment `copy`, which begins, or goes on after some steps."""
    if not copy and not steps:
        return seed
    key = (copy, _ENV_STREAM) if copy else ()
    return int(np.random.SeedSequence((seed, steps), spawn_key=key).generate_state(1)[0])


def write_curves(board: SummaryWriter, metrics: Metrics, at: int) -> None:
    """Add metrics to TensorBoard's curves at a place of their axis; a list has one curve a run."""
    for name, value in metrics.items():
        for run, number in enumerate(np.atleast_1d(value)):
            tag = f"{name}/{run}" if isinstance(value, list) else name
            board.add_scalar(tag, number, at)
