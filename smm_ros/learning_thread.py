"""The learner's own thread: transitions in, policies and progress out, the node never waits."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from smm_core import checkpoint
from smm_core.config import Config, option
from smm_core.history import Snapshot
from smm_core.learner import Learner, LearnerConfig
from smm_core.metrics import coverage
from smm_core.transitions import Layout
from smm_ros.bag import BagError, read_transitions
from smm_ros.records import HandProgress, TransitionRecord

COVERAGE_PERIOD = 1.0
"""Time between two looks at how much of the state space is covered, s."""


@dataclass(frozen=True)
class TrainerConfig(Config):
    """Settings of the trainer node."""

    hands: tuple[str, ...] = option(("/dclaw",), "Namespaces of the hands that feed the trainer.")
    run_dir: str = option("", "Folder for checkpoints; empty: none are written.")
    bag: str = option("", "Bag that a restarted trainer reads what it missed from; empty: none.")
    checkpoint: str = option("", "Checkpoint to begin with; empty: the newest of run_dir.")
    checkpoint_period: int = option(2000, "Transitions between checkpoints.", low=1)
    total_steps: int = option(0, "Transitions to learn from before the end; 0: no end.", low=0)
    seed: int = option(0, "Seed of initial weights and of learning.", low=0)
    threads: int = option(1, "Threads of torch.", low=1)
    window: int = option(
        32, "Transitions that a hand may be ahead of the learner.", low=1, high=100_000
    )
    bag_delay: float = option(
        1.0, "Time the recorder is given to flush before its bag is read, s.", low=0.0
    )
    learner: LearnerConfig = option(LearnerConfig(), "What is learnt.")


@dataclass(frozen=True)
class Progress:
    """How far the thread is; a new one replaces the old, so that readers need no lock."""

    steps: int = 0
    updates: int = 0
    policy_version: int = 0
    replay_size: int = 0
    hands: tuple[HandProgress, ...] = ()
    checkpoint: str = ""
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
        self.learner = Learner(layout, config.learner, [config.seed])
        self.progress = Progress()
        self.metrics: dict[str, float] = {}
        self.kept: tuple[Snapshot, ...] = ()
        self.kept_weights: dict[int, float] = {}
        self.error: BaseException | None = None
        self._on_snapshot, self._on_progress = on_snapshot, on_progress
        self._queue: deque[TransitionRecord] = deque()
        self._awake = threading.Condition()
        self._stopping = False
        self._next: dict[str, int] = dict.fromkeys(config.hands, 0)
        self._allowed: dict[str, int] = dict.fromkeys(config.hands, 0)
        self._gaps: dict[str, int] = dict.fromkeys(config.hands, 0)
        self._folder = Path(config.run_dir) / "checkpoints" if config.run_dir else None
        self._saved = ""
        self._saved_steps = 0
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
        if record is not None and self._accept(record):
            self.learner.observe(record.as_transition())
        self._learn()
        if self.learner.steps - self._saved_steps >= self.config.checkpoint_period:
            self._save()
        self._publish()

    def _learn(self) -> None:
        while self.learner.updates_owed > 0 and not self._stopping:
            self._losses = self.learner.update()
        if self.learner.snapshot_due:
            self._tell_snapshots(self.learner.snapshot())

    def _tell_snapshots(self, *snapshots: Snapshot) -> None:
        history = self.learner.history
        self.kept = tuple(history.snapshots.values())
        self.kept_weights = dict(sorted(history.weights.items()))
        for snapshot in snapshots:
            self._on_snapshot(snapshot)

    def _accept(self, record: TransitionRecord) -> bool:
        """Count what is missing before a transition; refuse one that was seen already."""
        expected = self._next.get(record.hand)
        if expected is None or record.sequence < expected:
            return False
        self._gaps[record.hand] += record.sequence - expected
        self._next[record.hand] = record.sequence + 1
        return True

    def _restore(self) -> None:
        """Go on from the newest checkpoint and from what the bag has beyond it."""
        path = Path(self.config.checkpoint) if self.config.checkpoint else None
        if path is None and self._folder is not None:
            path = checkpoint.newest(self._folder)
        if path is not None:
            extra = checkpoint.load(path, self.learner)
            self._next.update(extra["next_sequences"])
            self._gaps.update(extra["gaps"])
            self._saved, self._saved_steps = str(path), self.learner.steps
            self._tell_snapshots(*self.learner.history.snapshots.values())
        if self.config.bag and Path(self.config.bag).is_dir():
            time.sleep(self.config.bag_delay)
            self._read_bag()

    def _read_bag(self) -> None:
        try:
            for record in read_transitions(self.config.bag, self._next):
                if self._accept(record):
                    self.learner.observe(record.as_transition())
        except BagError as error:
            raise BagError(f"can not go on from the bag: {error}") from error

    def _save(self) -> None:
        if self._folder is None or not self.learner.steps:
            return
        extra = {"next_sequences": self._next, "gaps": self._gaps}
        self._saved = str(checkpoint.save(self._folder, self.learner, extra))
        self._saved_steps = self.learner.steps

    def _publish(self, done: bool = False) -> None:
        """Renew the progress; tell the hands when their allowance has moved enough to matter."""
        now = time.monotonic()
        if self._losses and now - self._coverage_time > COVERAGE_PERIOD:
            self._coverage_time = now
            covered = {name: float(value[0]) for name, value in coverage(self.learner).items()}
            losses = {name: float(value[0]) for name, value in self._losses.items()}
            self.metrics = covered | losses
        weights = self.learner.history.weights
        self.progress = Progress(
            steps=self.learner.steps,
            updates=self.learner.updates,
            policy_version=max(weights) if weights else 0,
            replay_size=len(self.learner.replay),
            hands=self._allowances(),
            checkpoint=self._saved,
            done=done,
        )
        told = {p.hand: p.allowed_sequence for p in self._told}
        moved = max(p.allowed_sequence - told.get(p.hand, -1) for p in self.progress.hands)
        if done or moved >= max(1, self.config.window // 4):
            self._told = self.progress.hands
            self._on_progress()

    def _allowances(self) -> tuple[HandProgress, ...]:
        """Let every hand be `window` ahead, but all together not beyond `total_steps`.

        What was allowed once stays allowed: a hand may have used it already.
        """
        for hand, expected in self._next.items():
            self._allowed[hand] = max(self._allowed[hand], expected)
        under_way = {hand: self._allowed[hand] - expected for hand, expected in self._next.items()}
        left = self.config.total_steps - self.learner.steps - sum(under_way.values())
        for index, hand in enumerate(sorted(under_way, key=under_way.__getitem__)):
            more = max(0, self.config.window - under_way[hand])
            if self.config.total_steps:
                share = -(-left // (len(under_way) - index))
                more = min(more, max(0, share))
                left -= more
            self._allowed[hand] += more
        return tuple(
            HandProgress(hand, expected, self._allowed[hand], self._gaps[hand])
            for hand, expected in self._next.items()
        )
