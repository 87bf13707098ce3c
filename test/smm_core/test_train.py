"""The in-process loop: repeatable, never lost, and it learns to go where it seldom was."""

import errno
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from smm_core import checkpoint
from smm_core.config import ConfigError, from_mapping
from smm_core.environments import make_env
from smm_core.generators import Generators
from smm_core.learner import Learner, LearnerConfig
from smm_core.train import DivergedError, TrainConfig, Training, with_env_defaults
from smm_core.transitions import TransitionError


def repeatable(metrics):
    return {k: v for k, v in metrics.items() if k not in ("steps_per_second", "checkpoint")}


def weights(training):
    return checkpoint.read(checkpoint.newest(training.folder.checkpoints))[0]


def test_the_same_seed_gives_the_same_run_and_another_seed_another(train):
    runs = [train(name, seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4))]
    first, second, other = (repeatable(metrics) for _, metrics, _ in runs)
    assert json.dumps(first) == json.dumps(second) != json.dumps(other)
    mine, again, others = (weights(training) for training, _, _ in runs)
    assert all(torch.equal(mine[name], again[name]) for name in mine)
    assert not torch.equal(mine["replay/rows"], others["replay/rows"])


@pytest.mark.parametrize("run", [0, 1])
def test_a_run_is_learnt_as_if_it_were_alone(train, run):
    """Run i of many is the run of seed + i, but for the last digits of sums."""
    _, together, _ = train("many", seed=3, runs=2, steps=25)
    _, alone, _ = train("one", seed=3 + run, steps=25)
    for name in ("critic_loss", "density_loss", "reward_total", "angle_entropy_replay"):
        assert together[name][run] == pytest.approx(alone[name][0], rel=1e-2, abs=1e-3)


def test_it_reports_and_saves_when_due(train):
    training, metrics, reports = train()
    assert [report["steps"] for report in reports] == [20, 40, 60]
    assert metrics == reports[-1] | {"checkpoint": metrics["checkpoint"]}
    assert metrics["updates"] == 60 - 4
    folder = training.folder.checkpoints
    assert metrics["checkpoint"] == str(checkpoint.newest(folder))
    assert [path.stem[-2:] for path in sorted(folder.iterdir())] == ["50", "60"]
    assert list(training.folder.tensorboard.iterdir())
    assert [repeatable(m) for m in training.folder.metrics()] == [repeatable(m) for m in reports]


@pytest.mark.parametrize("method", ["smm", "sac", "count", "pseudocount", "icm", "rnd"])
def test_every_metric_is_explained(train, small_config, method):
    learner = small_config(method=method, num_skills=2, sac={"hidden": [8], "variant": "q_and_v"})
    training, _, _ = train(steps=20, learner=learner)
    (told,) = training.folder.metrics()
    page = Path(__file__).parents[2].joinpath("docs", "commands.md").read_text()
    assert len(told) > 8
    assert [name for name in told if f"`{name}`" not in page] == []


def test_the_settings_of_a_run_lie_beside_it(train, ring):
    training, _, _ = train(steps=5, seed=7)
    config = from_mapping(TrainConfig, training.folder.settings())
    assert config == training.config
    # With what the environment suggested, so that the run can be told from them alone.
    assert (config.env, config.learner.state.circular) == (ring, (0, 1))
    assert config.learner.target.name == "uniform_circle"


def test_a_run_folder_is_never_written_over(train, tmp_path):
    training, _, _ = train(steps=5)
    before = sorted(path.name for path in training.folder.path.rglob("*"))
    with pytest.raises(ConfigError, match=r"run exists.*--folder"):
        train(steps=5)
    assert sorted(path.name for path in training.folder.path.rglob("*")) == before


@pytest.mark.parametrize(
    ("fault", "error"),
    [("obs", TransitionError), ("error", RuntimeError), ("interrupt", KeyboardInterrupt)],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_run_that_fails_is_saved_up_to_there(train, tmp_path, faulty, fault, error):
    with pytest.raises(error):
        train(env=faulty, env_options=["at=33", f"fault={fault}"])
    _, numbers = checkpoint.read(checkpoint.newest(tmp_path / "run" / "checkpoints"))
    assert (numbers["steps"], numbers["updates"]) == (32, 28)


def test_a_full_disk_ends_the_run_and_keeps_the_checkpoint_before(train, monkeypatch, tmp_path):
    save_file = checkpoint.save_file

    def full(tensors, path, metadata):
        if json.loads(metadata["numbers"])["steps"] > 25:
            path.write_bytes(b"part")
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save_file(tensors, path, metadata=metadata)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        train()
    folder = tmp_path / "run" / "checkpoints"
    assert [path.name for path in folder.iterdir()] == ["checkpoint-000000025.safetensors"]
    assert checkpoint.open_learner(checkpoint.newest(folder)).steps == 25


def first_obs(training):
    """Return what each run saw first of the newest steps since `training` was made."""
    return training.rollout._obs.copy()


def test_every_run_has_an_environment_seed_of_its_own(scattered, small_config, tmp_path):
    def starts(seed, runs, name):
        config = TrainConfig(env=scattered, seed=seed, runs=runs, learner=small_config())
        return first_obs(Training(config, tmp_path / name))

    together = starts(3, 2, "both")
    assert not np.allclose(together[0], together[1])
    np.testing.assert_array_equal(together[1], starts(4, 1, "one")[0])


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_it_acts_by_the_policy_it_learns(train, small_config, activation):
    learner = small_config(sac={"hidden": [16], "policy_activation": activation})
    training, _, _ = train(steps=30, learner=learner)
    acting, obs = training.rollout.acting, np.array([[0.6, 0.8]], np.float32)
    mean, log_std = training.learner.sac.actor(torch.from_numpy(obs).unsqueeze(0))
    training.learner.history.weights.clear()
    training.learner.history.snapshots.clear()
    training.learner.snapshot()
    acting.begin_episode()
    noise = Generators([5]).normal(1, 1)
    acting.generators = Generators([5])
    expected = torch.tanh(mean + log_std.exp() * noise).detach().numpy()
    np.testing.assert_allclose(acting.act(obs), expected[0], atol=1e-6)


def test_a_policy_that_is_not_finite_ends_the_run_and_is_not_saved(train, monkeypatch, tmp_path):
    update = Learner.update

    def diverge(self):
        metrics = update(self)
        if self.steps == 40:
            self.sac.actor.net[0].weight.data.fill_(torch.nan)
        return metrics

    monkeypatch.setattr(Learner, "update", diverge)
    with pytest.raises(DivergedError, match=r"step 4\d: .*net.0.weight.*checkpoint-000000025"):
        train()
    found = checkpoint.newest(tmp_path / "run" / "checkpoints")
    learner = checkpoint.open_learner(found)
    assert learner.steps == 25
    assert all(p.isfinite().all() for p in learner.sac.parameters())


def test_an_update_cut_in_two_is_not_saved(train, monkeypatch, tmp_path):
    update = Learner.update

    def cut(self):
        if self.steps == 40:
            self.sac.actor.net[0].weight.data.zero_()
            raise KeyboardInterrupt
        return update(self)

    monkeypatch.setattr(Learner, "update", cut)
    with pytest.raises(KeyboardInterrupt):
        train()
    _, numbers = checkpoint.read(checkpoint.newest(tmp_path / "run" / "checkpoints"))
    assert (numbers["steps"], numbers["updates"]) == (25, 21)


def test_the_environment_names_the_matched_state_unless_the_settings_do(ring, small_config):
    env = make_env(ring).unwrapped.metadata
    taken = with_env_defaults(small_config(), env)
    assert (taken.state.circular, taken.target.name) == ((0, 1), "uniform_circle")
    own = small_config(state={"linear": [1]})
    taken = with_env_defaults(own, env)
    # An angle's target is none of a position's: it is the reward, and the settings say so.
    assert (taken.state, taken.target.name) == (own.state, "reward")
    plain = make_env("Pendulum-v1").unwrapped.metadata
    taken = with_env_defaults(small_config(), plain)
    assert taken == small_config(target={"name": "reward"})


def test_what_is_set_beside_a_suggested_target_stays(ring, small_config):
    metadata = dict(make_env(ring).unwrapped.metadata)
    metadata["target"] = {"name": "uniform_circle", "reward_weight": 2.0, "limits": {"penalty": 3}}
    own = small_config(target={"reward_weight": 0.5})
    taken = with_env_defaults(own, metadata).target
    assert (taken.name, taken.reward_weight, taken.limits.penalty) == ("uniform_circle", 0.5, 3)
    assert with_env_defaults(small_config(), metadata).target.reward_weight == 2.0


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"matched_state": {"circulr": [0, 1]}}, "'matched_state.circulr'; did you mean 'circu"),
        ({"matched_state": [0, 1]}, "'matched_state' is [0, 1], expected a group"),
        ({"matched_state": {"linear": [-1]}}, "matched_state.linear is -1, expected at least 0"),
        ({"target": {"nmae": "uniform_circle"}}, "'target.nmae'; did you mean 'name'"),
        ({"target": {"name": "circle"}}, "target.name is 'circle', expected one of"),
        ({"target": {"limits": 3}}, "'target.limits' is 3, expected a group"),
        ({"target": {"box": {"low": [1.0]}}}, "target.box has 1 low and 0 high ends"),
    ],
)
def test_a_mistake_in_the_environments_metadata_is_said_to_be_there(small_config, told, words):
    with pytest.raises(ConfigError) as error:
        with_env_defaults(small_config(), told)
    assert str(error.value).startswith("in the environment's metadata: ")
    assert words in str(error.value)


def test_the_suggested_state_named_by_hand_has_the_suggested_target(ring, small_config):
    metadata = make_env(ring).unwrapped.metadata
    taken = with_env_defaults(small_config(state={"circular": [0, 1]}), metadata)
    assert taken.target.name == "uniform_circle"


def test_a_target_in_the_settings_goes_before_the_environments(ring, small_config):
    metadata = make_env(ring).unwrapped.metadata
    taken = with_env_defaults(small_config(target={"name": "reward"}), metadata)
    assert (taken.state.circular, taken.target.name) == ((0, 1), "reward")


def test_it_visits_the_ring_more_evenly_than_random_actions_do(train):
    """Random actions stay near the start: 0.72 of the greatest entropy, whatever the seed."""
    learner = {
        "batch_size": 64,
        "sac": {"hidden": [64, 64], "learning_rate": 1e-3, "temperature_learning_rate": 1e-3},
        "density": {"vae": {"hidden": [64, 64], "code_size": 4}},
        "history": {"period": 100},
    }
    found = {}
    for name, random_steps in (("random", 1000), ("smm", 300)):
        config = from_mapping(LearnerConfig, learner | {"random_steps": random_steps})
        _, metrics, _ = train(name, learner=config, steps=1000, runs=2)
        found[name] = np.array(metrics["angle_entropy_replay"]) / math.log(36)
    assert (found["random"] < 0.78).all()
    assert (found["smm"] > 0.86).all()
