"""What a trainer begins with: a checkpoint or the bags of earlier runs, and its own bag."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from smm_core import checkpoint
from smm_core.learner import Learner
from smm_ros.bag.bag_files import find_files
from smm_ros.bag.offline.experience import Experience
from smm_ros.bag.reading import BagError, read_transitions
from smm_ros.bag.transition_source import TransitionSource
from smm_ros.bag.writer import bag_files
from smm_ros.records import TransitionRecord
from smm_ros.trainer_config import TrainerConfig
from smm_ros.transition_runs import Place, TransitionRuns

T = TypeVar("T")

TELL_PERIOD = 500
"""Transitions or updates after which to tell again how far it is."""


class Intake:
    """Which transition of each hand comes next, and how many were missing or came again."""

    def __init__(self, hands: Sequence[str]) -> None:
        self.runs = TransitionRuns(dict.fromkeys(hands, Place()))
        self._hands = tuple(hands)

    @property
    def next(self) -> dict[str, int]:
        """Number of each hand's next transition, in its present run."""
        return {hand: self.runs.next[hand].sequence for hand in self._hands}

    @property
    def gaps(self) -> dict[str, int]:
        """Transitions of each hand that never came."""
        return {hand: self.runs.gaps[hand] for hand in self._hands}

    @property
    def repeated(self) -> int:
        """Transitions refused because they had been seen before."""
        return sum(self.runs.doubles[hand] for hand in self._hands)

    def is_wanted(self, record: TransitionRecord) -> bool:
        """Tell whether a transition is of one of the hands."""
        return record.hand in self._hands

    def accept(self, record: TransitionRecord) -> bool:
        """Count what is missing before a transition; refuse one that was seen already."""
        return self.is_wanted(record) and self.runs.take_record(record)

    def state(self) -> dict[str, Any]:
        """Return what `load_state` needs, as JSON data."""
        runs = {hand: self.runs.next[hand].run for hand in self._hands}
        return {"next_sequences": self.next, "gaps": self.gaps, "runs": runs}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` returned, for the hands that are fed from now."""
        next_, gaps, runs = (state.get(n, {}) for n in ("next_sequences", "gaps", "runs"))
        places = {hand: Place(runs.get(hand, 0), next_.get(hand, 0)) for hand in self._hands}
        self.runs = TransitionRuns(places)
        self.runs.gaps.update({hand: gaps.get(hand, 0) for hand in self._hands})


@dataclass
class Restored:
    """What a trainer went on from."""

    checkpoint: str = ""
    """Path of the checkpoint; empty for none."""
    saved_steps: int = 0
    """Transitions that the checkpoint has seen."""
    trained_steps: dict[int, int] = field(default_factory=dict)
    """Transitions seen when each kept policy was frozen."""
    origin: str = ""
    """All of it in words; empty for a new beginning."""
    notes: list[str] = field(default_factory=list)
    """What is to be known of the bags of earlier runs: what was not read, or passed over."""


class Restoring:
    """Fills a learner with what is there already; in this order, so that nothing counts twice.

    A checkpoint has all that was before it, so that bags of earlier runs are read only where there
    is none; then comes what the run's own bag has beyond either.
    """

    def __init__(
        self,
        config: TrainerConfig,
        learner: Learner,
        intake: Intake,
        is_stopped: Callable[[float], bool],
        tell: Callable[[str], None],
    ) -> None:
        """`is_stopped` waits so many seconds at most for the end; `tell` says what is done."""
        self._config, self._learner, self._intake = config, learner, intake
        self._is_stopped, self._tell = is_stopped, tell
        self._folder = Path(config.run_dir) / "checkpoints" if config.run_dir else None

    def run(self) -> Restored:
        """Restore what there is, or as much as there is time for before it is stopped.

        Raises CheckpointError, or BagError naming a bag and what is wrong with it.
        """
        restored, beginning = Restored(), ""
        path = self._first_checkpoint()
        if path is not None:
            self._tell(f"loading {path}")
            restored, beginning = self._load(path), str(path)
        elif self._config.bags:
            restored.notes = self._read_bags()
            bags = ", ".join(self._config.bags)
            beginning = f"{self._learner.prefilled} transitions of {bags}"
        before = self._learner.steps
        if self._config.bag and bag_files(Path(self._config.bag)):
            self._read_own_bag()
        added = self._learner.steps - before
        if beginning or added:
            beginning = beginning or "no checkpoint"
            restored.origin = f"{beginning} and {added} transitions of the bag"
        return restored

    def _first_checkpoint(self) -> Path | None:
        """Return where to begin.

        A run that began with a checkpoint of another run and is started anew, in the same way,
        goes on from its own.
        """
        own = checkpoint.newest(self._folder) if self._folder is not None else None
        if not self._config.checkpoint:
            return own
        given = Path(self._config.checkpoint)
        return given if own is None or self._is_own(given) else own

    def _is_own(self, path: Path) -> bool:
        return self._folder is not None and path.resolve().parent == self._folder.resolve()

    def _load(self, path: Path) -> Restored:
        extra = checkpoint.load(path, self._learner)
        # The numbers of another run's transitions say nothing about those of this one.
        if self._is_own(path):
            self._intake.load_state(extra)
        known = extra.get("trained_steps", {})
        versions = self._learner.history.weights
        steps = self._learner.steps
        return Restored(str(path), steps, {v: known.get(str(v), steps) for v in versions})

    def _read_bags(self) -> list[str]:
        """Prefill with the bags of earlier runs, then fit the density and what belongs to it.

        Returns what is to be known of them.
        """
        config = self._config
        # All are looked for before the first is read.
        find_files(config.bags)
        topics = vars(config.bags_topics)
        sources = [TransitionSource(path, config.bags_from, topics) for path in config.bags]
        for source in sources:
            bag = Experience(source, self._learner.layout)
            for transition in self._told(bag, f"reading {source.path}"):
                self._learner.prefill(transition)
        for _ in self._told(range(self._config.bag_updates), "fitting the density to the bags"):
            self._learner.warm_up()
        return [note for source in sources for note in source.notes]

    def _read_own_bag(self) -> None:
        if self._is_stopped(self._config.bag_delay):
            return
        try:
            records = read_transitions(self._config.bag, self._intake.runs)
            for record in self._told(records, f"reading {self._config.bag}"):
                if self._intake.is_wanted(record):
                    self._learner.observe(record.as_transition())
        except BagError as error:
            raise BagError(f"can not go on from the bag: {error}") from error
        self._intake.runs.go_on()

    def _told(self, items: Iterable[T], what: str) -> Iterator[T]:
        """Yield the items until it is stopped, telling now and then how many there were.

        None is taken that is not yielded.
        """
        left, count = iter(items), 0
        while not self._is_stopped(0.0):
            if count % TELL_PERIOD == 0:
                self._tell(f"{what}: {count}")
            try:
                item = next(left)
            except StopIteration:
                return
            yield item
            count += 1
