"""Keys pressed in the terminal that a bag is played from."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from enum import Enum
from typing import Any


class Key(Enum):
    """A key that means something."""

    PAUSE = "space"
    STEP = "s or cursor right"
    OTHER = "any other"


_MEANINGS = {b" ": Key.PAUSE, b"s": Key.STEP, b"\x1b[C": Key.STEP, b"\x1bOC": Key.STEP}


class Keys:
    """Hears keys at once and without showing them; there are none where there is no terminal.

    Nor are there any in the background, where asking for them would stop the process.
    """

    def __init__(self) -> None:
        self._file: int | None = None
        self._previous: list[Any] = []

    def __enter__(self) -> Keys:
        if sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp():
            self._file = sys.stdin.fileno()
            self._previous = termios.tcgetattr(self._file)
            tty.setcbreak(self._file)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            termios.tcsetattr(self._file, termios.TCSADRAIN, self._previous)
            self._file = None

    @property
    def are_heard(self) -> bool:
        """Whether there is a terminal."""
        return self._file is not None

    def wait(self, seconds: float) -> Key | None:
        """Return the key that is pressed within a time, s; None if none is."""
        if self._file is None:
            time.sleep(seconds)
            return None
        if not select.select([self._file], [], [], seconds)[0]:
            return None
        return _MEANINGS.get(os.read(self._file, 16), Key.OTHER)
