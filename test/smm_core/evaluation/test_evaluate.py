"""What runs have learnt, played and measured; from a run folder to its figures."""

import math
import pickle
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from smm_core.config import ConfigError, from_mapping
from smm_core.environments import make_env
from smm_core.evaluation.evaluate import (
    EvaluateConfig,
    bins_of,
    env_of,
    evaluate,
    goals_of,
    log_density_of,
    open_runs,
    visit,
)
from smm_core.evaluation.goals import GoalConfig
from smm_core.history import PolicyHistory
from smm_core.learner import Learner, LearnerConfig
from smm_core.sac import SACConfig
from smm_core.state_space import StateConfig
from smm_core.transitions import Layout

CONFIG = LearnerConfig(
    replay_capacity=10,
    sac=SACConfig(hidden=(8,)),
    state=StateConfig(linear=(2,), circular=(0, 1)),
)

RING_BINS = {"names": ["angle"], "circular": [0, 1], "bin_width": [math.radians(10)]}


class Square(gymnasium.Env):
    """A point in a square that tells all an evaluation can ask for; p* rises along x."""

    metadata = {
        "render_modes": [],
        "evaluation": {
            "names": ["x", "y"],
            "entries": [0, 1],
            "low": [-1.0, -1.0],
            "high": [1.0, 1.0],
            "bin_width": [0.5],
        },
        "goals": {"entries": [0], "low": [-0.5], "high": [0.5], "radius": 0.1},
    }
    observation_space = Box(-1.0, 1.0, (3,))
    action_space = Box(-1.0, 1.0, (2,))
    halls = SimpleNamespace(
        num_halls=2,
        reached=lambda position: np.where(position[:, 0] > 0.5, 1, -1),
        outline=np.array([[-1, -1], [1, -1], [1, 1], [-1, 1.0]]),
    )

    def __init__(self, speed=0.4):
        self.speed = speed

    def log_target(self, obs):
        return np.log(1.5 + obs[:, 0])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position, self.steps = np.zeros(2), 0
        return self._obs(), self._info()

    def step(self, action):
        self.position = np.clip(self.position + self.speed * np.asarray(action), -1, 1)
        self.steps += 1
        return self._obs(), 0.0, False, self.steps == 10, self._info()

    def _obs(self):
        return np.array([*self.position, 0.0], np.float32)

    def _info(self):
        hall = int(self.halls.reached(self.position[None])[0])
        return {"hall_reached": hall, "valve_angle": float(self.position[1])}


@pytest.fixture
def square():
    """Register the square and return its id."""
    name = "smm_core_test/Square-v0"
    gymnasium.register(name, entry_point=Square)
    yield name
    del gymnasium.registry[name]


def settings(**values):
    small = {"episodes": 12, "side_by_side": 3, "goals": 20, "goal_episodes": 6}
    return from_mapping(EvaluateConfig, small | values)


def test_states_are_those_reached_in_each_environment():
    learner = Learner(Layout(3, 1), CONFIG, [0])
    states = visit(learner, "Pendulum-v1", PolicyHistory(CONFIG.history), [1, 2], 30)
    assert states.shape == (2, 30, 2)
    assert (np.abs(states[:, :, 0]) <= 8).all()  # the pendulum's velocity limit, rad/s
    assert (np.abs(states[:, :, 1]) <= np.pi + 1e-6).all()
    assert not np.array_equal(states[0], states[1])


def test_the_policies_of_the_history_are_played():
    learner = Learner(Layout(3, 1), CONFIG, [0])
    with torch.no_grad():  # always the largest torque, one way
        for name, weights in learner.sac.actor.named_parameters():
            weights.zero_()
            if name.endswith("2.bias"):
                weights[..., 0] = 5.0
                weights[..., 1] = -5.0
    learner.snapshot()
    driven = visit(learner, "Pendulum-v1", learner.history.averaged(), [1], 200)
    blind = visit(learner, "Pendulum-v1", PolicyHistory(CONFIG.history), [1], 200)
    assert not np.array_equal(driven, blind)
    again = visit(learner, "Pendulum-v1", learner.history.averaged(), [1], 200)
    np.testing.assert_array_equal(driven, again)


def test_a_run_folder_says_what_it_was_trained_in_and_by_what(trained, square):
    folder = trained(env=square, env_options=["speed=0.2"], seed=3, runs=2)
    assert env_of(folder) == (square, {"speed": 0.2})
    runs = open_runs(folder)
    assert (runs.seeds, runs.label) == ([3, 4], "smm")
    assert runs.learner.steps == 40
    mixture = open_runs(trained("mixture", env=square, learner={"num_skills": 2}))
    assert mixture.label == "sm4"


def test_every_figure_that_the_environment_allows_is_measured(trained, square):
    runs = open_runs(trained(env=square, runs=2, learner={"num_skills": 2}))
    for policy in ("average", "last", "random"):
        results = evaluate(runs, policy, settings())
        assert [r.seed for r in results] == [0, 1]
        expected = {
            "state_entropy", "outside_share", "kl_target_policy", "kl_policy_target",
            "total_variation", "goals_found", "episodes_needed", "halls_reached",
            "valve_rotations", "valve_clockwise", "valve_counter_clockwise", "valve_range",
            "valve_half_turn",
        }  # fmt: skip
        expected |= {"halls_reached_in_training"} if policy != "random" else set()
        expected |= {"nll"} if policy == "average" else set()
        for result in results:
            assert set(result.figures) == expected
            assert all(math.isfinite(value) for value in result.figures.values())
            assert 0 < result.figures["state_entropy"] <= math.log(16)
            assert result.marginal.total == 12 * 10
            assert result.search.success.shape == (20, 6)
            assert result.figures["halls_reached"] in (0.0, 0.5)
    assert runs.notes == []


def test_the_same_seed_gives_the_same_figures_and_another_others(trained, square):
    runs = open_runs(trained(env=square))
    first, again, other = (
        evaluate(runs, "average", settings(seed=seed))[0].figures for seed in (1, 1, 2)
    )
    assert first == again
    assert first["state_entropy"] != other["state_entropy"]


def test_goals_are_the_same_for_all_runs(trained, square):
    first, second = evaluate(open_runs(trained(env=square, runs=2)), "random", settings())
    np.testing.assert_array_equal(first.search.goals, second.search.goals)
    assert not np.array_equal(first.search.success, second.search.success)


def test_options_take_precedence_over_what_the_environment_names(trained, square):
    runs = open_runs(trained(env=square))
    found = evaluate(runs, "random", settings(bins={"bin_width": [0.1]}, coordinates=["y"]))[0]
    assert found.marginal.bins.shape == (20,)
    wide = evaluate(runs, "random", settings(goal={"radius": 5.0}))[0]
    assert wide.figures["goals_found"] == wide.figures["episodes_needed"] == 1.0


def test_an_option_equal_to_its_default_takes_precedence_too(trained, square, monkeypatch):
    runs = open_runs(trained(env=square))
    monkeypatch.setitem(Square.metadata, "goals", {**Square.metadata["goals"], "radius": 0.5})
    env = make_env(square)
    assert goals_of(env, settings()).radius == 0.5
    assert goals_of(env, settings(goal={"low": [0.0]})).radius == 0.5
    assert goals_of(env, settings(goal={"radius": 0.1})).radius == GoalConfig().radius == 0.1
    elsewhere = pickle.loads(pickle.dumps(EvaluateConfig(goal=GoalConfig(radius=0.1))))
    assert goals_of(env, elsewhere).radius == 0.1
    monkeypatch.setitem(Square.metadata["evaluation"], "circular", [0, 1])
    monkeypatch.setitem(Square.metadata["evaluation"], "names", ["x", "y", "angle"])
    bins = {"names": ["x", "y"], "circular": []}
    assert bins_of(env, runs.learner, settings()).shape == (4, 4, 13)
    assert bins_of(env, runs.learner, settings(bins=bins)).shape == (4, 4)


def test_bins_given_as_options_do_without_the_environments(trained):
    runs = open_runs(trained())
    assert "state_entropy" not in evaluate(runs, "random", settings())[0].figures
    assert any("names no bins" in note for note in runs.notes)
    figures = evaluate(runs, "random", settings(bins=RING_BINS))[0].figures
    assert 0 < figures["state_entropy"] < math.log(36)
    assert 0 < figures["kl_policy_target"] < math.log(36)
    # Over equal bins the divergence to uniform is what the entropy lacks.
    lacking = math.log(36) - figures["state_entropy"]
    assert figures["kl_policy_target"] == pytest.approx(lacking, abs=0.05)


def test_a_figure_asked_for_by_name_is_measured_alone_or_refused(trained, square):
    runs = open_runs(trained(env=square))
    assert set(evaluate(runs, "random", settings(figures=["halls"]))[0].figures) == {
        "halls_reached"
    }
    ring = open_runs(trained("ring"))
    with pytest.raises(ConfigError, match="no figure 'goals': the environment names no goals"):
        evaluate(ring, "random", settings(figures=["goals"]))
    with pytest.raises(ConfigError, match="figures is 'halls_', expected one of marginal"):
        settings(figures=["halls_"])


def test_a_target_that_is_a_reward_unknown_is_left_out_with_a_note(trained):
    runs = open_runs(trained(learner={"target": {"name": "reward"}}))
    figures = evaluate(runs, "random", settings(bins=RING_BINS))[0].figures
    assert "state_entropy" in figures
    assert "total_variation" not in figures
    assert any("no log_target" in note for note in runs.notes)


def test_a_target_of_entries_that_are_not_counted_is_left_out(trained, square):
    runs = open_runs(trained(env=square))
    figures = evaluate(runs, "random", settings(coordinates=["y"]))[0].figures
    assert "total_variation" not in figures
    assert any("entries that are not counted" in note for note in runs.notes)


def test_the_log_density_is_reference_and_reward_together(square):
    target = {"name": "uniform_box", "box": {"low": [-1.0], "high": [1.0]}, "reward_weight": 2.0}
    config = from_mapping(LearnerConfig, {"state": {"linear": [0]}, "target": target})
    learner = Learner(Layout(3, 2), config, [0])
    density, note = log_density_of(learner, make_env(square))
    obs = np.array([[0.0, np.nan, np.nan], [0.5, np.nan, np.nan]], np.float32)
    weighted = 2 * np.log([1.5, 2.0])
    reference = learner.target.log_reference(torch.tensor([[0.0]])).item()
    assert density(obs) == pytest.approx(reference + weighted, abs=1e-5)
    assert note == ""


def test_states_that_can_not_be_have_no_density(square, monkeypatch):
    monkeypatch.setattr(Square, "log_target", lambda self, obs: np.array([0.0, -np.inf, np.nan]))
    learner = Learner(Layout(3, 2), LearnerConfig(), [0])
    density, _ = log_density_of(learner, make_env(square))
    found = density(np.zeros((3, 3), np.float32))
    assert found[:2].tolist() == [0.0, -np.inf]
    assert np.isnan(found[2])


def test_a_folder_without_a_run_or_a_checkpoint_is_named(trained, tmp_path):
    with pytest.raises(ConfigError, match="nowhere is no run folder"):
        open_runs(tmp_path / "nowhere")
    folder = trained()
    for file in (folder / "checkpoints").iterdir():
        file.unlink()
    with pytest.raises(ConfigError, match="run has no checkpoint to evaluate"):
        open_runs(folder)


def test_metadata_that_is_wrong_names_where_it_comes_from(trained, square, monkeypatch):
    runs = open_runs(trained(env=square))
    monkeypatch.setitem(Square.metadata, "evaluation", {"names": ["x"], "entries": [0, 1]})
    with pytest.raises(ConfigError, match="bins.low has 0 values.*environment's evaluation"):
        evaluate(runs, "random", settings())
