"""Learning from fixed data: repeatable, each run for itself, and without the environment."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from smm_core import checkpoint
from smm_core.config import ConfigError, from_mapping
from smm_core.evaluation.evaluate import EvaluateConfig, evaluate
from smm_core.evaluation.player import AVERAGE, LAST
from smm_core.evaluation.trained_runs import open_runs
from smm_core.offline.training import OffLineConfig, OffLineTraining, action_values
from smm_core.train import DivergedError
from smm_core.transitions import Layout, TransitionError

LAYOUT = Layout(obs_size=2, action_size=1)


@pytest.fixture
def data(make_transition):
    """Return a function that makes so many transitions of the ring, at random."""

    def make(count=40):
        rng = np.random.default_rng(0)
        for seed in range(count):
            angle = rng.uniform(-np.pi, np.pi)
            obs, reached = (
                np.array([[np.cos(a), np.sin(a)]], np.float32) for a in (angle, angle + 0.1)
            )
            yield make_transition(LAYOUT, seed=seed, obs=obs, next_obs=reached)

    return make


@pytest.fixture
def learn(ring, tmp_path, small_config, data):
    """Return a function that learns off line in a folder; it returns what came out."""

    def run(folder="run", transitions=None, learner=None, **settings):
        values = {"updates": 12, "report_period": 5, "snapshot_period": 3, "checkpoint_period": 10}
        config = OffLineConfig(env=ring, **values | settings, learner=learner or small_config())
        training, reports = OffLineTraining(config, tmp_path / folder), []
        training.fill(data() if transitions is None else transitions)
        return training, training.run(reports.append), reports

    return run


def repeatable(metrics):
    return {k: v for k, v in metrics.items() if k not in ("updates_per_second", "checkpoint")}


def test_the_same_seed_gives_the_same_policy_and_another_seed_another(learn):
    found = [learn(name, seed=seed)[1] for name, seed in (("a", 3), ("b", 3), ("c", 4))]
    first, second, other = (json.dumps(repeatable(metrics)) for metrics in found)
    assert first == second != other


def test_a_run_that_has_kept_no_policy_but_the_first_is_told_in_its_own_words(learn):
    training, _, _ = learn(updates=2)
    runs = open_runs(training.folder.path)
    evaluate(runs, AVERAGE, EvaluateConfig(episodes=2))
    (note,) = (note for note in runs.notes if "untrained" in note)
    assert "after 2 updates on fixed data" in note
    assert "random_steps" not in note


@pytest.mark.parametrize("run", [0, 1])
def test_a_run_is_learnt_as_if_it_were_alone(learn, run):
    _, together, _ = learn("many", seed=3, runs=2)
    _, alone, _ = learn("one", seed=3 + run)
    names = ("critic_loss", "density_loss", "q_data", "q_policy", "angle_entropy_data")
    for name in names:
        assert together[name][run] == pytest.approx(alone[name][0], rel=1e-2, abs=1e-3)


def test_it_reports_saves_and_keeps_policies_when_due(learn):
    training, metrics, reports = learn()
    assert [report["updates"] for report in reports] == [5, 10, 12]
    assert [repeatable(m) for m in training.folder.metrics()] == [repeatable(m) for m in reports]
    assert list(training.folder.tensorboard.iterdir())
    found = checkpoint.open_learner(checkpoint.newest(training.folder.checkpoints))
    assert (found.updates, found.steps, found.prefilled) == (12, 0, 40)
    assert metrics["checkpoint"] == str(training.saved)
    # The untrained one, and one after every third update; the history holds three of them.
    assert (found.off_line_versions, found.history.newest) == (5, 5)


@pytest.mark.parametrize("conservative", [0.0, 1.0])
def test_every_metric_is_explained(learn, small_config, conservative):
    sac = {"hidden": [8], "conservative": conservative}
    training, _, _ = learn(learner=small_config(sac=sac))
    docs = Path(__file__).parents[3] / "docs"
    pages = "".join((docs / name).read_text() for name in ("commands.md", "offline.md"))
    told = training.folder.metrics()[-1]
    assert ("conservative_gap" in told) == bool(conservative)
    assert [name for name in told if f"`{name}`" not in pages] == []


def test_its_folder_is_evaluated_like_any_other(learn):
    training, _, _ = learn(runs=2)
    config = EvaluateConfig(episodes=3)
    for policy in (AVERAGE, LAST):
        runs = open_runs(training.folder.path)
        results = evaluate(runs, policy, config)
        assert not any("untrained" in note for note in runs.notes)
        assert [len(result.episodes) for result in results] == [3, 3]


def test_the_settings_lie_beside_it_with_what_the_environment_suggests(learn, ring):
    training, _, _ = learn(updates=1, data=("there",))
    config = from_mapping(OffLineConfig, training.folder.settings())
    assert config == training.config
    assert (config.env, config.data) == (ring, ("there",))
    assert config.learner.state.circular == (0, 1)
    assert config.learner.target.name == "uniform_circle"


def test_warming_up_comes_first_and_touches_no_policy(learn):
    plain, warm = (learn(str(n), updates=1, warm_up=n)[0] for n in (0, 30))
    name = "net.0.weight"
    weights = [t.learner.history.snapshots[1].weights[name] for t in (plain, warm)]
    assert torch.equal(*weights)
    assert warm.learner.updates == 1
    losses = [t.folder.metrics()[-1]["density_loss"][0] for t in (plain, warm)]
    assert losses[1] < losses[0]


def test_a_folder_that_exists_is_refused_before_anything_is_read(learn, tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(ConfigError, match="run exists"):
        learn(transitions=iter(lambda: pytest.fail("read"), None))


def test_no_data_and_data_of_another_kind_are_refused(learn, make_transition, tmp_path):
    with pytest.raises(ConfigError, match="no transitions"):
        learn(transitions=())
    with pytest.raises(TransitionError, match="obs"):
        learn(transitions=[make_transition(Layout(3, 1))])
    assert not (tmp_path / "run").exists()


def test_it_ends_after_the_update_under_way_and_keeps_what_was_learnt(
    ring, small_config, data, tmp_path
):
    config = OffLineConfig(env=ring, updates=1000, report_period=7, learner=small_config())
    training = OffLineTraining(config, tmp_path / "run")
    training.fill(data())
    training.run(lambda metrics: training.stop())
    assert checkpoint.open_learner(training.saved).updates == 7


def test_a_policy_that_is_no_longer_finite_is_not_saved(learn, small_config, tmp_path):
    learner = small_config(sac={"hidden": [16, 16], "learning_rate": 1e30})
    with pytest.raises(DivergedError, match="before update"):
        learn(learner=learner)
    assert checkpoint.newest(tmp_path / "run" / "checkpoints") is None


def test_values_are_those_of_the_datas_and_of_the_policys_actions(learn, monkeypatch):
    learner = learn()[0].learner
    batch = learner.replay.rows(torch.arange(40))
    values = action_values(learner, 40)
    expected = learner.sac.critic(batch.obs, batch.action).amin(1).mean(-1)
    torch.testing.assert_close(values["q_data"], expected)
    with torch.no_grad():  # a policy that does in every state what the data do in one
        for layer in (learner.sac.actor.net[-1],):
            layer.weight.zero_()
            layer.bias[..., 0], layer.bias[..., 1] = 0.5, -100.0
    expected = learner.sac.critic(batch.obs, torch.full((1, 40, 1), np.tanh(0.5)))
    found = action_values(learner, 40)["q_policy"]
    torch.testing.assert_close(found, expected.amin(1).mean(-1), rtol=0.05, atol=0.02)
