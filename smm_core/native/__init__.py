"""Compiled passes of networks, built with the messages (CMakeLists.txt); none where they are not.

The library is bound to the torch that it was built with, and named by its version.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

FEW_ROWS = 16

NAME = f"libsmm_core-torch{torch.__version__.partition('+')[0]}.so"


def _find() -> Path | None:
    """Return the library: below the prefix that this file, or Python, is installed in."""
    for folder in (Path(__file__).parents[4], Path(sys.prefix, "lib")):
        if (folder / NAME).is_file():
            return folder / NAME
    return None


def _load() -> bool:
    path = _find()
    if path is None or not torch.backends.mkldnn.is_available():
        return False
    torch.ops.load_library(str(path))
    return hasattr(torch.ops.mkldnn, "_linear_pointwise")


_is_loaded = _load()


def serves(x: Tensor) -> bool:
    """Return whether torch.ops.smm_core is built and made for such inputs, (R, B, size).

    They have to be float32 on a CPU. Of few rows, as where a policy acts, torch's batched products
    are the faster.
    """
    is_made_for = x.device.type == "cpu" and x.dtype == torch.float32 and x.shape[1] >= FEW_ROWS
    return _is_loaded and is_made_for
