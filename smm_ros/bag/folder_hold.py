"""The folder of a bag, kept from other writers as long as this one lives."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from smm_ros.bag.mcap_file import BagError


class FolderHold:
    """A lock on a folder, which the system takes off when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        """Take the path; nothing is made or locked yet."""
        self._folder = folder
        self._descriptor: int | None = None
        self.has_lock = False
        """Whether others are kept out: not on a file system that has no locks."""

    def make(self) -> bool:
        """Hold the folder at the path, made where there is none; return whether it was made.

        Raises BagError when another process holds it, OSError when it can not be made.
        """
        was_there = self._folder.exists()
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._is_held():
            self.release()  # of a folder that was deleted or moved
            self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self.has_lock = self._lock(self._descriptor)
        return not was_there

    def release(self) -> None:
        """Let others write to the folder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _lock(self, descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise BagError(
                f"bag {self._folder} is being written by another process; stop that one, or name "
                "another folder"
            ) from None
        except OSError:
            return False
        return True

    def _is_held(self) -> bool:
        if self._descriptor is None:
            return False
        return os.path.samestat(os.fstat(self._descriptor), os.stat(self._folder))


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the folder's list of files; raises OSError when it does not say."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
