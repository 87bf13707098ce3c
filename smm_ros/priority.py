"""Which process goes first where there are fewer cores than work."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

BACKGROUND = 5
"""Niceness of work that nobody waits for: a third of the share of a core that others get."""

_AUTOGROUP = Path("/proc/self/autogroup")


def step_back() -> None:
    """Let other processes go first; to be called before the first thread is begun.

    The hand waits for each command, and the policy server for each state: with one core left
    beside a trainer that is never idle, they would stand in line behind it and the recorder.
    As SCHED_BATCH it does not interrupt who runs when something comes for it. Linux may weigh
    whole sessions against each other, and niceness only within one: where this process leads a
    session, the session steps back too.
    """
    os.nice(BACKGROUND)
    with suppress(OSError):  # not allowed in every container
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # not there, or not to be changed
            _AUTOGROUP.write_text(str(BACKGROUND))
