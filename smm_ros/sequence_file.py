"""The numbers of a hand's next transition and episode, kept where a killed process leaves them."""

from __future__ import annotations

import os
import struct
from pathlib import Path

_LAYOUT = struct.Struct("<QQ")


class SequenceError(RuntimeError):
    """The file of sequence numbers can not be read."""


class SequenceFile:
    """Counts transitions and episodes without repeating a number after a restart.

    A number is in the file before it is used: a process killed in between leaves a gap, which
    every subscriber counts, and never two transitions of one number.
    """

    def __init__(self, path: Path | None) -> None:
        """Open or create the file; without a path the numbers start at 0 and are not kept."""
        self.sequence, self.episode = 0, 0
        self._descriptor: int | None = None
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        data = os.pread(self._descriptor, _LAYOUT.size, 0)
        if data:
            self.sequence, self.episode = _read(path, data)

    def take_sequence(self) -> int:
        """Return the number of the next transition and count it as used."""
        number = self.sequence
        self.sequence += 1
        self._write()
        return number

    def take_episode(self) -> int:
        """Return the number of the next episode and count it as used."""
        number = self.episode
        self.episode += 1
        self._write()
        return number

    def skip_to(self, sequence: int) -> None:
        """Go on from a number that is higher than the next one; those below are used up."""
        if sequence > self.sequence:
            self.sequence = sequence
            self._write()

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self) -> None:
        # One small write to the page cache: it outlives the process, and costs microseconds.
        if self._descriptor is not None:
            os.pwrite(self._descriptor, _LAYOUT.pack(self.sequence, self.episode), 0)


def _read(path: Path, data: bytes) -> tuple[int, int]:
    if len(data) != _LAYOUT.size:
        raise SequenceError(
            f"{path} holds {len(data)} bytes, expected {_LAYOUT.size}; restore it, or start a "
            "new run folder"
        )
    sequence, episode = _LAYOUT.unpack(data)
    return sequence, episode
