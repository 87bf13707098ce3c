"""Learning from fixed data: the same updates as on line, and no environment to try them in."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from smm_core import checkpoint
from smm_core.config import ConfigError, option, to_mapping
from smm_core.device import open_device
from smm_core.environments import layout_of, make_env, read_env_options
from smm_core.evaluation.metrics import angle_entropies
from smm_core.learner import Learner
from smm_core.networks import skill_onehot
from smm_core.run_folder import RunFolder
from smm_core.train import (
    Metrics,
    Report,
    RunsConfig,
    check_finite,
    with_env_defaults,
    write_curves,
)
from smm_core.transitions import Layout, Transition

LOOKED_AT = 1024
"""Transitions that the Q functions are looked at with for a report."""


@dataclass(frozen=True)
class OffLineConfig(RunsConfig):
    """One training on fixed data; the environment is not played in."""

    data: tuple[str, ...] = option((), "where the data are from")
    updates: int = option(10_000, "updates of the policy", low=1)
    warm_up: int = option(0, "updates of density and discriminator before the first", low=0)
    snapshot_period: int = option(100, "updates between policies kept for the average", low=1)
    report_period: int = option(500, "updates between reports", low=1)
    checkpoint_period: int = option(5000, "updates between checkpoints", low=1)


class OffLineTraining:
    """One training from data to its end; the runs differ in their seeds, not in their data."""

    def __init__(self, config: OffLineConfig, folder: Path) -> None:
        """Make the learner; the folder is made when the data are there.

        The environment tells its sizes and what it suggests to match, and is not stepped. Raises
        ConfigError for what it or the settings have wrong.
        """
        torch.set_num_threads(config.threads)
        if folder.exists():
            raise ConfigError(f"{folder} exists; name a new run folder")
        env = make_env(config.env, read_env_options(config.env_options))
        learner = with_env_defaults(config.learner, env.unwrapped.metadata)
        layout = layout_of(env, learner.num_skills)
        env.close()
        self.config, self.folder = replace(config, learner=learner), RunFolder(folder)
        self.learner = Learner(layout, learner, config.seeds, open_device(config.device))
        self.saved: Path | None = None
        """The newest checkpoint."""
        self._losses: dict[str, Tensor] = {}
        self._stopping = False
        self._last_report = (0.0, 0)

    @property
    def layout(self) -> Layout:
        """The sizes that transitions must have."""
        return self.learner.layout

    def fill(self, transitions: Iterable[Transition]) -> int:
        """Give every run the same transitions, of one run each; return how many there are.

        Only the newest `replay_capacity` are learnt from, though a density that counts has seen
        all. Raises TransitionError for one that does not fit and ConfigError where there is none.
        """
        runs = self.config.runs
        for transition in transitions:
            fields = vars(transition).items()
            self.learner.prefill(
                Transition(**{name: np.repeat(value, runs, 0) for name, value in fields})
            )
        if not self.learner.prefilled:
            raise ConfigError("there are no transitions to learn from")
        return self.learner.prefilled

    def run(self, report: Report) -> Metrics:
        """Learn to the end or until `stop`; call `report` with the metrics now and then.

        Returns the last metrics. Raises DivergedError where the policy is no longer finite: the
        checkpoint before stays the newest.
        """
        self.folder.create(to_mapping(self.config), list(self.config.seeds))
        self._last_report = (time.perf_counter(), 0)
        for _ in range(self.config.warm_up):
            if not self._stopping:
                self.learner.warm_up()
        self.learner.snapshot_off_line()
        metrics: Metrics = {}
        board = SummaryWriter(str(self.folder.tensorboard))
        try:
            while self.learner.updates < self.config.updates and not self._stopping:
                self._update()
                if self._is_due(self.config.report_period):
                    metrics = self._metrics()
                    self.folder.report(metrics)
                    write_curves(board, metrics, metrics["updates"])
                    report(metrics)
                if self._is_due(self.config.checkpoint_period):
                    self._save()
        finally:
            board.close()
        self._save()
        return metrics | {"checkpoint": str(self.saved)}

    def stop(self) -> None:
        """End after the update under way, and save."""
        self._stopping = True

    def _update(self) -> None:
        self._losses = self.learner.update_off_line()
        if self.learner.updates % self.config.snapshot_period == 0:
            self._check_finite()
            self.learner.snapshot_off_line()

    def _is_due(self, period: int) -> bool:
        updates = self.learner.updates
        return updates % period == 0 or updates == self.config.updates

    def _metrics(self) -> Metrics:
        (before, updates_before), now = self._last_report, time.perf_counter()
        self._last_report = (now, self.learner.updates)
        values = self._losses | action_values(self.learner, LOOKED_AT)
        learnt = {name: tensor.cpu().numpy() for name, tensor in values.items()}
        seen = angle_entropies(self.learner.space, self.learner.replay.reached())
        data = {f"angle_entropy_data{place}": entropy for place, entropy in seen.items()}
        per_run = learnt | data
        return {
            "transitions": self.learner.prefilled,
            "updates": self.learner.updates,
            "updates_per_second": (self.learner.updates - updates_before) / (now - before),
            **{name: [round(float(v), 6) for v in values] for name, values in per_run.items()},
        }

    def _save(self) -> None:
        self._check_finite()
        self.saved = checkpoint.save(self.folder.checkpoints, self.learner)

    def _check_finite(self) -> None:
        check_finite(self.learner, f"update {self.learner.updates}", self.saved)


@torch.no_grad()
def action_values(learner: Learner, count: int) -> dict[str, Tensor]:
    """Return mean Q, (R,), of actions in the data and of the policy's in the same states.

    Over `count` transitions spread evenly over the replay; Q is the smaller one where there are
    two. Where `q_policy` is far above `q_data`, and above what the policy earns, Q is believed
    where no data are.
    """
    rows = torch.linspace(0, len(learner.replay) - 1, count).long()
    batch = learner.replay.rows(rows)
    obs = torch.cat((batch.obs, skill_onehot(batch.skill, learner.layout)), -1)
    # The same numbers at each report, and none of those that learning draws.
    noise = torch.randn(batch.action.shape[1:], generator=torch.Generator().manual_seed(0))
    noise = noise.to(obs.device).expand_as(batch.action)
    action, _ = learner.sac.actor.sample(obs, noise)
    q_of = {"q_data": batch.action, "q_policy": action}
    return {name: learner.sac.critic(obs, a).amin(1).mean(-1) for name, a in q_of.items()}
