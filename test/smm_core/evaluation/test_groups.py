"""Which run folders may be set side by side, and which averaged."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from smm_core.config import ConfigError, from_mapping
from smm_core.evaluation.groups import check_runs, notes_on
from smm_core.evaluation.trained_runs import TrainedRuns
from smm_core.learner import LearnerConfig


def runs(name, label="smm", env="Env-v0", steps=10, seeds=(0, 1), **settings):
    learner = SimpleNamespace(config=from_mapping(LearnerConfig, settings), steps=steps)
    return TrainedRuns(Path(name), env, {}, seeds, learner, label)


def test_runs_of_two_environments_are_not_compared():
    with pytest.raises(ConfigError, match="b was trained in Other-v0 .*a in Env-v0"):
        check_runs([runs("a"), runs("b", "sac", "Other-v0")])


def test_a_folder_is_counted_once_under_whatever_name(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for name in ("a", "b/../a", "link"):
        with pytest.raises(ConfigError, match="is given twice; name each run folder once"):
            check_runs([runs(tmp_path / "a"), runs(tmp_path / name, "other")])


def test_folders_of_one_label_are_of_one_setting_and_those_of_two_need_not_be():
    box = {"target": {"name": "uniform_box", "box": {"low": [-1.0], "high": [1.0]}}}
    check_runs([runs("a"), runs("b", steps=5, seeds=(7,)), runs("c", "box", **box)])
    with pytest.raises(ConfigError) as found:
        check_runs([runs("a"), runs("x", "sac", method="sac"), runs("b", **box, num_skills=3)])
    assert str(found.value) == (
        "b and a are one group, 'smm', but differ in learner.num_skills (3 and 1), "
        "learner.target.name ('uniform_box' and 'suggested'), learner.target.box.low ([-1.0] and "
        "[]) and 1 more; give one a label of its own: LABEL=b"
    )


def test_runs_that_are_not_trained_equally_long_are_told_of():
    assert not notes_on([runs("a"), runs("b", "sac", steps=5)])
    (note,) = notes_on([runs("a"), runs("b", steps=5, seeds=(2,)), runs("c", "sac", steps=7)])
    assert note == "runs of 'smm' are not trained equally long: a 10 steps, b 5 steps"


def test_a_seed_twice_in_a_group_is_told_of():
    assert not notes_on([runs("a"), runs("b", "sac"), runs("c", seeds=(2, 3))])
    (note,) = notes_on([runs("a", seeds=(0, 1, 2)), runs("b", seeds=(2, 1))])
    assert "'smm' have a seed more than once: 1, 2;" in note
