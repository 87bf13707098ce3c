"""What a learner takes from the bag of an earlier run: transitions that it can learn from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from smm_core.transitions import Layout, Transition, TransitionError
from smm_ros.bag.joint_messages import JointReading, JointTopics
from smm_ros.bag.reading import BagError, read_transitions
from smm_ros.records import TransitionRecord


class Experience:
    """The transitions of one bag, of all its hands in the order recorded, each checked."""

    def __init__(self, path: str | Path, layout: Layout) -> None:
        """Raises BagError where there is no bag."""
        self.path = Path(path)
        self._layout = layout
        self._reading = read_transitions(self.path)

    def __iter__(self) -> Iterator[Transition]:
        """Yield every transition, of one run.

        Where the bag has none they are assembled from joint states and joint commands. Raises
        BagError for damage, for a transition of other sizes or skills than the layout's or with a
        number that is not finite, naming it, and where there is nothing to learn from.
        """
        for record in self._records():
            transition = record.as_transition()
            try:
                transition.check(self._layout)
            except TransitionError as error:
                raise BagError(
                    f"{self.path}: transition {record.sequence} of {record.hand} is none for "
                    f"{self._layout}: {error}; was it recorded with other settings?"
                ) from error
            yield transition

    def _records(self) -> Iterator[TransitionRecord]:
        has_any = False
        for record in self._reading:
            has_any = True
            yield record
        if not has_any:
            yield from JointReading(self.path, JointTopics())
