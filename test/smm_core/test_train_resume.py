"""A run that is gone on with: from where it was, with what it had learnt, losing nothing."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from smm_core import checkpoint
from smm_core.config import ConfigError, from_mapping
from smm_core.run_folder import RunFolder
from smm_core.train import TrainConfig, Training


def weights(training):
    return checkpoint.read(checkpoint.newest(training.folder.checkpoints))[0]


def first_obs(training):
    """Return what each run saw first of the newest steps since `training` was made."""
    return training.rollout._obs.copy()


def test_a_resumed_run_goes_on_from_where_it_was(train, tmp_path):
    first, _, _ = train(steps=40, seed=3, runs=2)
    before = weights(first)
    second = Training.resumed(tmp_path / "run", {"steps": 60})
    assert second.learner.steps == 40
    learnt = {f"sac/{name}": tensor for name, tensor in second.learner.sac.state_dict().items()}
    assert all(torch.equal(before[name], tensor) for name, tensor in learnt.items())
    stream = second.rollout.acting.generators.state()
    assert not torch.equal(stream, first.learner.generators.state())
    reports = []
    second.run(reports.append)
    assert [report["steps"] for report in reports] == [60]
    assert reports[0]["updates"] == 60 - 4
    assert [m["steps"] for m in second.folder.metrics()] == [20, 40, 60]
    assert from_mapping(TrainConfig, second.folder.settings()).steps == 60


def test_a_resumed_run_begins_other_episodes(scattered, train, tmp_path):
    train(env=scattered, steps=40, seed=3)
    config = TrainConfig(env=scattered, seed=3, learner=Training.resumed(
        tmp_path / "run", {"steps": 60}).config.learner)  # fmt: skip
    fresh = first_obs(Training(config, tmp_path / "fresh"))
    resumed = Training.resumed(tmp_path / "run", {"steps": 60})
    assert not np.allclose(first_obs(resumed), fresh)


def test_a_resumed_run_plays_what_it_has_learnt_from_its_first_step(train, tmp_path):
    first, _, _ = train(steps=40)
    resumed = Training.resumed(tmp_path / "run", {"steps": 60})
    acting = resumed.rollout.acting
    assert acting.version.tolist() == [first.learner.history.newest]
    # The stream goes on behind what the first part has drawn, with one draw for the new episode.
    stream = first.rollout.acting.generators.streams[0]
    torch.rand(3, generator=stream)
    assert torch.equal(stream.get_state(), acting.generators.streams[0].get_state())


def test_curves_go_on_without_a_gap(train, tmp_path):
    train(steps=40)
    Training.resumed(tmp_path / "run", {"steps": 60}).run(lambda metrics: None)
    curves = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    curves.Reload()
    assert [event.step for event in curves.Scalars("updates")] == [20, 40, 60]


def test_a_full_disk_takes_no_report_away(train, monkeypatch, tmp_path):
    train(steps=40)
    before = RunFolder(tmp_path / "run").metrics()
    write_text = Path.write_text

    def full(path, text):
        if "metrics" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_text(path, text)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        Training.resumed(tmp_path / "run", {"steps": 60})
    assert RunFolder(tmp_path / "run").metrics() == before


def test_what_was_reported_after_the_checkpoint_is_taken_back(train, tmp_path):
    training, _, _ = train(steps=40)
    training.folder.report({"steps": 55})
    with (training.folder.path / "metrics.jsonl").open("a") as file:
        file.write('{"steps": 6')
    resumed = Training.resumed(tmp_path / "run", {"steps": 60})
    assert [m["steps"] for m in resumed.folder.metrics()] == [20, 40]
    resumed.rollout.close()


def test_a_run_of_a_gpu_is_gone_on_with_where_there_is_none(train, tmp_path):
    train(steps=40)
    path = tmp_path / "run" / "settings.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"device": "cuda:99"}))
    with pytest.raises(ConfigError, match="device is 'cuda:99', but torch"):
        Training.resumed(tmp_path / "run", {"steps": 60})
    resumed = Training.resumed(tmp_path / "run", {"steps": 60, "device": "cpu"})
    assert resumed.run(lambda metrics: None)["steps"] == 60


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"seed": 1}, "keeps its seed"),
        ({"learner.num_skills": 2}, "keeps its learner.num_skills"),
        ({}, "has 40 steps already"),
        ({"steps": 30}, "has 40 steps already"),
    ],
)
def test_what_a_resumed_run_can_not_change_is_named(train, tmp_path, changes, hint):
    train(steps=40)
    with pytest.raises(ConfigError, match=hint):
        Training.resumed(tmp_path / "run", changes)


def test_only_a_run_with_a_checkpoint_is_resumed(train, tmp_path):
    with pytest.raises(ConfigError, match="nothing is no run folder"):
        Training.resumed(tmp_path / "nothing", {})
    training, _, _ = train(steps=5)
    for path in training.folder.checkpoints.iterdir():
        path.unlink()
    with pytest.raises(ConfigError, match="no checkpoint"):
        Training.resumed(tmp_path / "run", {"steps": 9})
