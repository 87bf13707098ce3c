"""The run folders of `smm train`, opened for an evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smm_core import checkpoint
from smm_core.config import ConfigError
from smm_core.environments import read_env_options
from smm_core.learner import Learner
from smm_core.run_folder import RunFolder


@dataclass
class TrainedRuns:
    """The runs in a folder of `smm train`, opened at its newest checkpoint."""

    folder: Path
    env_id: str
    env_options: dict[str, Any]
    seeds: list[int]
    learner: Learner
    label: str
    """The method in short."""
    notes: list[str] = field(default_factory=list)
    """What was left out of an evaluation, and why."""


def env_of(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return id and options of the environment that a run folder's runs were trained in."""
    settings = RunFolder(folder).settings()
    return settings["env"], read_env_options(settings.get("env_options", ()))


def open_runs(folder: Path) -> TrainedRuns:
    """Open a run folder; raises ConfigError or CheckpointError where there is nothing to open."""
    env_id, env_options = env_of(folder)
    path = checkpoint.newest(RunFolder(folder).checkpoints)
    if path is None:
        raise ConfigError(f"{folder} has no checkpoint to evaluate; train it first")
    learner = checkpoint.open_learner(path)
    first = RunFolder(folder).settings().get("seed", 0)
    seeds = [first + run for run in range(len(learner.generators))]
    mixture = learner.config.method == "smm" and learner.layout.num_skills > 1
    label = "sm4" if mixture else learner.config.method
    return TrainedRuns(folder, env_id, env_options, seeds, learner, label)
