"""The folder of one run: what ran, with which versions and seeds, and what came of it."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from smm_core.config import ConfigError

SETTINGS, ORIGIN, METRICS = "settings.json", "origin.json", "metrics.jsonl"
PACKAGES = ("smm-ros", "torch", "numpy", "gymnasium", "gymnasium-robotics", "mujoco", "zuko")


class RunFolder:
    """Settings, origin, metrics, checkpoints and TensorBoard files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """Folder of the TensorBoard files."""
        return self.path / "tensorboard"

    def create(self, settings: dict[str, Any], seeds: list[int]) -> None:
        """Make the folder and write down what runs; raises ConfigError where it exists."""
        try:
            self.path.mkdir(parents=True)
        except FileExistsError as error:
            raise ConfigError(
                f"{self.path} exists; name a new run folder with --folder, or go on with that run "
                f"by --resume {self.path}"
            ) from error
        _write(self.path / SETTINGS, settings)
        _write(self.path / ORIGIN, {"seeds": seeds, "starts": [describe_start()]})

    def settings(self) -> dict[str, Any]:
        """Return the settings of the run; raises ConfigError where there is none."""
        try:
            return dict(json.loads((self.path / SETTINGS).read_text()))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{self.path} is no run folder, expected one of smm train ({error})"
            ) from error

    def resume(self, settings: dict[str, Any], steps: int) -> None:
        """Note another start, and drop what was reported after the checkpoint gone on from."""
        _write(self.path / SETTINGS, settings)
        origin = json.loads((self.path / ORIGIN).read_text())
        origin["starts"].append(describe_start() | {"resumed_at": steps})
        _write(self.path / ORIGIN, origin)
        kept = [m for m in self.metrics() if m["steps"] <= steps]
        _replace(self.path / METRICS, "".join(json.dumps(m) + "\n" for m in kept))

    def report(self, metrics: dict[str, Any]) -> None:
        """Append the metrics of one moment."""
        with (self.path / METRICS).open("a") as file:
            file.write(json.dumps(metrics) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """Return all metrics reported; a line cut off by a crash is left out."""
        path, found = self.path / METRICS, []
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found


def free_folder(path: Path) -> Path:
    """Return the path, with a number behind it where it is taken."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def _write(path: Path, data: dict[str, Any]) -> None:
    _replace(path, json.dumps(data, indent=2) + "\n")


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all: what was there stays where the disk is full."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def describe_start() -> dict[str, Any]:
    """Return when, where and with what a run starts."""
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": sys.argv,
        "git": _git_revision(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git_revision() -> str | None:
    """Return the revision of the checkout this file lies in; None where it is none.

    A '+' behind it tells of changes that are not committed.
    """
    here = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        command = ["git", "-C", str(here), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # Only where this very file is kept by git: an installed copy may lie in another project.
        git("ls-files", "--error-unmatch", Path(__file__).name)
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
