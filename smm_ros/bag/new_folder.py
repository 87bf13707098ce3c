"""A folder that is there when it is finished, and not before."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class FolderError(Exception):
    """A folder that can not be made."""


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Give a path to be filled; what is there in the end becomes `out`.

    It has the same name and lies in OUT.partial. An error takes away what was written so far; a
    killed process leaves it behind under that name.

    Raises FolderError where there is something at `out` or OUT.partial, OSError where it can not
    be written.
    """
    out = out.expanduser().absolute()
    partial = out.with_name(f"{out.name}.partial")
    if os.path.lexists(out):
        raise FolderError(f"{out} exists; name another folder as out")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        partial.mkdir()
    except FileExistsError:
        raise FolderError(
            f"{partial} exists: it is being written, or was left by a process that was killed; "
            "remove it, or name another folder as out"
        ) from None
    try:
        yield partial / out.name
        os.rename(partial / out.name, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
