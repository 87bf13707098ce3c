"""The in-process loop: repeatable, never lost, and it learns to go where it seldom was."""

import errno
import json
import math
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from smm_core import checkpoint
from smm_core.config import ConfigError, from_mapping
from smm_core.environments import make_env
from smm_core.generators import Generators
from smm_core.learner import Learner, LearnerConfig
from smm_core.run_folder import RunFolder
from smm_core.train import DivergedError, TrainConfig, Training, with_env_defaults
from smm_core.transitions import TransitionError


@pytest.fixture
def train(ring, tmp_path, small_config):
    """Return a function that trains on the ring in a folder; it returns what came out."""

    def run(folder="run", env=None, learner=None, **settings):
        values = {"steps": 60, "report_period": 20, "checkpoint_period": 25} | settings
        config = TrainConfig(env=env or ring, **values, learner=learner or small_config())
        training, reports = Training(config, tmp_path / folder), []
        metrics = training.run(reports.append)
        return training, metrics, reports

    return run


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


class Broken(gymnasium.Env):
    """Gives an observation that is not finite at its 33rd step, or raises there."""

    metadata = {"render_modes": []}
    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))
    error = None

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        if self.steps == 33 and self.error:
            raise self.error
        value = np.nan if self.steps == 33 else 0.5
        return np.full(2, value, np.float32), 0.0, False, False, {}


class Raising(Broken):
    error = RuntimeError("the cable came off")


class Interrupted(Broken):
    error = KeyboardInterrupt()


@pytest.mark.parametrize(
    ("kind", "error"),
    [(Broken, TransitionError), (Raising, RuntimeError), (Interrupted, KeyboardInterrupt)],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_run_that_fails_is_saved_up_to_there(train, tmp_path, kind, error):
    name = f"smm_core_test/{kind.__name__}-v0"
    gymnasium.register(name, entry_point=kind)
    try:
        with pytest.raises(error):
            train(env=name)
    finally:
        del gymnasium.registry[name]
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


def test_what_was_reported_after_the_checkpoint_is_taken_back(train, tmp_path):
    training, _, _ = train(steps=40)
    training.folder.report({"steps": 55})
    with (training.folder.path / "metrics.jsonl").open("a") as file:
        file.write('{"steps": 6')
    resumed = Training.resumed(tmp_path / "run", {"steps": 60})
    assert [m["steps"] for m in resumed.folder.metrics()] == [20, 40]
    resumed.rollout.close()


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


def test_the_environment_names_the_matched_state_unless_the_settings_do(ring, small_config):
    env = make_env(ring).unwrapped.metadata
    taken = with_env_defaults(small_config(), env)
    assert (taken.state.circular, taken.target.name) == ((0, 1), "uniform_circle")
    own = small_config(state={"linear": [1]})
    assert with_env_defaults(own, env) == own
    plain = make_env("Pendulum-v1").unwrapped.metadata
    assert with_env_defaults(small_config(), plain) == small_config()


def test_what_is_set_beside_a_suggested_target_stays(ring, small_config):
    metadata = dict(make_env(ring).unwrapped.metadata)
    metadata["target"] = {"name": "uniform_circle", "reward_weight": 2.0, "limits": {"penalty": 3}}
    own = small_config(target={"reward_weight": 0.5})
    taken = with_env_defaults(own, metadata).target
    assert (taken.name, taken.reward_weight, taken.limits.penalty) == ("uniform_circle", 0.5, 3)
    assert with_env_defaults(small_config(), metadata).target.reward_weight == 2.0


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
