"""What the figures were taken on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import torch

from smm_core.run_folder import describe_start


def describe(threads: int) -> dict[str, Any]:
    """Return when and with what the run starts: command, revision, versions, processor, cores."""
    return describe_start() | {
        "processor": _processor(),
        "cores": usable_cores(),
        "threads": threads,
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
