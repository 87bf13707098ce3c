"""One way from bags to a dataset or back: how far it is, what came of it, and what went wrong."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from smm_core.config import ConfigError
from smm_ros.bag.datasets.dataset import DatasetError
from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.new_folder import FolderError
from smm_ros.transition_wire import TransitionWireError

Tell = Callable[[int], None]
"""Called, over and over, with the number of transitions so far."""


@dataclass(frozen=True)
class Conversion:
    """What was written."""

    transitions: int
    notes: Sequence[str] = ()
    """What there is to say about it, a line each."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """More of it, ready for JSON."""


def convert(work: Callable[[Tell], Conversion], out: Path, as_json: bool) -> int:
    """Do the work, tell what came of it in words or as JSON, and return the exit status."""
    start = time.monotonic()
    try:
        with Console(stderr=True).status("") as status:
            done = work(lambda transitions: status.update(f"{transitions} transitions"))
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 130
    except (
        BagError, ConfigError, DatasetError, FolderError, TransitionWireError, OSError,
    ) as error:  # fmt: skip
        print(f"error: {error}", file=sys.stderr)
        return 1
    if as_json:
        told = {"transitions": done.transitions, "out": str(out), "notes": list(done.notes)}
        print(json.dumps(told | dict(done.figures)))
        return 0
    seconds = time.monotonic() - start
    first = f"wrote {done.transitions} transitions to {out} in {seconds:.1f} s"
    print("\n  ".join([first, *done.notes]))
    return 0
