"""Messages of several topics put into the order in which they were published."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

M = TypeVar("M")


class _Waiting(NamedTuple, Generic[M]):
    """A message, when it was published, and the beat it came in."""

    published_ns: int
    beat: int
    message: M


class PublishOrder(Generic[M]):
    """Gives messages on when nothing that was published before them can be expected any more.

    DDS keeps the order within a topic, but of two topics one may come far behind the other. A
    message waits until each topic has one that waits, of which the one published first goes on;
    or for `patience` beats. What comes later than that is given on at once and counted.
    """

    def __init__(self, topics: Sequence[str], patience: int) -> None:
        self.late = 0
        """Messages that came after one that had been published later was given on."""
        self._waiting: dict[str, deque[_Waiting[M]]] = {name: deque() for name in topics}
        self._patience = patience
        self._beat = 0
        self._newest_ns = 0

    def add(self, topic: str, published_ns: int, message: M) -> list[M]:
        """Take a message of one of the topics; return what can go on now, in order."""
        self.late += published_ns < self._newest_ns
        self._waiting[topic].append(_Waiting(published_ns, self._beat, message))
        return list(self._given(-1))

    def beat(self) -> list[M]:
        """Let a while pass; return what has waited long enough, and what was held up by it.

        Beats are to be given by who takes the messages, between them: then one that is too busy
        to take any loses no patience meanwhile.
        """
        self._beat += 1
        return list(self._given(self._beat - self._patience))

    def rest(self) -> list[M]:
        """Return all that waits, as nothing more comes."""
        return list(self._given(self._beat))

    def _given(self, until: int) -> Iterator[M]:
        """Give on what came in beats up to this one, or has its turn."""
        while heads := {name: queue[0] for name, queue in self._waiting.items() if queue}:
            name = min(heads, key=lambda topic: heads[topic].published_ns)
            is_turn = len(heads) == len(self._waiting)
            if not is_turn and min(head.beat for head in heads.values()) > until:
                return
            head = self._waiting[name].popleft()
            self._newest_ns = max(self._newest_ns, head.published_ns)
            yield head.message
