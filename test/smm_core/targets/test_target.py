"""Targets: a reference density that fits what is matched, times exp(reward), within limits."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from smm_core.config import ConfigError, from_mapping, to_mapping
from smm_core.options import read_options
from smm_core.state_space import StateConfig, StateSpace
from smm_core.targets.target import Target, TargetConfig
from smm_core.train import TrainConfig

CIRCLE = TargetConfig(name="uniform_circle")
MIXED = StateSpace(StateConfig(linear=(3,), circular=(0, 1)), obs_size=4)
BOX = {"low": [-1.0], "high": [3.0]}
SETTINGS = {
    "reward": {},
    "uniform_box": {"box": BOX},
    "halves": {"box": BOX, "halves": {"threshold": 0.5, "weights": [2.0, 1.0]}},
    "gaussian_mixture": {"mixture": {"means": [0.0, 1.0, 2.0, -3.0], "deviations": [0.5]}},
    "goal": {"box": BOX, "goal": {"epsilon": 0.3, "cells": 30}},
    "demonstrations": {
        "demonstrations": {"updates": 20, "density": {"model": "gaussian_mixture"}}
    },
}
PAGE = Path(__file__).resolve().parents[3] / "docs" / "choosing_a_target.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def settings(tmp_path):
    """Return a function that gives the settings of a target by its name."""

    def by_name(name, **more):
        given = {"name": name, **SETTINGS[name], **more}
        if name == "demonstrations":
            path = tmp_path / "states.npy"
            np.save(path, np.random.default_rng(0).normal(size=(100, 2)))
            given["demonstrations"] = {**given["demonstrations"], "file": str(path)}
        return from_mapping(TargetConfig, given)

    return by_name


def states(*shape):
    return torch.randn(*shape, 2, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("entries", [{}, {"linear": (0,), "circular": (1, 2)}, {"linear": (0,)}])
def test_a_uniform_circle_needs_a_state_of_angles_only(entries):
    with pytest.raises(ConfigError, match="angles only"):
        Target(CIRCLE, StateSpace(StateConfig(**entries), obs_size=5))


@pytest.mark.parametrize("name", ["reward", "suggested"])
def test_the_target_is_the_reference_density_times_exp_of_the_reward(name):
    space = StateSpace(StateConfig(circular=(0, 1, 2, 3)), obs_size=5)
    state, reward = torch.zeros(1, 2, 2), torch.tensor([[-1.5, 0.0]])
    assert torch.equal(Target(TargetConfig(name=name), space).log_prob(state, reward), reward)
    log_p = Target(CIRCLE, space).log_prob(state, reward)
    torch.testing.assert_close(log_p, reward - 2 * math.log(2 * math.pi))


@pytest.mark.parametrize("name", SETTINGS)
def test_each_run_has_the_log_density_that_it_has_alone(name, settings):
    target, state = Target(settings(name), MIXED), states(3, 7)
    reward = states(3, 7)[..., 0]
    together = target.log_prob(state, reward)
    assert together.shape == (3, 7)
    assert together.dtype == torch.float32
    for run in range(3):
        alone = target.log_prob(state[run : run + 1], reward[run : run + 1])
        torch.testing.assert_close(alone[0], together[run])
    torch.testing.assert_close(target.log_reference(state) + reward, together)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_full_turn_changes_nothing(name, settings):
    state = torch.tensor([[[0.2, math.pi - 1e-6], [0.2, -0.5]]])
    turned = torch.tensor([[[0.2, -math.pi + 1e-6], [0.2, -0.5]]])
    log_p = Target(settings(name), MIXED).log_reference
    torch.testing.assert_close(log_p(state), log_p(turned), atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "reward"])
def test_a_normalised_reference_integrates_to_one(name, settings):
    target = Target(settings(name, reward_weight=0.0), MIXED)
    assert target.is_normalised
    angles = torch.linspace(-math.pi, math.pi, 201)[:-1] + math.pi / 200
    grid = torch.cartesian_prod(torch.linspace(-6, 8, 1401)[:-1] + 0.005, angles)
    mass = target.log_reference(grid[None]).double().exp().sum() * 0.01 * math.pi / 100
    assert float(mass) == pytest.approx(1.0, abs=0.01)


LIMITS = {"low": [-1.0, -1.0], "high": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("reward", {"reward_weight": 0.0}),
        ("uniform_box", {"reward_weight": 0.1}),
        ("uniform_box", {"reward_weight": 0.0, "limits": LIMITS}),
    ],
)
def test_without_a_density_with_a_reward_or_limits_a_constant_is_open(name, more, settings):
    assert not Target(settings(name, **more), MIXED).is_normalised


@pytest.mark.parametrize("weight", [0.0, 1.0, 20.0])
def test_the_reward_enters_every_target_with_its_weight(weight, settings):
    target = Target(settings("uniform_box", reward_weight=weight), MIXED)
    state, reward = states(1, 5), torch.linspace(-2, 1, 5)[None]
    expected = target.log_reference(state) + weight * reward
    torch.testing.assert_close(target.log_prob(state, reward), expected)


def test_beyond_a_limit_log_p_falls_by_the_penalty_for_each_unit(settings):
    limits = {"low": [-1.0, 2.5], "high": [math.inf, 4.0], "penalty": 2.0}
    target = Target(settings("reward", limits=limits), MIXED)
    state = torch.tensor([[[0.0, 3.0], [9.0, 3.0], [-4.0, 3.0], [0.0, 2.0], [-2.0, 1.5]]])
    log_p = target.log_prob(state, torch.zeros(1, 5))
    torch.testing.assert_close(log_p, torch.tensor([[0.0, 0.0, -6.0, -1.0, -2.0 - 2.0]]))
    assert torch.equal(target.log_reference(state), torch.zeros(1, 5))


def test_limits_of_an_angle_go_round_the_circle(settings):
    """From 2.5 to 4 rad: over pi, and the way back is the shorter one."""
    limits = {"low": [-9.0, 2.5], "high": [9.0, 4.0], "penalty": 1.0}
    target = Target(settings("reward", limits=limits), MIXED)
    angle = torch.tensor([math.pi, -math.pi, 4.0 - 2 * math.pi, 4.5 - 2 * math.pi, 0.5])
    state = torch.stack((torch.zeros(5), angle), -1)[None]
    log_p = target.log_prob(state, torch.zeros(1, 5))
    torch.testing.assert_close(log_p, torch.tensor([[0.0, 0.0, 0.0, -0.5, -2.0]]))


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"low": [0.0], "high": [1.0]}, "1 low and 1 high limits, expected 2 of each"),
        ({"low": [0.0, 0.0]}, "2 low and 0 high"),
        ({"low": [1.0, 0.0], "high": [0.0, 1.0]}, "coordinate 0 of s are 1.0 and 0.0"),
        ({"low": [0.0, -4.0], "high": [1.0, 4.0]}, "coordinate 1 .* a turn apart"),
        ({"low": [0.0, -math.inf], "high": [1.0, 4.0]}, "coordinate 1 .* a turn apart"),
    ],
)
def test_limits_that_do_not_fit_are_named(limits, words, settings):
    with pytest.raises(ConfigError, match=words):
        Target(settings("reward", limits=limits), MIXED)


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_survive_being_written_down(name, settings):
    config = settings(name)
    assert from_mapping(TargetConfig, to_mapping(config)) == config


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_of_the_page_on_targets_makes_one(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("states.npy", np.random.default_rng(0).normal(size=(60, 3)))
    Path("train.yaml").write_text(example)
    faster = {"learner.target.demonstrations.updates": 3}
    learner = read_options(TrainConfig, Path("train.yaml"), faster).learner
    target = Target(learner.target, StateSpace(learner.state, obs_size=3))
    state = torch.zeros(1, 4, len(learner.state.linear) + len(learner.state.circular) // 2)
    assert target.log_prob(state, torch.zeros(1, 4)).isfinite().all()


def test_the_page_on_targets_has_an_example_of_each():
    named = set(re.findall(r"name: (\w+)", "".join(EXAMPLES)))
    assert named == {*SETTINGS, "uniform_circle"}
