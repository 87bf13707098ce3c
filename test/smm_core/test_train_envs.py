"""A run that plays in several environments side by side: one learner, each with its episodes."""

import json

import numpy as np
import pytest
import torch

import smm_core.envs
from smm_core import checkpoint
from smm_core.config import ConfigError
from smm_core.environments import VectorEnvs, make_envs
from smm_core.evaluation.player import play, policy_of
from smm_core.evaluation.trained_runs import open_runs
from smm_core.train import TrainConfig, Training


def first_obs(training):
    """Return what each environment saw first."""
    return training.rollout._obs.copy()


def test_all_environments_feed_the_run_and_each_of_their_steps_counts(train):
    training, metrics, reports = train(envs=3)
    learner = training.learner
    assert learner.steps == learner.replay.added == metrics["steps"] == 60
    assert metrics["updates"] == 60 - 4
    assert [report["steps"] for report in reports] == [21, 42, 60]
    assert len(training.rollout.envs) == 3
    # Every environment's steps follow one another: three paths, not one.
    obs, reached = learner.replay.rows(torch.arange(60)).obs[0], learner.reached()[0]
    assert learner.replay.capacity >= 60
    for copy in range(3):
        assert torch.equal(obs[copy::3][1:19], reached[copy::3][:18])
    assert len(reached[:3].unique(dim=0)) == 3


def test_a_run_has_just_as_many_steps_as_asked_for(train):
    training, metrics, reports = train(envs=7)
    assert metrics["steps"] == training.learner.steps == 60
    assert [report["steps"] for report in reports] == [21, 42, 60]
    folder = training.folder.checkpoints
    assert [path.stem[-2:] for path in sorted(folder.iterdir())] == ["56", "60"]


@pytest.fixture
def navigation(small_config):
    """Return settings of runs in Navigation, whose episodes last 100 steps."""
    learner = small_config(state={"linear": [0, 1]}, target={"name": "reward"})
    return {"env": smm_core.envs.NAVIGATION_ID, "learner": learner}


def test_the_environments_of_a_run_take_up_a_policy_one_after_the_other(navigation, tmp_path):
    training = Training(TrainConfig(**navigation, runs=2, envs=4), tmp_path / "run")
    ends = np.array([training.rollout.step().truncated for _ in range(200)])
    steps = [(1 + np.flatnonzero(column)).tolist() for column in ends.T]
    assert steps == 2 * [[100, 200], [75, 175], [50, 150], [25, 125]]


@pytest.mark.parametrize("run", [0, 1])
def test_a_run_with_several_environments_is_learnt_as_if_it_were_alone(train, small_config, run):
    learner = small_config(num_skills=3)
    together, metrics, _ = train("many", seed=3, runs=2, envs=3, steps=25, learner=learner)
    alone, one, _ = train("one", seed=3 + run, envs=3, steps=25, learner=learner)
    for name in ("critic_loss", "density_loss", "reward_total", "angle_entropy_replay"):
        assert metrics[name][run] == pytest.approx(one[name][0], rel=1e-2, abs=1e-3)
    places = slice(3 * run, 3 * run + 3)
    assert torch.equal(together.rollout.acting.skill[places], alone.rollout.acting.skill)
    mine, its = (t.learner.replay.state()["rows"] for t in (together, alone))
    torch.testing.assert_close(mine[run], its[0], rtol=1e-3, atol=1e-4)


def test_the_same_seed_gives_the_same_run(train):
    runs = [train(name, seed=3, envs=4) for name in ("a", "b")]
    mine, again = (checkpoint.read(checkpoint.newest(t.folder.checkpoints))[0] for t, *_ in runs)
    assert all(torch.equal(mine[name], again[name]) for name in mine)


def test_every_environment_has_a_seed_of_its_own_and_the_first_that_of_the_run(
    scattered, small_config, tmp_path
):
    def starts(name, **settings):
        config = TrainConfig(env=scattered, learner=small_config(), **settings)
        return first_obs(Training(config, tmp_path / name))

    many = starts("many", seed=3, runs=2, envs=3)
    assert len(np.unique(many, axis=0)) == 6
    np.testing.assert_array_equal(many[3:], starts("few", seed=4, envs=3))
    np.testing.assert_array_equal(many[:1], starts("one", seed=3))


def test_a_resumed_run_goes_on_in_as_many_environments(scattered, train, tmp_path):
    first, _, _ = train(env=scattered, steps=40, seed=3, envs=3)
    begun = first_obs(Training(first.config, tmp_path / "fresh"))
    second = Training.resumed(tmp_path / "run", {"steps": 61})
    assert len(second.rollout.envs) == 3
    assert len(np.unique(np.concatenate((begun, first_obs(second))), axis=0)) == 6
    # Every acting stream goes on, with one draw for the new episode.
    for before, after in zip(first.rollout.acting.generators.streams,
                             second.rollout.acting.generators.streams, strict=True):  # fmt: skip
        torch.rand(3, generator=before)
        assert torch.equal(before.get_state(), after.get_state())
    reports = []
    second.run(reports.append)
    assert [report["steps"] for report in reports] == [61]
    assert [m["steps"] for m in second.folder.metrics()] == [21, 40, 61]
    with pytest.raises(ConfigError, match="keeps its envs"):
        Training.resumed(tmp_path / "run", {"steps": 90, "envs": 2})


def test_settings_of_a_run_from_before_there_were_several_are_read(train, tmp_path):
    train(steps=40)
    path = tmp_path / "run" / "settings.json"
    settings = json.loads(path.read_text())
    del settings["envs"]
    path.write_text(json.dumps(settings))
    assert Training.resumed(tmp_path / "run", {"steps": 60}).config.envs == 1


def test_a_run_with_several_environments_is_evaluated_as_any(trained):
    runs = open_runs(trained(envs=3, seed=5))
    assert (runs.seeds, runs.learner.steps) == ([5], 40)
    history = policy_of(runs.learner, "average")
    episodes = play(runs.learner, history, lambda n: make_envs(runs.env_id, n), runs.seeds, 5)
    assert [len(one) for one in episodes] == [5]


def test_environments_that_step_together_feed_one_run(train, navigation):
    training, metrics, _ = train(**navigation, envs=5)
    assert isinstance(training.rollout.envs, VectorEnvs)
    assert metrics["updates"] == 56


def test_more_environments_than_the_replay_has_places_are_refused(small_config):
    with pytest.raises(ConfigError, match=r"envs is 65, expected at most .*replay_capacity, 64"):
        TrainConfig(envs=65, learner=small_config())
