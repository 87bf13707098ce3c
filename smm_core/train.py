"""The in-process loop: the same learner as on the robot, over any gymnasium environment."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from smm_core import checkpoint
from smm_core.acting import ActingPolicy, acting_seed
from smm_core.config import Config, ConfigError, from_mapping, option, to_mapping
from smm_core.learner import Learner, LearnerConfig
from smm_core.metrics import coverage
from smm_core.rollout import Env, Rollout, layout_of, make_env
from smm_core.state_space import StateConfig
from smm_core.target import SUGGESTED, TargetConfig

Metrics = dict[str, Any]
Report = Callable[[Metrics], None]


@dataclass(frozen=True)
class TrainConfig(Config):
    """One in-process training."""

    steps: int = option(20_000, "environment steps of each run", low=1)
    seed: int = option(0, "seed of the first run; run i uses seed + i", low=0)
    runs: int = option(1, "runs learnt at once, each as if it were alone", low=1)
    threads: int = option(1, "threads of torch", low=1)
    report_period: int = option(500, "environment steps between reports", low=1)
    checkpoint_period: int = option(10_000, "environment steps between checkpoints", low=1)
    learner: LearnerConfig = option(LearnerConfig(), "what is learnt")


class Training:
    """One training from its first step to its last checkpoint."""

    def __init__(self, env_id: str, config: TrainConfig, folder: Path) -> None:
        self.config, self.folder = config, folder
        torch.set_num_threads(config.threads)
        seeds = range(config.seed, config.seed + config.runs)
        envs = [make_env(env_id) for _ in seeds]
        learner_config = with_env_defaults(config.learner, envs[0])
        layout = layout_of(envs[0], learner_config.num_skills)
        self.learner = Learner(layout, learner_config, seeds)
        history, hidden = self.learner.history, learner_config.sac.hidden
        acting = ActingPolicy(layout, hidden, history, [acting_seed(seed) for seed in seeds])
        self.rollout = Rollout(envs, acting, seeds)
        self._losses: dict[str, torch.Tensor] = {}
        self._stopping = False
        self._saved: tuple[int, Path] | None = None
        self._last_report = (time.perf_counter(), 0)
        _new_folder(folder, env_id, config)

    def run(self, report: Report) -> Metrics:
        """Train to the end or until `stop`; call `report` with the metrics now and then.

        Returns the last metrics. On an error the run up to there is saved before it is raised.
        """
        metrics: Metrics = {}
        with SummaryWriter(str(self.folder / "tensorboard")) as board:
            try:
                while self.learner.steps < self.config.steps and not self._stopping:
                    self._step()
                    if self._is_due(self.config.report_period):
                        metrics = self._metrics()
                        _write(board, metrics)
                        report(metrics)
                    if self.learner.steps % self.config.checkpoint_period == 0:
                        self._save()
            finally:
                path = self._save()
                self.rollout.close()
        return metrics | {"checkpoint": str(path)}

    def stop(self) -> None:
        """End after the step under way: an update cut in two could not be resumed exactly."""
        self._stopping = True

    def _step(self) -> None:
        learner = self.learner
        learner.observe(self.rollout.step())
        while learner.updates_owed > 0:
            self._losses = learner.update()
        if learner.snapshot_due:
            learner.snapshot()

    def _is_due(self, period: int) -> bool:
        return self.learner.steps % period == 0 or self.learner.steps == self.config.steps

    def _metrics(self) -> Metrics:
        (before, steps_before), now = self._last_report, time.perf_counter()
        self._last_report = (now, self.learner.steps)
        losses = {name: values.numpy() for name, values in self._losses.items()}
        per_run = {**losses, **coverage(self.learner)}
        return {
            "steps": self.learner.steps,
            "updates": self.learner.updates,
            "steps_per_second": (self.learner.steps - steps_before) / (now - before),
            **{name: [round(float(v), 6) for v in values] for name, values in per_run.items()},
        }

    def _save(self) -> Path:
        if self._saved is None or self._saved[0] != self.learner.steps:
            extra = {"acting": checkpoint.random_state(self.rollout.acting.generators)}
            path = checkpoint.save(self.folder / "checkpoints", self.learner, extra)
            self._saved = (self.learner.steps, path)
        return self._saved[1]


def with_env_defaults(config: LearnerConfig, env: Env) -> LearnerConfig:
    """Take from the environment's metadata the matched state and the target not named here."""
    metadata = env.unwrapped.metadata
    if config.state.linear or config.state.circular or "matched_state" not in metadata:
        return config
    config = replace(config, state=from_mapping(StateConfig, metadata["matched_state"]))
    if config.target.name == SUGGESTED and "target" in metadata:
        # Not with another state: a density over angles says nothing of positions.
        config = replace(config, target=from_mapping(TargetConfig, metadata["target"]))
    return config


def _new_folder(folder: Path, env_id: str, config: TrainConfig) -> None:
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise ConfigError(f"{folder} exists; name a new run folder with --folder") from error
    settings = {"env": env_id, **to_mapping(config)}
    (folder / "settings.json").write_text(json.dumps(settings, indent=2))


def _write(board: SummaryWriter, metrics: Metrics) -> None:
    for name, value in metrics.items():
        for run, number in enumerate(np.atleast_1d(value)):
            tag = f"{name}/{run}" if isinstance(value, list) else name
            board.add_scalar(tag, number, metrics["steps"])
