"""Runs side by side: groups, intervals, tests, and what is written of them."""

import csv
import json
import math
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from smm_core.config import ConfigError
from smm_core.evaluation import comparison
from smm_core.evaluation.comparison import MEANINGS, CompareConfig, Comparison, compare
from smm_core.evaluation.evaluate import EvaluateConfig
from smm_core.evaluation.goals import Search
from smm_core.evaluation.run_result import RunResult
from smm_core.evaluation.trained_runs import TrainedRuns
from smm_core.learner import LearnerConfig


def result(seed=0, search=None, policy="average", **figures):
    return RunResult(Path("runs", "a"), seed, policy, figures, [], search=search)


def group(values, name="state_entropy"):
    return [result(seed, **{name: value}) for seed, value in enumerate(values)]


GROUPS = {"smm": group([3.0, 3.2, 3.1, 3.3]), "sac": group([2.0, 2.4, 2.1, 2.2])}


def test_a_summary_is_the_mean_with_its_interval():
    summary = Comparison(GROUPS, CompareConfig()).summaries["smm"]["state_entropy"]
    assert summary.mean == pytest.approx(3.15)
    assert 3.0 <= summary.low < 3.15 < summary.high <= 3.3
    assert math.isnan(summary.p_value)


@pytest.mark.parametrize(("name", "better"), [("state_entropy", "smm"), ("nll", "sac")])
def test_the_test_is_on_the_side_that_is_better_for_the_figure(name, better):
    groups = {"smm": group([3.0, 3.2, 3.1, 3.3], name), "sac": group([2.0, 2.4, 2.1, 2.2], name)}
    (other,) = set(groups) - {better}
    found = Comparison(groups, CompareConfig(baseline=other)).summaries
    assert found[better][name].p_value < 0.001
    assert math.isnan(found[other][name].p_value)
    reverse = Comparison(groups, CompareConfig(baseline=better)).summaries
    assert reverse[other][name].p_value > 0.999


def test_a_baseline_that_is_no_group_is_refused():
    with pytest.raises(ConfigError, match="baseline is 'icm', expected one of: smm, sac"):
        Comparison(GROUPS, CompareConfig(baseline="icm"))


def test_json_holds_numbers_or_null_and_the_curve():
    success = np.array([[False, True], [False, False]])
    search = Search(np.zeros((2, 1)), (0,), success)
    groups = {"smm": [result(7, search, goals_found=0.5)], "sac": group([math.nan, 1.0], "nll")}
    text = json.dumps(Comparison(groups, CompareConfig(), ["a note"]).to_json(), allow_nan=False)
    data = json.loads(text)
    assert data["groups"]["smm"]["goals_found_within"] == [0.0, 0.5]
    assert data["groups"]["smm"]["figures"]["goals_found"] == {
        "values": [0.5], "mean": 0.5, "low": None, "high": None, "p_value": None,
    }  # fmt: skip
    assert data["groups"]["smm"]["runs"] == [{"folder": "runs/a", "seed": 7}]
    assert data["groups"]["sac"]["figures"]["nll"]["values"] == [None, 1.0]
    assert data["units"] == {"nll": "nats", "goals_found": "share"}
    assert data["notes"][0] == "a note"


@pytest.mark.parametrize(
    ("sizes", "baseline", "expected"),
    [
        ({"smm": 2}, "", []),
        ({"smm": 2, "sac": 1}, "smm", ["no interval and no p-value of one run alone: sac;"]),
        (
            {"smm": 2, "sac": 1},
            "sac",
            [
                "no interval and no p-value of one run alone: sac;",
                "the baseline 'sac' has one run",
            ],
        ),
        ({"smm": 2, "sac": 2}, "", ["--baseline names no group to test the others against"]),
        ({"smm": 2, "sac": 2}, "sac", []),
    ],
)
def test_why_there_is_no_p_value_is_said_once(sizes, baseline, expected):
    groups = {label: group([1.0, 2.5][:size]) for label, size in sizes.items()}
    notes = Comparison(groups, CompareConfig(baseline=baseline)).notes
    assert len(notes) == len(expected)
    assert all(text in note for text, note in zip(expected, notes, strict=True))


def test_a_figure_that_the_baseline_lacks_or_that_never_varies_is_named_as_not_tested():
    ours = [result(seed, nll=float(seed), halls_reached=1.0) for seed in (0, 1)]
    theirs = [result(seed, halls_reached=0.5) for seed in (0, 1)]
    notes = Comparison({"smm": ours, "sac": theirs}, CompareConfig(baseline="sac")).notes
    assert notes == [
        f"no p-value of {MEANINGS['nll'].text!r}: the baseline 'sac' does not have it",
        "no p-value where neither the runs of a group nor those of the baseline differ",
    ]


def test_the_entropy_of_the_target_is_told_and_of_whom_where_targets_differ(played, monkeypatch):
    make, _ = played
    targets = {"a": np.log([0.5, 0.5]), "b": np.log([0.5, 0.5]), "c": np.log([0.1, 0.9])}

    @contextmanager
    def opened(runs, config):
        found = RunResult(runs.folder, 0, "average", {}, [], log_target=targets[str(runs.folder)])
        yield SimpleNamespace(results=lambda policy: [found])

    monkeypatch.setattr(comparison, "opened", opened)
    runs = [make("a", "smm"), make("b", "sac"), make("c", "far")]
    for count, expected in ((2, ["0.693"]), (3, ["0.693: smm, sac", "0.693: far"])):
        notes = compare(runs[:count], EvaluateConfig(), CompareConfig()).notes
        told = [note for note in notes if "entropy of p*" in note]
        assert [note.rpartition("p* > 0 ")[2] for note in told] == expected
    assert "over the bins 0.325 nats" in told[1]


def test_runs_are_counted_in_words():
    found = Comparison({"smm": group([1.0]), "sac": group([1.0, 2.0])}, CompareConfig())
    assert (found.count("smm"), found.count("sac")) == ("1 run", "2 runs")


def test_csv_has_a_line_for_each_run_and_figure(tmp_path):
    path = tmp_path / "new" / "figures.csv"
    Comparison(GROUPS, CompareConfig()).write_csv(path)
    rows = list(csv.DictReader(path.open()))
    assert len(rows) == 8
    assert [float(r["value"]) for r in rows if r["group"] == "sac"] == [2.0, 2.4, 2.1, 2.2]
    assert rows[0]["unit"] == MEANINGS["state_entropy"].unit


@pytest.fixture
def played(monkeypatch):
    """Replace the playing; return a function that makes folders, and a list of what is played."""
    calls = []

    @contextmanager
    def opened(runs, config):
        def results(policy):
            calls.append((runs.folder.name, policy))
            runs.notes.append("the same note")
            return group([1.0, 2.0])

        yield SimpleNamespace(results=results)

    monkeypatch.setattr(comparison, "opened", opened)

    def runs(name, label, steps=10, seeds=(0, 1)):
        learner = SimpleNamespace(config=LearnerConfig(), steps=steps)
        return TrainedRuns(Path(name), "Env-v0", {}, seeds, learner, label)

    return runs, calls


def test_folders_of_one_label_are_one_group_and_policies_are_told_apart(played):
    make, calls = played
    runs = [make("a", "smm"), make("b", "sac"), make("c", "smm", seeds=(2, 3))]
    one = compare(runs, EvaluateConfig(), CompareConfig())
    assert {label: len(found) for label, found in one.groups.items()} == {"smm": 4, "sac": 2}
    assert one.notes[:-1] == ["the same note"]
    assert "--baseline names no group" in one.notes[-1]
    calls.clear()
    policies = EvaluateConfig(policies=("average", "last", "random"))
    several = compare(runs, policies, CompareConfig())
    assert list(several.groups) == [
        "smm average", "sac average", "smm last", "sac last", "random",
    ]  # fmt: skip
    # Of each folder it would be the same random actions again, and no more certain for that.
    assert calls.count(("a", "random")) == 1
    assert sum(policy == "random" for _, policy in calls) == 1


def test_nothing_is_played_of_runs_that_can_not_be_compared_and_notes_are_kept(played):
    make, calls = played
    with pytest.raises(ConfigError, match="is given twice"):
        compare([make("a", "smm"), make("a", "again")], EvaluateConfig(), CompareConfig())
    assert not calls
    runs = [make("a", "smm"), make("b", "smm", steps=5, seeds=(2, 3))]
    (note,) = [
        note
        for note in compare(runs, EvaluateConfig(), CompareConfig()).notes
        if "equally long" in note
    ]
    assert "a 10 steps, b 5 steps" in note


def test_a_baseline_that_will_be_no_group_is_refused_before_anything_is_played(played):
    make, calls = played
    runs = [make("a", "smm"), make("b", "sac"), make("c", "sac")]
    with pytest.raises(ConfigError, match="baseline is 'SAC', expected one of: smm, sac$"):
        compare(runs, EvaluateConfig(), CompareConfig(baseline="SAC"))
    policies = EvaluateConfig(policies=("average", "last"))
    with pytest.raises(ConfigError, match="'sac', expected one of: smm average, sac average"):
        compare(runs, policies, CompareConfig(baseline="sac"))
    assert not calls
    found = compare(runs, EvaluateConfig(), CompareConfig(baseline="sac"))
    assert list(found.groups) == ["smm", "sac"]
