"""The learner's own thread: transitions in, policies and progress out, the node never waits."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError

from smm_core import checkpoint
from smm_core.device import open_device
from smm_core.evaluation.metrics import coverage
from smm_core.history import Snapshot
from smm_core.learner import Learner
from smm_core.transitions import Layout
from smm_ros.records import HandProgress, TransitionRecord
from smm_ros.restoring import Intake, Restoring
from smm_ros.trainer_config import TrainerConfig

COVERAGE_PERIOD = 1.0
"""Time between two looks at how much of the state space is covered at least, s."""
COVERAGE_SHARE = 0.02
"""Share of the time that these looks may take; with a large replay they become rarer."""


@dataclass(frozen=True)
class Kept:
    """The policy history as it was at one moment."""

    snapshots: tuple[Snapshot, ...] = ()
    """Oldest first."""
    weights: Mapping[int, float] = field(default_factory=dict)
    """Probability of each version; sum 1."""
    trained_steps: Mapping[int, int] = field(default_factory=dict)
    """Transitions seen when each version was frozen."""
    skill_prior: tuple[float, ...] = ()
    """p(z)"""


@dataclass(frozen=True)
class Progress:
    """How far the thread is; a new one replaces the old, so that readers need no lock."""

    steps: int = 0
    updates: int = 0
    policy_version: int = 0
    replay_size: int = 0
    prefilled: int = 0
    """Transitions of earlier runs, beside the steps."""
    hands: tuple[HandProgress, ...] = ()
    repeated: int = 0
    """Transitions refused because their number had been seen before."""
    behind: int = 0
    """Updates that the transitions that have come so far still ask for."""
    checkpoint: str = ""
    origin: str = ""
    """What it went on from when it was started; empty for a new beginning."""
    notes: tuple[str, ...] = ()
    """What is to be known of the bags of earlier runs."""
    save_fault: str = ""
    """Why the last try to save a checkpoint failed; empty when it did not."""
    restoring: str = ""
    """What of earlier runs is being taken in; empty once it learns."""
    done: bool = False


class LearningThread(threading.Thread):
    """Learns from queued transitions at the configured number of updates for each.

    `on_snapshot` and `on_progress` are called in this thread; the first with every policy added
    to the history, the second whenever the hands may go on.
    """

    def __init__(
        self,
        config: TrainerConfig,
        layout: Layout,
        on_snapshot: Callable[[Snapshot], None],
        on_progress: Callable[[], None],
    ) -> None:
        super().__init__(name="learner", daemon=True)
        self.config = config
        device = open_device(config.device)
        self.learner = Learner(layout, config.learner, [config.seed], device)
        self.progress = Progress()
        self.metrics: dict[str, float] = {}
        self.kept = Kept()
        self.error: BaseException | None = None
        self._on_snapshot, self._on_progress = on_snapshot, on_progress
        self._queue: deque[TransitionRecord] = deque()
        self._awake = threading.Condition()
        self._stopping = False
        self._intake = Intake(config.hand_names)
        self._allowed: dict[str, int] = dict.fromkeys(config.hand_names, 0)
        self._expected: dict[str, int] = {}
        self._trained_steps: dict[int, int] = {}
        self._folder = Path(config.run_dir) / "checkpoints" if config.run_dir else None
        self._saved = self._save_fault = self._origin = ""
        self._notes: tuple[str, ...] = ()
        self._tried_steps = 0
        self._losses: Mapping[str, torch.Tensor] = {}
        self._coverage_time = 0.0
        self._told: Sequence[HandProgress] = ()

    # Called from the node's thread.

    def put(self, record: TransitionRecord) -> None:
        """Queue a transition."""
        with self._awake:
            self._queue.append(record)
            self._awake.notify()

    def stop(self) -> None:
        """End after the update under way, save, and wait for it."""
        with self._awake:
            self._stopping = True
            self._awake.notify()
        if self.is_alive():
            self.join()

    # The thread.

    def run(self) -> None:
        """Restore, then learn until stopped or done; an error ends it and is kept."""
        try:
            torch.set_num_threads(self.config.threads)
            self._restore()
            self._publish()
            self._learn()
            while not self._stopping and not self._is_done:
                self._take_next()
            self._save()
            self._publish(done=self._is_done)
        except BaseException as error:  # the node raises it in its own thread
            self.error = error

    @property
    def _is_done(self) -> bool:
        return 0 < self.config.total_steps <= self.learner.steps

    def _take_next(self) -> None:
        with self._awake:
            if not self._queue:
                self._awake.wait(timeout=0.1)
            record = self._queue.popleft() if self._queue else None
        if record is not None and self._intake.accept(record):
            self.learner.observe(record.as_transition())
        self._learn()
        if self.learner.steps - self._tried_steps >= self.config.checkpoint_period:
            self._save()
        self._publish()

    def _learn(self) -> None:
        while self.learner.updates_owed > 0:
            if self._stopping:
                return
            # After a restart there may be minutes of this.
            self._publish()
            self._losses = self.learner.update()
        if self.learner.snapshot_due:
            snapshot = self.learner.snapshot()
            self._trained_steps[snapshot.version] = self.learner.steps
            self._tell_snapshots(snapshot)

    def _tell_snapshots(self, *snapshots: Snapshot) -> None:
        history, total = self.learner.history, sum(self.learner.history.weights.values())
        versions = sorted(history.weights)
        self._trained_steps = {v: self._trained_steps[v] for v in versions}
        self.kept = Kept(
            tuple(history.snapshots[version] for version in versions),
            {version: history.weights[version] / total for version in versions},
            dict(self._trained_steps),
            tuple(self.learner.skill_prior.probabilities.tolist()),
        )
        for snapshot in snapshots:
            self._on_snapshot(snapshot)

    def _restore(self) -> None:
        """Take over what a checkpoint and bags have."""
        restoring = Restoring(
            self.config, self.learner, self._intake, self._asked_to_stop, self._tell_restoring
        )
        restored = restoring.run()
        self._origin, self._saved = restored.origin, restored.checkpoint
        self._notes = tuple(restored.notes)
        if restored.checkpoint:
            self._trained_steps, self._tried_steps = restored.trained_steps, restored.saved_steps
            self._tell_snapshots(*self.learner.history.snapshots.values())

    def _asked_to_stop(self, patience: float) -> bool:
        """Tell whether to stop, after waiting for that for a while, s."""
        if patience:
            with self._awake:
                self._awake.wait_for(lambda: self._stopping, patience)
        return self._stopping

    def _tell_restoring(self, what: str) -> None:
        learner = self.learner
        self.progress = Progress(
            restoring=what, replay_size=len(learner.replay), prefilled=learner.prefilled
        )

    def _save(self) -> None:
        """Save a checkpoint; what keeps it from that is told, and tried again after a period."""
        if self._folder is None or not self.learner.steps:
            return
        self._tried_steps = self.learner.steps
        extra = self._intake.state() | {"trained_steps": self._trained_steps}
        try:
            self._saved = str(checkpoint.save(self._folder, self.learner, extra))
            self._save_fault = ""
        except (OSError, SafetensorError) as error:
            self._save_fault = f"no checkpoint could be saved in {self._folder}: {error}"

    def _publish(self, done: bool = False) -> None:
        """Renew the progress; tell the hands when their allowance has moved enough to matter."""
        now = time.monotonic()
        if self._losses and now > self._coverage_time:
            self._measure(now)
        weights = self.learner.history.weights
        self.progress = Progress(
            steps=self.learner.steps,
            updates=self.learner.updates,
            policy_version=max(weights) if weights else 0,
            replay_size=len(self.learner.replay),
            prefilled=self.learner.prefilled,
            hands=self._allowances(),
            repeated=self._intake.repeated,
            behind=self._updates_behind(),
            origin=self._origin,
            notes=self._notes,
            checkpoint=self._saved,
            save_fault=self._save_fault,
            done=done,
        )
        told = {p.hand: p.allowed_sequence for p in self._told}
        moved = max(p.allowed_sequence - told.get(p.hand, -1) for p in self.progress.hands)
        if done or moved >= max(1, self.config.window // 4):
            self._told = self.progress.hands
            self._on_progress()

    def _updates_behind(self) -> int:
        waiting = len(self._queue) * self.config.learner.updates_per_step
        return self.learner.updates_owed + int(waiting)

    def _measure(self, now: float) -> None:
        covered = {name: float(value[0]) for name, value in coverage(self.learner).items()}
        self.metrics = covered | {name: float(value[0]) for name, value in self._losses.items()}
        taken = time.monotonic() - now
        self._coverage_time = now + max(COVERAGE_PERIOD, taken / COVERAGE_SHARE)

    def _allowances(self) -> tuple[HandProgress, ...]:
        """Let every hand be `window` ahead, but all together not beyond `total_steps`.

        What was allowed once stays allowed: a hand may have used it already. Where its numbers
        begin again nothing is under way any more.
        """
        next_ = self._intake.next
        for hand, expected in next_.items():
            is_anew = expected < self._expected.get(hand, 0)
            self._allowed[hand] = expected if is_anew else max(self._allowed[hand], expected)
        self._expected = next_
        under_way = {hand: self._allowed[hand] - expected for hand, expected in next_.items()}
        left = self.config.total_steps - self.learner.steps - sum(under_way.values())
        for index, hand in enumerate(sorted(under_way, key=under_way.__getitem__)):
            more = max(0, self.config.window - under_way[hand])
            if self.config.total_steps:
                share = -(-left // (len(under_way) - index))
                more = min(more, max(0, share))
                left -= more
            self._allowed[hand] += more
        return tuple(
            HandProgress(hand, expected, self._allowed[hand], self._intake.gaps[hand])
            for hand, expected in next_.items()
        )
