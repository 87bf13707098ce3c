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
from smm_core.config import Config, ConfigError, option
from smm_core.evaluation.metrics import coverage
from smm_core.history import Snapshot
from smm_core.learner import Learner, LearnerConfig
from smm_core.transitions import Layout
from smm_ros.bag.reading import BagError, read_transitions
from smm_ros.bag.writer import bag_files
from smm_ros.records import HandProgress, TransitionRecord

COVERAGE_PERIOD = 1.0
"""Time between two looks at how much of the state space is covered at least, s."""
COVERAGE_SHARE = 0.02
"""Share of the time that these looks may take; with a large replay they become rarer."""


@dataclass(frozen=True)
class TrainerConfig(Config):
    """Settings of the trainer node."""

    hands: tuple[str, ...] = option(("/dclaw",), "Namespaces of the hands that feed the trainer.")
    run_dir: str = option("", "Folder for checkpoints; empty: none are written.")
    bag: str = option("", "Bag that a restarted trainer reads what it missed from; empty: none.")
    checkpoint: str = option(
        "",
        "Checkpoint to begin with; one of another run is for a run_dir that has none yet. Empty: "
        "the newest of run_dir.",
    )
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

    def __post_init__(self) -> None:
        """Check that there is a hand to learn from."""
        super().__post_init__()
        if not self.hand_names:
            raise ConfigError(f"TrainerConfig.hands is {self.hands!r}, expected at least one hand")

    @property
    def hand_names(self) -> tuple[str, ...]:
        """The hands as messages name them: without slashes around them, each once."""
        names = (hand.strip("/") for hand in self.hands)
        return tuple(dict.fromkeys(name for name in names if name))


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
    hands: tuple[HandProgress, ...] = ()
    repeated: int = 0
    """Transitions refused because their number had been seen before."""
    behind: int = 0
    """Updates that the transitions seen so far still ask for."""
    checkpoint: str = ""
    origin: str = ""
    """What it went on from when it was started; empty for a new beginning."""
    save_fault: str = ""
    """Why the last try to save a checkpoint failed; empty when it did not."""
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
        self.kept = Kept()
        self.error: BaseException | None = None
        self._on_snapshot, self._on_progress = on_snapshot, on_progress
        self._queue: deque[TransitionRecord] = deque()
        self._awake = threading.Condition()
        self._stopping = False
        self._next: dict[str, int] = dict.fromkeys(config.hand_names, 0)
        self._allowed: dict[str, int] = dict.fromkeys(config.hand_names, 0)
        self._gaps: dict[str, int] = dict.fromkeys(config.hand_names, 0)
        self._repeated = 0
        self._trained_steps: dict[int, int] = {}
        self._folder = Path(config.run_dir) / "checkpoints" if config.run_dir else None
        self._saved = self._save_fault = self._origin = ""
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
        if record is not None and self._accept(record):
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

    def _accept(self, record: TransitionRecord) -> bool:
        """Count what is missing before a transition; refuse one that was seen already."""
        expected = self._next.get(record.hand)
        if expected is None or record.sequence < expected:
            self._repeated += expected is not None
            return False
        self._gaps[record.hand] += record.sequence - expected
        self._next[record.hand] = record.sequence + 1
        return True

    def _restore(self) -> None:
        """Go on from the newest checkpoint and from what the bag has beyond it."""
        path = self._first_checkpoint()
        if path is not None:
            self._load(path)
        loaded = self.learner.steps
        if self.config.bag and bag_files(Path(self.config.bag)):
            with self._awake:
                self._awake.wait_for(lambda: self._stopping, self.config.bag_delay)
            self._read_bag()
        if self.learner.steps:
            added = self.learner.steps - loaded
            self._origin = f"{path or 'no checkpoint'} and {added} transitions of the bag"

    def _first_checkpoint(self) -> Path | None:
        """Return where to begin.

        A run that began with a checkpoint of another run and is started anew, in the same way,
        goes on from its own.
        """
        own = checkpoint.newest(self._folder) if self._folder is not None else None
        if not self.config.checkpoint:
            return own
        given = Path(self.config.checkpoint)
        return given if own is None or self._is_own(given) else own

    def _is_own(self, path: Path) -> bool:
        return self._folder is not None and path.resolve().parent == self._folder.resolve()

    def _load(self, path: Path) -> None:
        extra = checkpoint.load(path, self.learner)
        # The numbers of another run's transitions say nothing about those of this one.
        for hand in self._next if self._is_own(path) else ():
            self._next[hand] = extra.get("next_sequences", {}).get(hand, 0)
            self._gaps[hand] = extra.get("gaps", {}).get(hand, 0)
        known = extra.get("trained_steps", {})
        versions = self.learner.history.weights
        self._trained_steps = {v: known.get(str(v), self.learner.steps) for v in versions}
        self._saved, self._tried_steps = str(path), self.learner.steps
        self._tell_snapshots(*self.learner.history.snapshots.values())

    def _read_bag(self) -> None:
        try:
            for record in read_transitions(self.config.bag, self._next):
                if self._stopping:
                    return
                if self._accept(record):
                    self.learner.observe(record.as_transition())
        except BagError as error:
            raise BagError(f"can not go on from the bag: {error}") from error

    def _save(self) -> None:
        """Save a checkpoint; what keeps it from that is told, and tried again after a period."""
        if self._folder is None or not self.learner.steps:
            return
        self._tried_steps = self.learner.steps
        extra = {
            "next_sequences": self._next,
            "gaps": self._gaps,
            "trained_steps": self._trained_steps,
        }
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
            hands=self._allowances(),
            repeated=self._repeated,
            behind=self.learner.updates_owed,
            origin=self._origin,
            checkpoint=self._saved,
            save_fault=self._save_fault,
            done=done,
        )
        told = {p.hand: p.allowed_sequence for p in self._told}
        moved = max(p.allowed_sequence - told.get(p.hand, -1) for p in self.progress.hands)
        if done or moved >= max(1, self.config.window // 4):
            self._told = self.progress.hands
            self._on_progress()

    def _measure(self, now: float) -> None:
        covered = {name: float(value[0]) for name, value in coverage(self.learner).items()}
        self.metrics = covered | {name: float(value[0]) for name, value in self._losses.items()}
        taken = time.monotonic() - now
        self._coverage_time = now + max(COVERAGE_PERIOD, taken / COVERAGE_SHARE)

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
