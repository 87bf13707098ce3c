"""Targets: a reference density that fits what is matched, times exp(reward)."""

import math

import pytest
import torch

from smm_core.config import ConfigError
from smm_core.state_space import StateConfig, StateSpace
from smm_core.target import Target, TargetConfig

CIRCLE = TargetConfig(name="uniform_circle")


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
