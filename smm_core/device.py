"""Where the learner computes: the processor or a GPU, by its name in the settings."""

from __future__ import annotations

import re

import torch

from smm_core.config import ConfigError

CPU = torch.device("cpu")


def open_device(name: str) -> torch.device:
    """Return the device of a name: 'cpu', 'cuda' or 'cuda:1'.

    Raises ConfigError, saying what torch finds here, for another name or one that is not here.
    """
    if name == "cpu":
        return torch.device(name)
    if not re.fullmatch(r"cuda(:\d+)?", name):
        raise ConfigError(f"device is {name!r}, expected cpu, cuda or cuda:N")
    if not torch.backends.cuda.is_built():
        raise ConfigError(
            f"device is {name!r}, but torch {torch.__version__} is built for CPUs only; take"
            " device cpu, or install a torch with CUDA (pytorch.org/get-started/locally)"
        )
    count, index = torch.cuda.device_count(), int(name.partition(":")[2] or 0)
    if index >= count:
        found = ", ".join(f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(count))
        raise ConfigError(
            f"device is {name!r}, but torch sees {found or 'no GPU'}; take one of these or device"
            " cpu" + " and look at nvidia-smi" * (not count)
        )
    return torch.device("cuda", index)
