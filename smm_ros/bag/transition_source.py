"""The transitions of one bag, wherever in it they come from."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.reading import TransitionReading, read_transitions
from smm_ros.records import TransitionRecord
from smm_ros.transition_runs import Place

if TYPE_CHECKING:
    from smm_ros.bag.joint_messages import JointReading

AUTO, TRANSITIONS, JOINT_STATES = "auto", "transitions", "joint_states"
SOURCES = (AUTO, TRANSITIONS, JOINT_STATES)
"""Recorded transitions, or such as are assembled from joint states and joint commands; auto: the
first where a bag has any."""


class TransitionSource:
    """A bag's transitions, recorded or assembled; what it tells grows as it is iterated."""

    def __init__(
        self,
        path: str | Path,
        source: str = AUTO,
        topics: Mapping[str, str] | None = None,
        hands: Collection[str] = (),
    ) -> None:
        """`source` is one of SOURCES, `topics` are settings of `joint_messages.JointTopics`.

        Of `hands` only, by their names without slashes; none: of all. Raises BagError where there
        is no bag.
        """
        self.path = Path(path)
        self.assembled = 0
        """Transitions that were put together."""
        self.hands: set[str] = set()
        """All that transitions were found of, chosen or not."""
        self._chosen = hands
        self._source, self._topics = source, dict(topics or {})
        self._recorded = read_transitions(self.path)
        self._reading: TransitionReading | JointReading = self._recorded

    @property
    def taken_from(self) -> str:
        """What the transitions come from: TRANSITIONS or JOINT_STATES."""
        return JOINT_STATES if self.assembled else TRANSITIONS

    @property
    def doubles(self) -> Counter[str]:
        """By hand, transitions that were there already, or came late, and were passed over."""
        counts = self._recorded.runs.doubles.items()
        return Counter({hand: count for hand, count in counts if self._is_chosen(hand)})

    @property
    def unread(self) -> list[str]:
        """Ends of files that could not be read, a sentence each."""
        return [
            f"not read: {tail.path}: {tail.num_bytes} bytes from byte {tail.offset} on, "
            f"{tail.reason} (smm bag check says more)"
            for tail in self._reading.report.tails
        ]

    @property
    def notes(self) -> list[str]:
        """What its user should know of it: ends that were not read, transitions passed over."""
        return self.unread + [
            f"{self.path}: {count} transitions of {hand} came more than once, or late, and were "
            "passed over"
            for hand, count in self.doubles.items()
        ]

    def run(self, hand: str) -> int:
        """Return how often the numbers of a hand had begun again by the last transition."""
        return self._recorded.runs.next.get(hand, Place()).run

    def __iter__(self) -> Iterator[TransitionRecord]:
        """Yield the transitions of the hands in the order recorded; once only.

        Raises BagError for damage, and where there are none, of whatever hand.
        """
        for record in self._all():
            self.hands.add(record.hand)
            if self._is_chosen(record.hand):
                yield record

    def _is_chosen(self, hand: str) -> bool:
        return not self._chosen or hand in self._chosen

    def _all(self) -> Iterator[TransitionRecord]:
        if self._source != JOINT_STATES:
            is_empty = True
            for record in self._recorded:
                is_empty = False
                yield record
            if not is_empty:
                return
            if self._source == TRANSITIONS:
                raise BagError(
                    f"{self.path} holds no transitions; take them from its joint_states, which "
                    "assembles them"
                )
        # Not above: assembling takes torch along, which takes seconds to load.
        joints = importlib.import_module("smm_ros.bag.joint_messages")
        self._reading = joints.JointReading(self.path, joints.JointTopics(**self._topics))
        for record in self._reading:
            self.assembled += 1
            yield record


def check_hands(sources: Sequence[TransitionSource], hands: Collection[str]) -> None:
    """Raise BagError where none of the hands was found in bags that were read."""
    found = set().union(*(source.hands for source in sources))
    if hands and not found & set(hands):
        bags = ", ".join(str(source.path) for source in sources)
        raise BagError(
            f"no transitions of {', '.join(hands)} in {bags}; there are some of "
            f"{', '.join(sorted(found))}"
        )
