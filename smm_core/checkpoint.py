"""Checkpoints: everything a learner needs to go on bit for bit, written atomically."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from smm_core.config import from_mapping, to_mapping
from smm_core.generators import Generators
from smm_core.learner import Learner, LearnerConfig
from smm_core.transitions import Layout

FORMAT = 3
SUFFIX = ".safetensors"
_COUNTS = ("updates", "prefilled", "off_line_updates", "off_line_versions")
_CHANGEABLE = ("config.sac.conservative", "config.sac.conservative_actions")


class CheckpointError(RuntimeError):
    """A checkpoint is missing, damaged, of another version, or for other settings."""


def save(
    folder: Path, learner: Learner, extra: Mapping[str, Any] | None = None, keep: int = 2
) -> Path:
    """Write `folder`/checkpoint-<steps>.safetensors, keep the newest `keep`; return its path.

    `extra` is any JSON data to have back from `load`. Tensors and numbers are one file, which
    takes its name only once it is on disk, so a crash at any moment leaves the one before.
    """
    tensors, numbers = _learner_state(learner)
    numbers["extra"] = dict(extra or {})
    path = folder / f"checkpoint-{learner.steps:09d}{SUFFIX}"
    partial = folder / ".checkpoint.partial"
    folder.mkdir(parents=True, exist_ok=True)
    contiguous = {name: t.cpu().contiguous() for name, t in tensors.items()}
    try:
        save_file(contiguous, partial, metadata={"numbers": json.dumps(numbers)})
        _to_disk(partial)
    except BaseException:
        partial.unlink(missing_ok=True)  # a full disk is not to be kept full
        raise
    partial.replace(path)
    _to_disk(folder)
    for old in _complete(folder)[:-keep]:
        old.unlink()
    return path


def newest(folder: Path) -> Path | None:
    """Return the newest whole checkpoint in `folder`, or None."""
    found = _complete(folder)
    return found[-1] if found else None


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return a checkpoint's tensors and numbers; raises CheckpointError naming what is wrong."""
    try:
        with safe_open(path, "pt") as file:
            numbers = _upgraded(dict(json.loads((file.metadata() or {})["numbers"])))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is not a readable checkpoint: {error}") from error
    found = numbers.get("format")
    if found != FORMAT:
        raise CheckpointError(f"{path} has format {found}, this program reads {FORMAT}")
    return tensors, numbers


def _upgraded(numbers: dict[str, Any]) -> dict[str, Any]:
    """Return what an older checkpoint lacks, as it was then; other formats as they are."""
    found = numbers.get("format")
    if found not in (2, FORMAT):
        return numbers
    # Settings that came later have their defaults, with which all is learnt as before.
    upgraded = numbers | {"config": to_mapping(from_mapping(LearnerConfig, numbers["config"]))}
    if found == FORMAT:
        return upgraded
    counts = dict.fromkeys(_COUNTS, 0) | {"updates": numbers["updates"]}
    return upgraded | counts | {"format": FORMAT}


def load(path: Path, learner: Learner) -> dict[str, Any]:
    """Put a checkpoint into a learner built with the same settings; return its `extra`.

    The weight of the conservative term may differ: nothing that is saved depends on it, and what
    was learnt off line with it is gone on with on line without.

    Raises CheckpointError naming the first setting that differs, or the part that is damaged.
    """
    return _put(path, *read(path), learner)


def _put(path: Path, tensors: dict[str, Tensor], numbers: Any, learner: Learner) -> dict[str, Any]:
    _check_settings(path, numbers, _settings(learner))
    try:
        _load_learner_state(learner, tensors, numbers)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} lacks a part of the learner: {error!r}") from error
    extra: dict[str, Any] = numbers["extra"]
    return extra


def open_learner(path: Path) -> Learner:
    """Build the learner that a checkpoint was saved from, with all that it knew."""
    tensors, numbers = read(path)
    config = from_mapping(LearnerConfig, numbers["config"])
    learner = Learner(Layout(**numbers["layout"]), config, range(numbers["runs"]))
    _put(path, tensors, numbers, learner)
    return learner


def _complete(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"checkpoint-*{SUFFIX}"))


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _settings(learner: Learner) -> dict[str, Any]:
    return {
        "layout": vars(learner.layout),
        "config": to_mapping(learner.config),
        "runs": len(learner.generators),
    }


def _check_settings(path: Path, numbers: Any, expected: Any, where: str = "") -> None:
    for name, value in expected.items():
        saved = numbers.get(name)
        if isinstance(value, dict):
            _check_settings(path, saved or {}, value, f"{where}{name}.")
        elif saved != value and f"{where}{name}" not in _CHANGEABLE:
            raise CheckpointError(
                f"{path} was saved with {where}{name} = {saved!r}, this run has {value!r}; "
                "use the same settings or another run folder"
            )


def _optimizers(learner: Learner) -> dict[str, torch.optim.Optimizer]:
    return {
        **{f"sac.{name}": found for name, found in learner.sac.optimizers.items()},
        **{f"objective.{name}": found for name, found in learner.objective.optimizers.items()},
    }


def _learner_state(learner: Learner) -> tuple[dict[str, Tensor], dict[str, Any]]:
    groups: dict[str, Mapping[str, Tensor]] = {
        "sac": learner.sac.state_dict(),
        "objective": learner.objective.state_dict(),
        "replay": learner.replay.state(),
        "skill_prior": {"probabilities": learner.skill_prior.probabilities},
        "random": {"streams": learner.generators.state()},
    }
    for name, optimizer in _optimizers(learner).items():
        state = optimizer.state_dict()["state"]
        groups[f"optimizer.{name}"] = {
            f"{index}.{key}": torch.as_tensor(value)
            for index, slots in state.items()
            for key, value in slots.items()
        }
    groups["history"], history = learner.history.state()
    tensors = {f"{group}/{k}": t for group, values in groups.items() for k, t in values.items()}
    numbers = _settings(learner)
    numbers |= {"format": FORMAT, "steps": learner.steps}
    numbers |= {name: getattr(learner, name) for name in _COUNTS}
    numbers["history"] = history
    return tensors, numbers


def _load_learner_state(learner: Learner, tensors: dict[str, Tensor], numbers: Any) -> None:
    def group(name: str) -> dict[str, Tensor]:
        prefix = f"{name}/"
        return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}

    learner.sac.load_state_dict(group("sac"))
    learner.objective.load_state_dict(group("objective"))
    learner.replay.load_state(group("replay"))
    learner.skill_prior.probabilities.copy_(group("skill_prior")["probabilities"])
    learner.generators.load_state(group("random")["streams"])
    for name, optimizer in _optimizers(learner).items():
        slots: dict[int, dict[str, Tensor]] = {}
        for key, tensor in group(f"optimizer.{name}").items():
            index, slot = key.split(".", 1)
            slots.setdefault(int(index), {})[slot] = tensor
        optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
    learner.history.load_state(group("history"), numbers["history"], learner.layout)
    for name in _COUNTS:
        setattr(learner, name, int(numbers[name]))


def random_state(generators: Generators) -> str:
    """Return the state of random streams as text, for `extra`."""
    return generators.state().numpy().tobytes().hex()


def load_random_state(generators: Generators, text: str) -> None:
    """Continue random streams from what `random_state` returned."""
    flat = torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8)
    generators.load_state(flat.view(len(generators), -1))
