"""From a run folder to what was learnt in it."""

import pytest

from smm_core.config import ConfigError
from smm_core.evaluation.trained_runs import env_of, open_runs


def test_a_run_folder_says_what_it_was_trained_in_and_by_what(trained, square):
    folder = trained(env=square, env_options=["speed=0.2"], seed=3, runs=2)
    assert env_of(folder) == (square, {"speed": 0.2})
    runs = open_runs(folder)
    assert (runs.seeds, runs.label) == ([3, 4], "smm")
    assert runs.learner.steps == 40
    mixture = open_runs(trained("mixture", env=square, learner={"num_skills": 2}))
    assert mixture.label == "sm4"


def test_a_folder_without_a_run_or_a_checkpoint_is_named(trained, tmp_path):
    with pytest.raises(ConfigError, match="nowhere is no run folder"):
        open_runs(tmp_path / "nowhere")
    folder = trained()
    for file in (folder / "checkpoints").iterdir():
        file.unlink()
    with pytest.raises(ConfigError, match="run has no checkpoint to evaluate"):
        open_runs(folder)
