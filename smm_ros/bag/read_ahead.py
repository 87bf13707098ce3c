"""Messages read ahead in a thread, so that who takes them seldom waits for the disk."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from queue import Empty, Full, Queue

from smm_ros.bag.reading import BagMessage

BLOCK_MESSAGES = 256
BLOCK_BYTES = 2**20
BLOCKS = 16
"""Most that is held; a block ends with the message that fills it."""

_PATIENCE = 0.1


class ReadAhead:
    """Iterates over messages once, some blocks ahead of the one who takes them.

    To be used in a `with`, which ends the thread. An error of the reading comes out where the
    message would have come.
    """

    def __init__(self, messages: Iterable[BagMessage]) -> None:
        self._messages = messages
        self._blocks: Queue[list[BagMessage]] = Queue(BLOCKS)
        self._error: BaseException | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reading ahead", daemon=True)

    def __enter__(self) -> ReadAhead:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def __iter__(self) -> Iterator[BagMessage]:
        """Yield the messages in their order."""
        while block := self._next():
            yield from block
        if self._error is not None:
            raise self._error

    def _next(self) -> list[BagMessage]:
        """Return the next block; an empty one ends them."""
        while True:
            try:
                return self._blocks.get(timeout=_PATIENCE)
            except Empty:
                if self._ended.is_set():
                    return []

    def _run(self) -> None:
        block: list[BagMessage] = []
        size = 0
        try:
            for message in self._messages:
                block.append(message)
                size += len(message.data)
                if len(block) >= BLOCK_MESSAGES or size >= BLOCK_BYTES:
                    if not self._put(block):
                        return
                    block, size = [], 0
        except BaseException as error:  # raised again where the messages are taken
            self._error = error
        if block:
            self._put(block)
        self._put([])

    def _put(self, block: list[BagMessage]) -> bool:
        """Hand a block over; return False where nobody takes any more."""
        while not self._ended.is_set():
            try:
                self._blocks.put(block, timeout=_PATIENCE)
            except Full:
                continue
            return True
        return False
