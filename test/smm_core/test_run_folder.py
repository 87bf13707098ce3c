"""The run folder tells what ran, and is never written over."""

import json
import subprocess
from pathlib import Path

import pytest
import torch

from smm_core.config import ConfigError
from smm_core.run_folder import RunFolder, free_folder


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path / "runs" / "one")
    made.create({"env": "Some-v0", "seed": 4}, seeds=[4, 5])
    return made


def origin(folder):
    return json.loads((folder.path / "origin.json").read_text())


def test_it_says_what_ran_where_and_with_what(folder):
    assert folder.settings() == {"env": "Some-v0", "seed": 4}
    told = origin(folder)
    assert told["seeds"] == [4, 5]
    (start,) = told["starts"]
    assert start["versions"]["torch"] == torch.__version__
    assert start["command"]


def test_it_names_the_revision_of_the_checkout(folder):
    here = Path(__file__).resolve().parent
    command = ["git", "-C", str(here), "rev-parse", "HEAD"]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode:
        pytest.skip("not in a git checkout")
    assert origin(folder)["starts"][0]["git"].rstrip("+") == answer.stdout.strip()


def test_a_folder_that_exists_is_refused(folder):
    with pytest.raises(ConfigError, match=r"one exists.*--folder.*--resume"):
        RunFolder(folder.path).create({}, [])
    assert folder.settings()["seed"] == 4


def test_a_free_folder_is_numbered(tmp_path):
    taken = []
    for _ in range(3):
        path = free_folder(tmp_path / "run")
        path.mkdir()
        taken.append(path.name)
    assert taken == ["run", "run-2", "run-3"]


def test_another_start_is_noted(folder):
    folder.report({"steps": 10, "loss": [0.5]})
    folder.resume({"env": "Some-v0", "seed": 4, "steps": 99}, steps=10)
    assert folder.settings()["steps"] == 99
    assert [start.get("resumed_at") for start in origin(folder)["starts"]] == [None, 10]
    assert folder.metrics() == [{"steps": 10, "loss": [0.5]}]


@pytest.mark.parametrize("content", [None, "{", "[]x"])
def test_what_is_no_run_folder_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "settings.json").write_text(content)
    with pytest.raises(ConfigError, match="is no run folder"):
        RunFolder(tmp_path).settings()
