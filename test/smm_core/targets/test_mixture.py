"""Gaussian mixtures as targets, against scipy's densities."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from smm_core.config import ConfigError
from smm_core.state_space import StateConfig, StateSpace
from smm_core.targets.mixture import MixtureConfig, MixtureTarget

MIXED = StateSpace(StateConfig(linear=(0,), circular=(1, 2)), obs_size=3)
MEANS, DEVIATIONS = (-1.0, 3.0, 2.0, -0.5), (0.3, 0.4, 1.5, 2.0)
SETTINGS = MixtureConfig(MEANS, DEVIATIONS, (3.0, 1.0))


def by_scipy(state):
    x, angle = state[..., 0], state[..., 1]
    parts = [
        weight * stats.norm(m, s).pdf(x) * stats.vonmises(k**-2, loc=c).pdf(angle)
        for weight, m, c, s, k in [(0.75, -1, 3, 0.3, 0.4), (0.25, 2, -0.5, 1.5, 2.0)]
    ]
    return np.log(sum(parts))


def test_the_log_density_is_that_of_scipy():
    state = np.random.default_rng(0).uniform((-5, -3.1), (5, 3.1), (200, 2))
    log_p = MixtureTarget(MIXED, SETTINGS).log_prob(torch.tensor(state, dtype=torch.float32))
    np.testing.assert_allclose(log_p.numpy(), by_scipy(state), atol=2e-4)


def test_angles_wrap():
    target = MixtureTarget(MIXED, SETTINGS)
    state = torch.tensor([[-1.0, math.pi - 1e-3], [-1.0, 3.0 - 0.2]])
    other = torch.tensor([[-1.0, -math.pi + 1e-3], [-1.0, 3.0 + 0.2 - 2 * math.pi]])
    torch.testing.assert_close(target.log_prob(state), target.log_prob(other), atol=0.02, rtol=0)


@pytest.mark.parametrize(("given", "full"), [((0.5,), (0.5,) * 4), ((0.5, 0.1), (0.5, 0.1) * 2)])
def test_deviations_are_shared_where_fewer_are_given(given, full):
    state = torch.tensor([[0.3, -2.0]])
    shared, spelt = (MixtureTarget(MIXED, MixtureConfig(MEANS, d)) for d in (given, full))
    assert torch.equal(shared.log_prob(state), spelt.log_prob(state))


def test_far_away_the_log_density_is_finite():
    log_p = MixtureTarget(MIXED, SETTINGS).log_prob(torch.tensor([[1e6, 0.0], [2e6, 0.0]]))
    assert log_p.isfinite().all()
    assert log_p[1] < log_p[0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "means has 0 numbers, expected 2"),
        ({"means": (1.0, 2.0, 3.0)}, "means has 3 numbers, expected 2"),
        ({"means": MEANS, "deviations": (1.0, 1.0, 1.0)}, "3 numbers, expected 1, 2 .* or 4"),
        ({"means": MEANS, "deviations": (0.0,)}, "deviations has 0.0, expected positive"),
        ({"means": MEANS, "weights": (1.0, 1.0, 1.0)}, "weights has 3 numbers, expected 2"),
        ({"means": MEANS, "weights": (0.0, 0.0)}, "positive sum"),
    ],
)
def test_what_makes_no_mixture_is_named(settings, words):
    with pytest.raises(ConfigError, match=words):
        MixtureTarget(MIXED, MixtureConfig(**settings))
