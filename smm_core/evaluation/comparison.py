"""Runs of several methods side by side: means over runs, intervals, and a test of each figure."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smm_core.config import Config, ConfigError, option
from smm_core.evaluation.evaluate import EvaluateConfig, opened
from smm_core.evaluation.groups import check_runs, notes_on
from smm_core.evaluation.intervals import STUDENT, TESTS, bootstrap_interval, one_sided_p
from smm_core.evaluation.player import RANDOM
from smm_core.evaluation.run_result import RunResult
from smm_core.evaluation.trained_runs import TrainedRuns

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Meaning:
    """What a figure is."""

    text: str
    unit: str
    more_is_better: bool


MEANINGS = {
    "state_entropy": Meaning("entropy of the state marginal over its bins", "nats", True),
    "outside_share": Meaning("states beyond the bins", "share", False),
    "kl_target_policy": Meaning("KL(p* || rho)", "nats", False),
    "kl_policy_target": Meaning("KL(rho || p*)", "nats", False),
    "total_variation": Meaning("total variation of rho and p*", "share", False),
    "nll": Meaning("held-out -log q(s) of the learnt density", "nats", False),
    "goals_found": Meaning("goals found in the episodes allowed", "share", True),
    "episodes_needed": Meaning("episodes until a goal is found", "episodes", False),
    "halls_reached": Meaning("halls reached by the policy", "share", True),
    "halls_reached_in_training": Meaning("halls reached in training", "share", True),
    "valve_rotations": Meaning("valve turned to and fro, in an episode", "turns", True),
    "valve_clockwise": Meaning("farthest clockwise in an episode", "rad", True),
    "valve_counter_clockwise": Meaning("farthest counter-clockwise", "rad", True),
    "valve_range": Meaning("valve between its extremes in an episode", "turns", True),
    "valve_half_turn": Meaning("episodes of half a turn or more", "share", True),
}


@dataclass(frozen=True)
class CompareConfig(Config):
    """How runs are compared."""

    confidence: float = option(0.95, "confidence of the intervals", low=0.5, high=0.999)
    resamples: int = option(5000, "bootstrap resamples", low=100)
    baseline: str = option("", "label that the others are tested against; none: no test")
    test: str = option(
        STUDENT, "the paper's one-sided 'student' t-test, or 'welch'", choices=TESTS
    )


@dataclass(frozen=True)
class Summary:
    """A figure over the runs of one group."""

    values: Array
    """(runs,)"""
    low: float
    high: float
    """Bounds of the interval of the mean; NaN where there is one run only."""
    p_value: float
    """That the group is no better than the baseline; NaN where it was not tested."""

    @property
    def mean(self) -> float:
        """Mean over the runs."""
        return float(self.values.mean())


class Comparison:
    """The results of all runs by group: a method's label, and the policy where several are."""

    def __init__(
        self, groups: dict[str, list[RunResult]], config: CompareConfig, notes: Sequence[str] = ()
    ) -> None:
        _check_baseline(config, groups)
        self.groups, self.config = groups, config
        self.summaries = {
            label: {name: self._summary(label, name) for name in self._names(label)}
            for label in groups
        }
        self.notes = [*notes, *self._untested()]

    @property
    def figures(self) -> list[str]:
        """Names of all figures that any group has, in the order of MEANINGS."""
        return [n for n in MEANINGS if any(n in found for found in self.summaries.values())]

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON data; numbers that are none are null."""
        return {
            "groups": {
                label: {
                    "runs": [
                        {"folder": str(r.folder), "seed": r.seed} for r in self.groups[label]
                    ],
                    "figures": {name: _json(s) for name, s in found.items()},
                    **self._curves(label),
                }
                for label, found in self.summaries.items()
            },
            "units": {name: MEANINGS[name].unit for name in self.figures},
            "confidence": self.config.confidence,
            "notes": self.notes,
        }

    def write_csv(self, path: Path) -> None:
        """Write one line for each run and figure."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("group", "policy", "folder", "seed", "figure", "value", "unit"))
            writer.writerows(self._lines())

    def interval(self, values: Array) -> tuple[Array, Array]:
        """Return the interval of the mean of values (runs, ...)."""
        return bootstrap_interval(values, self.config.confidence, self.config.resamples)

    def count(self, label: str) -> str:
        """Return how many runs a group has, in words."""
        count = len(self.groups[label])
        return f"{count} run" + "s" * (count != 1)

    def _lines(self) -> Iterator[tuple[Any, ...]]:
        for label, results in self.groups.items():
            for r in results:
                for name, value in r.figures.items():
                    unit = MEANINGS[name].unit
                    yield label, r.policy, r.folder, r.seed, name, value, unit

    def _names(self, label: str) -> list[str]:
        return [n for n in MEANINGS if all(n in r.figures for r in self.groups[label])]

    def _values(self, label: str, name: str) -> Array:
        return np.array([r.figures[name] for r in self.groups[label] if name in r.figures])

    def _summary(self, label: str, name: str) -> Summary:
        values, p_value = self._values(label, name), math.nan
        baseline = self.config.baseline
        if baseline and label != baseline:
            others, better = self._values(baseline, name), MEANINGS[name].more_is_better
            p_value = one_sided_p(values, others, better, self.config.test)
        low, high = self.interval(values)
        return Summary(values, float(low), float(high), p_value)

    def _untested(self) -> list[str]:
        """Say why there is no interval or no p-value where there is none."""
        notes, baseline = [], self.config.baseline
        single = [label for label, results in self.groups.items() if len(results) < 2]
        if single:
            notes.append(
                f"no interval and no p-value of one run alone: {', '.join(single)}; train other "
                "seeds besides (smm train --runs or --seed)"
            )
        if not baseline and len(self.groups) > 1:
            notes.append("no p-values: --baseline names no group to test the others against")
        elif baseline in single:
            notes.append(f"no p-values: the baseline {baseline!r} has one run, expected two")
        elif baseline:
            notes += self._untested_figures(baseline, single)
        return notes

    def _untested_figures(self, baseline: str, single: Sequence[str]) -> list[str]:
        """Say why some figures of groups that are tested have no p-value."""
        untested = {
            name
            for label, found in self.summaries.items()
            for name, summary in found.items()
            if label != baseline and label not in single and math.isnan(summary.p_value)
        }
        lacking = [n for n in self.figures if n in untested - self.summaries[baseline].keys()]
        notes = [
            f"no p-value of {MEANINGS[name].text!r}: the baseline {baseline!r} does not have it"
            for name in lacking
        ]
        if untested.difference(lacking, ["outside_share"]):
            notes.append(
                "no p-value where neither the runs of a group nor those of the baseline differ"
            )
        return notes

    def _curves(self, label: str) -> dict[str, Any]:
        found = [r.search.found_within for r in self.groups[label] if r.search is not None]
        if not found:
            return {}
        return {"goals_found_within": np.mean(found, axis=0).round(6).tolist()}


def compare(
    runs: Sequence[TrainedRuns],
    evaluation: EvaluateConfig,
    config: CompareConfig,
    report: Callable[[str], None] = lambda text: None,
) -> Comparison:
    """Evaluate all runs and put those with the same label together; tell `report` what is played.

    Raises ConfigError, before anything is played, where `check_runs` does and where there is no
    group to be the baseline.
    """
    check_runs(runs)
    plan = _plan(runs, evaluation)
    _check_baseline(config, [label for label, _, _ in plan])
    groups: dict[str, list[RunResult]] = {}
    with ExitStack() as stack:
        # All are opened first: what can not be measured should not be known only after hours.
        evaluations = [stack.enter_context(opened(trained, evaluation)) for trained in runs]
        for label, policy, index in plan:
            folder = runs[index].folder
            report(f"playing {folder}: {evaluation.episodes} episodes of {label}")
            groups.setdefault(label, []).extend(evaluations[index].results(policy))
    notes = list(dict.fromkeys(note for trained in runs for note in trained.notes))
    notes = [*notes_on(runs), *notes, *_target_entropies(groups), *_bias(groups)]
    return Comparison(groups, config, notes)


def _plan(runs: Sequence[TrainedRuns], evaluation: EvaluateConfig) -> list[tuple[str, str, int]]:
    """Return what is played: the group's label, the policy and the folder's number."""
    several = len(set(evaluation.policies) - {RANDOM}) > 1
    plan = []
    for policy in dict.fromkeys(evaluation.policies):
        # Random actions are the same whatever was learnt, and played of one folder's seeds only.
        for index, trained in enumerate(runs[:1] if policy == RANDOM else runs):
            label = RANDOM if policy == RANDOM else trained.label + f" {policy}" * several
            plan.append((label, policy, index))
    return plan


def _check_baseline(config: CompareConfig, labels: Iterable[str]) -> None:
    if config.baseline and config.baseline not in labels:
        known = ", ".join(dict.fromkeys(labels))
        raise ConfigError(f"baseline is {config.baseline!r}, expected one of: {known}")


def _target_entropies(groups: dict[str, list[RunResult]]) -> list[str]:
    """Say what entropy p* has over the bins, and of which groups where they differ in it."""
    labels: dict[str, list[str]] = {}
    for label, (first, *_) in groups.items():
        if first.log_target is not None:
            text = (
                f"entropy of p* over the bins {first.target_entropy:.3f} nats, of what is uniform "
                f"over the bins where p* > 0 {first.uniform_entropy:.3f}"
            )
            labels.setdefault(text, []).append(label)
    return [t + (f": {', '.join(of)}" if len(labels) > 1 else "") for t, of in labels.items()]


def _bias(groups: dict[str, list[RunResult]]) -> list[str]:
    """Say by how much the entropies are too low, and what the divergences depend on."""
    results = [r for group in groups.values() for r in group]
    found = [r.marginal for r in results if r.marginal]
    if not found:
        return []
    notes = [
        "entropies and divergences are plug-in figures over bins; entropies are low by up to "
        f"about {max(m.bias for m in found):.3f} nats, more where states of an episode are alike"
    ]
    if any("kl_target_policy" in r.figures for r in results):
        notes.append(
            "KL(p* || rho) depends on the number of episodes: a bin never visited counts as "
            f"1/{found[0].bins.size} of one state; compare figures of equally many episodes"
        )
    return notes


def _json(summary: Summary) -> dict[str, Any]:
    numbers = {
        "mean": summary.mean,
        "low": summary.low,
        "high": summary.high,
        "p_value": summary.p_value,
    }
    return {
        "values": [_number(v) for v in summary.values.tolist()],
        **{name: _number(v) for name, v in numbers.items()},
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
