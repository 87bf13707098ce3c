"""States from files: each format, states or observations, and a clear word about the rest."""

import numpy as np
import pytest
import torch

from smm_core.config import ConfigError
from smm_core.state_space import StateConfig, StateSpace
from smm_core.targets.state_file import read_states

SPACE = StateSpace(StateConfig(linear=(3,), circular=(0, 1)), obs_size=4)
STATES = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
OBS = np.stack((np.cos(STATES[:, 1]), np.sin(STATES[:, 1]), STATES[:, 1] * 0, STATES[:, 0]), 1)


def write(path, rows):
    if path.suffix == ".npy":
        np.save(path, rows)
    elif path.suffix == ".npz":
        np.savez(path, rows)
    else:
        names = ",".join(f"x{i}" for i in range(rows.shape[1])) if "named" in path.stem else ""
        np.savetxt(path, rows, delimiter=",", header=names, comments="")
    return str(path)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.csv", "named.csv"])
@pytest.mark.parametrize("rows", [STATES, OBS], ids=["states", "observations"])
def test_every_format_gives_the_same_states(tmp_path, name, rows):
    found = read_states(write(tmp_path / name, rows), SPACE, "file")
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), STATES, atol=1e-5)


def refused(path, words):
    with pytest.raises(ConfigError, match=words):
        read_states(str(path), SPACE, "target.goal.file")


def test_what_is_no_file_of_states_is_named(tmp_path):
    refused("", "target.goal.file is not set")
    refused(tmp_path / "missing.npy", r"can not read .*missing\.npy")
    refused("states.txt", r"'states.txt', expected a \.npy, \.npz or \.csv")
    refused(write(tmp_path / "wide.npy", OBS[:, :3]), "3 numbers a row, expected 2 .* entry 3")
    refused(write(tmp_path / "one.npy", OBS[:1]), r"shape \(1, 4\)")
    refused(write(tmp_path / "flat.npy", OBS[0]), r"shape \(4,\)")
    nan = OBS.copy()
    nan[[2, 4], 1] = np.nan
    refused(write(tmp_path / "nan.npy", nan), "in 2 of 5 rows, first in row 2")
    np.savez(tmp_path / "two.npz", a=STATES, b=OBS)
    refused(tmp_path / "two.npz", "expected one array")


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.csv"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 something else", b"1,2\n1\n"])
def test_a_damaged_file_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, "target.goal.file")


def test_a_pickle_is_not_opened(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}, {}], object), allow_pickle=True)
    refused(tmp_path / "a.npy", "pickle")
