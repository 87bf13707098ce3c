"""States in a file: demonstrations, or goals seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smm_core.config import ConfigError
from smm_core.state_space import StateSpace


def read_states(path: str, space: StateSpace, setting: str) -> Tensor:
    """Return the matched states in a .npy, .npz or .csv file, (N, size) float32.

    A row is a state where it has as many numbers as s (angles in rad), otherwise an observation,
    from which s is selected. An .npz file holds one array; a .csv file may begin with a line of
    names. Raises ConfigError, naming the setting, for what can not be read.
    """
    rows = _read(path, setting)
    if rows.ndim != 2 or len(rows) < 2:
        raise ConfigError(
            f"{setting} {path} holds an array of shape {rows.shape}, expected a state or "
            "observation in each of two rows or more"
        )
    bad = np.flatnonzero(~np.isfinite(rows).all(1))
    if bad.size:
        raise ConfigError(
            f"{setting} {path} holds NaN or infinite numbers in {bad.size} of {len(rows)} rows, "
            f"first in row {bad[0]}; leave those rows out"
        )
    found = torch.from_numpy(rows.astype(np.float32))
    width, needed = rows.shape[1], max((*space.linear, *space.cos, *space.sin), default=0) + 1
    if width == space.size:
        return found
    if width < needed:
        raise ConfigError(
            f"{setting} {path} has {width} numbers a row, expected {space.size} (states) or whole "
            f"observations, of which the matched state takes entry {needed - 1}"
        )
    return space.select(found)


def _read(path: str, setting: str) -> NDArray[np.floating]:
    if not path:
        raise ConfigError(f"{setting} is not set; name a .npy, .npz or .csv file of states")
    suffix = Path(path).suffix.lower()
    if suffix not in _READERS:
        raise ConfigError(f"{setting} is {path!r}, expected a .npy, .npz or .csv file")
    try:
        return np.asarray(_READERS[suffix](path), np.float64)
    except (OSError, ValueError, TypeError, EOFError, BadZipFile) as error:
        raise ConfigError(f"{setting}: can not read {path}: {error}") from error


def _read_npy(path: str) -> NDArray[np.floating]:
    with Path(path).open("rb") as file:
        array: NDArray[np.floating] = np.lib.format.read_array(file, allow_pickle=False)
        return array


def _read_npz(path: str) -> NDArray[np.floating]:
    with Path(path).open("rb") as file, np.load(file) as archive:
        if len(archive.files) != 1:
            raise ValueError(f"it holds {archive.files}, expected one array")
        array: NDArray[np.floating] = archive[archive.files[0]]
        return array


def _read_csv(path: str) -> NDArray[np.floating]:
    rows = [line for line in Path(path).read_text().splitlines() if line.strip()]
    if rows and not _is_numbers(rows[0]):
        del rows[0]
    if not rows:
        raise ValueError("it holds no rows of numbers")
    return np.loadtxt(rows, delimiter=",", ndmin=2)


def _is_numbers(row: str) -> bool:
    try:
        [float(word) for word in row.split(",")]
    except ValueError:
        return False
    return True


_READERS: dict[str, Callable[[str], NDArray[np.floating]]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".csv": _read_csv,
}
