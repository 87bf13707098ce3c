"""Trainings of an experiment: each is begun, gone on with after an interruption, or reused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import smm_core.envs
import smm_ros.dclaw
from smm_core import checkpoint
from smm_core.config import from_mapping
from smm_core.evaluation.evaluate import EvaluateConfig, evaluate
from smm_core.evaluation.intervals import bootstrap_interval
from smm_core.evaluation.trained_runs import open_runs
from smm_core.run_folder import RunFolder
from smm_core.train import TrainConfig, Training

REGISTERED = (smm_core.envs, smm_ros.dclaw)
Figures = dict[str, list[float]]


def train_to(folder: Path, settings: Mapping[str, Any], steps: int) -> None:
    """Train a run folder's runs up to some steps, from its checkpoint where it has one.

    Raises ValueError where they have gone on beyond: what is measured would be of more steps.
    """
    newest = checkpoint.newest(RunFolder(folder).checkpoints)
    done = 0 if newest is None else checkpoint.read(newest)[1]["steps"]
    if done > steps:
        raise ValueError(f"{folder} is at {done} steps, beyond {steps}; name another folder")
    if done == steps:
        return
    if newest is None:
        training = Training(from_mapping(TrainConfig, {**settings, "steps": steps}), folder)
    else:
        training = Training.resumed(folder, {"steps": steps})
    training.run(lambda metrics: print(f"{folder.name}: {metrics['steps']} steps", flush=True))


def measure(folder: Path, policy: str, config: EvaluateConfig) -> Figures:
    """Return every figure of a policy by name, one value for each run."""
    results = evaluate(open_runs(folder), policy, config)
    return {name: [r.figures[name] for r in results] for name in results[0].figures}


def measured(
    folder: Path, settings: Mapping[str, Any], steps: int, policy: str, config: EvaluateConfig
) -> Figures:
    """Return a policy's figures after some steps; they are measured once, and kept beside it."""
    file = folder / f"{steps}-{policy}.json"
    if not file.exists():
        train_to(folder, settings, steps)
        file.write_text(json.dumps(measure(folder, policy, config)))
    found: Figures = json.loads(file.read_text())
    return found


def side_by_side(work: Callable[..., Any], cells: Iterable[tuple[Any, ...]], jobs: int) -> list:
    """Return `work(*cell)` for each cell, `jobs` processes at a time."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        return [future.result() for future in [pool.submit(work, *cell) for cell in cells]]


def interval(values: list[float], form: str = ".2f") -> str:
    """Return the mean over runs with its 95 % bootstrap interval as text."""
    low, high = bootstrap_interval(np.array(values))
    mean = format(float(np.mean(values)), form)
    return f"{mean} [{float(low):{form}}, {float(high):{form}}]"
