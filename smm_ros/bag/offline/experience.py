"""What a learner takes from the bag of an earlier run: transitions that it can learn from."""

from __future__ import annotations

from collections.abc import Iterator

from smm_core.transitions import Layout, Transition, TransitionError
from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.transition_source import TransitionSource


class Experience:
    """The transitions of one bag, of all its hands in the order recorded, each checked."""

    def __init__(self, source: TransitionSource, layout: Layout) -> None:
        """`layout` is that of the learner, for a run axis of length 1."""
        self.source = source
        self._layout = layout

    def __iter__(self) -> Iterator[Transition]:
        """Yield every transition, of one run.

        Raises BagError for damage, for a transition of other sizes or skills than the layout's or
        with a number that is not finite, naming it, and where there is nothing to learn from.
        """
        for record in self.source:
            transition = record.as_transition()
            try:
                transition.check(self._layout)
            except TransitionError as error:
                raise BagError(
                    f"{self.source.path}: transition {record.sequence} of {record.hand} is none "
                    f"for {self._layout}: {error}; was it recorded with other settings?"
                ) from error
            yield transition
