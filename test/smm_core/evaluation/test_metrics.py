"""Entropies of visited states: known values, and angles without a seam."""

import math

import numpy as np
import pytest
import torch

from smm_core.config import from_mapping
from smm_core.evaluation.episode import Episode
from smm_core.evaluation.metrics import (
    angle_entropy,
    angle_histogram,
    coverage,
    halls_reached,
    halls_reached_in_training,
    held_out_nll,
    log_density_of,
    valve_figures,
)
from smm_core.learner import Learner, LearnerConfig
from smm_core.replay import ReplayBuffer
from smm_core.transitions import Layout


def test_angles_spread_evenly_have_the_greatest_entropy():
    angles = np.linspace(-np.pi, np.pi, 3600, endpoint=False) + 1e-6
    assert angle_entropy(angles) == pytest.approx(math.log(36))
    assert angle_entropy(np.full(100, 0.1)) == 0


def test_angles_are_counted_by_where_they_point_not_by_turns():
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, 1000)
    for turns in (-3, 1, 7):
        turned = angle_histogram(angles + 2 * np.pi * turns)
        assert np.abs(turned - angle_histogram(angles)).sum() <= 2  # a rounding at an edge or so


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_sides_of_the_seam_fall_in_the_outer_bins(dtype):
    seam = np.array([np.pi, -np.pi, np.nextafter(dtype(np.pi), dtype(0))], dtype)
    counts = angle_histogram(seam, 36)
    assert counts.sum() == counts[0] + counts[-1] == 3
    assert angle_histogram(np.array([-3.1, 3.1]), 4).tolist() == [1, 0, 0, 1]


def test_coverage_is_of_the_states_reached_in_replay(small_config, make_transition):
    layout = Layout(obs_size=4, action_size=1)
    config = small_config(state={"circular": [0, 1, 2, 3]}, replay_capacity=400)
    learner = Learner(layout, config, (0, 1))
    for step in range(360):
        # Run 0 stands still and then turns; run 1 turns all the time. The second angle rests.
        turning = np.radians(step) * np.array([step >= 180, 1])
        angles = np.stack([np.cos(turning), np.sin(turning), np.ones(2), np.zeros(2)], 1)
        step = make_transition(layout, runs=2, next_obs=angles.astype(np.float32))
        learner.observe(step)
    found = coverage(learner, recent=90)
    assert set(found) == {
        f"angle_entropy_{which}{angle}" for which in ("replay", "recent") for angle in ("", "_1")
    }
    assert found["angle_entropy_replay"][1] == pytest.approx(math.log(36), abs=0.02)
    assert found["angle_entropy_replay"][0] < 2.5
    assert found["angle_entropy_recent"] == pytest.approx(math.log(9), abs=0.1)
    assert found["angle_entropy_replay_1"].tolist() == [0, 0]


def test_there_is_no_figure_without_an_angle(small_config, make_transition):
    layout = Layout(obs_size=4, action_size=1)
    learner = Learner(layout, small_config(), (0,))
    learner.observe(make_transition(layout))
    assert coverage(learner) == {}


def test_the_replay_is_read_once_for_all_angles_and_not_at_all_for_none(
    small_config, make_transition, monkeypatch
):
    layout, read = Layout(obs_size=4, action_size=1), []
    reached = ReplayBuffer.reached

    def watched(self):
        read.append(len(self))
        return reached(self)

    for circular, expected in (((), []), ((0, 1, 2, 3), [5])):
        learner = Learner(layout, small_config(state={"circular": circular, "linear": [0]}), (0,))
        for seed in range(5):
            learner.observe(make_transition(layout, seed=seed))
        monkeypatch.setattr(ReplayBuffer, "reached", watched)
        read.clear()
        coverage(learner, recent=2)
        assert read == expected
        monkeypatch.undo()


def told(**info):
    """Return an episode of which only what the environment told matters."""
    steps = len(next(iter(info.values())))
    obs = np.zeros((steps, 2), np.float32)
    values = {name: np.asarray(v, float) for name, v in info.items()}
    return Episode(0, obs, np.zeros(steps - 1, np.float32), False, values)


def test_halls_reached_by_any_episode_count_once():
    episodes = [
        told(hall_reached=[-1, -1, 2]),
        told(hall_reached=[-1, 0, 0]),
        told(hall_reached=[-1]),
    ]
    assert halls_reached(episodes, 5) == pytest.approx(2 / 5)
    assert halls_reached(episodes[2:], 5) == 0


def test_halls_reached_in_training_are_those_of_each_run_in_replay(small_config, make_transition):
    layout = Layout(obs_size=2, action_size=1)
    learner = Learner(layout, small_config(), (0, 1))
    for x in (0.0, 1.0, 2.0):
        places = np.array([[x, 0], [0, 0]], np.float32)
        learner.observe(make_transition(layout, runs=2, next_obs=places))

    def hall_at(position):
        return position[:, 0].astype(int) - 1  # none at 0, hall 0 at 1, hall 1 at 2

    assert halls_reached_in_training(learner, hall_at, 4).tolist() == [0.5, 0.0]


def test_the_valves_figures_by_hand():
    turn = 2 * np.pi
    there_and_back = told(valve_angle=np.array([1.0, 1.25, 0.75, 1.0]) * turn)
    one_way = told(valve_angle=np.array([0.0, -0.25, -0.5, -0.75]) * turn)
    figures = valve_figures([there_and_back, one_way])
    assert figures["valve_rotations"] == pytest.approx((1.0 + 0.75) / 2)
    assert figures["valve_clockwise"] == pytest.approx((0.25 + 0.75) / 2 * turn)
    assert figures["valve_counter_clockwise"] == pytest.approx((0.25 + 0.0) / 2 * turn)
    assert figures["valve_range"] == pytest.approx((0.5 + 0.75) / 2)
    assert figures["valve_half_turn"] == 1.0
    assert valve_figures([told(valve_angle=[0.0, 0.4 * turn])])["valve_half_turn"] == 0


class StandardNormal(torch.nn.Module):
    """A density whose held-out likelihood is known; skill 1 is shifted by one."""

    def log_prob(self, state, skill_onehot, generators):
        assert len(generators) == len(state)
        centred = state - skill_onehot[..., 1:]
        return -0.5 * centred.square().sum(-1) - 0.5 * math.log(2 * math.pi) * state.shape[-1]


def test_the_held_out_likelihood_is_that_of_fresh_states_under_their_skill(small_config):
    layout = Layout(obs_size=2, action_size=1, num_skills=2)
    learner = Learner(layout, small_config(), (0, 1))
    learner.objective.density = StandardNormal()
    rng = np.random.default_rng(0)

    def episode(skill, scale):
        obs = (rng.normal(0, scale, (51, 2)) + skill).astype(np.float32)
        return Episode(skill, obs, np.zeros(50, np.float32), False, {})

    runs = [[episode(n % 2, scale) for n in range(100)] for scale in (1.0, 2.0)]
    entropy = math.log(2 * math.pi) + np.array([1.0, 4.0])  # of N(0, scale) under N(0, 1)
    assert held_out_nll(learner, runs) == pytest.approx(entropy, abs=0.15)


def test_only_a_method_with_a_density_has_a_held_out_likelihood(small_config):
    layout = Layout(obs_size=2, action_size=1, num_skills=2)
    run = [Episode(n, np.ones((4, 2), np.float32), np.zeros(3, np.float32), 0, {}) for n in (0, 1)]
    for method, has in (("sac", False), ("smm", True), ("pseudocount", True)):
        found = held_out_nll(Learner(layout, small_config(method=method), (0,)), [run])
        assert (found is not None) == has
        assert found is None or np.isfinite(found).all()


def test_the_log_density_is_reference_and_reward_together():
    target = {"name": "uniform_box", "box": {"low": [-1.0], "high": [1.0]}, "reward_weight": 2.0}
    config = from_mapping(LearnerConfig, {"state": {"linear": [0]}, "target": target})
    learner = Learner(Layout(3, 2), config, [0])
    density, note = log_density_of(learner, lambda obs: np.log(1.5 + obs[:, 0]))
    obs = np.array([[0.0, np.nan, np.nan], [0.5, np.nan, np.nan]], np.float32)
    weighted = 2 * np.log([1.5, 2.0])
    reference = learner.target.log_reference(torch.tensor([[0.0]])).item()
    assert density(obs) == pytest.approx(reference + weighted, abs=1e-5)
    assert note == ""


def test_states_that_can_not_be_have_no_density():
    learner = Learner(Layout(3, 2), LearnerConfig(), [0])
    density, _ = log_density_of(learner, lambda obs: np.array([0.0, -np.inf, np.nan]))
    found = density(np.zeros((3, 3), np.float32))
    assert found[:2].tolist() == [0.0, -np.inf]
    assert np.isnan(found[2])
