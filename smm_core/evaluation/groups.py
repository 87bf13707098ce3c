"""Which run folders can be compared, and which of them can be one group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from smm_core.config import ConfigError, to_mapping
from smm_core.evaluation.trained_runs import TrainedRuns

_MOST_NAMED = 3
"""Settings that an error names; it counts the others."""


def check_runs(runs: Sequence[TrainedRuns]) -> None:
    """Raise ConfigError where figures of these folders can not be set side by side or averaged.

    That is where a folder is given twice, where the environments differ, and where folders of
    one label differ in a setting of what is learnt: their mean would be of nothing in particular.
    """
    first, folders, of_label = runs[0], set(), dict[str, TrainedRuns]()
    for other in runs:
        folder = other.folder.resolve()
        if folder in folders:
            raise ConfigError(f"{other.folder} is given twice; name each run folder once")
        folders.add(folder)
        if (other.env_id, other.env_options) != (first.env_id, first.env_options):
            raise ConfigError(
                f"{other.folder} was trained in {other.env_id} {other.env_options}, but "
                f"{first.folder} in {first.env_id} {first.env_options}; compare runs of one "
                "environment"
            )
        _check_settings(of_label.setdefault(other.label, other), other)


def notes_on(runs: Sequence[TrainedRuns]) -> list[str]:
    """Say which groups' runs are not of one length, or not independent of one another."""
    notes = []
    for label in dict.fromkeys(trained.label for trained in runs):
        group = [trained for trained in runs if trained.label == label]
        if len({trained.learner.steps for trained in group}) > 1:
            steps = ", ".join(f"{t.folder} {t.learner.steps} steps" for t in group)
            notes.append(f"runs of {label!r} are not trained equally long: {steps}")
        seeds = Counter(seed for trained in group for seed in trained.seeds)
        if again := [str(seed) for seed, count in seeds.items() if count > 1]:
            notes.append(
                f"runs of {label!r} have a seed more than once: {', '.join(again)}; such runs are "
                "copies of each other, which make intervals too narrow and p-values too small"
            )
    return notes


def _check_settings(first: TrainedRuns, other: TrainedRuns) -> None:
    ours, theirs = (_flat(to_mapping(t.learner.config), "learner.") for t in (first, other))
    differing = [name for name in ours if ours[name] != theirs[name]]
    if not differing:
        return
    named = [f"{n} ({theirs[n]!r} and {ours[n]!r})" for n in differing[:_MOST_NAMED]]
    more = len(differing) - len(named)
    raise ConfigError(
        f"{other.folder} and {first.folder} are one group, {first.label!r}, but differ in "
        + ", ".join(named)
        + (f" and {more} more" if more else "")
        + f"; give one a label of its own: LABEL={other.folder}"
    )


def _flat(settings: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Return nested settings by their full names, as options are called."""
    flat = {}
    for name, value in settings.items():
        inner = isinstance(value, dict)
        flat.update(_flat(value, f"{prefix}{name}.") if inner else {prefix + name: value})
    return flat
