"""The flow's log-density is exact: its slopes are autograd's, and known densities are found."""

import math

import pytest
import torch
from torch.distributions import (
    Categorical,
    MixtureSameFamily,
    MultivariateNormal,
    Uniform,
    VonMises,
)

from smm_core.densities.flow import Flow, FlowConfig, FlowLayer
from smm_core.generators import Generators
from smm_core.state_space import StateConfig, StateSpace

PLANE = StateSpace(StateConfig(linear=(0, 1)), obs_size=2)
CIRCLE = StateSpace(StateConfig(circular=(0, 1)), obs_size=2)
FOUR = StateSpace(StateConfig(linear=(0, 1), circular=(2, 3, 4, 5)), obs_size=6)
CORRELATED = MultivariateNormal(
    torch.tensor([5.0, -3000.0]), torch.tensor([[1.0, 1800.0], [1800.0, 4e6]])
)
"""Correlation 0.9, one unit a thousandth of the other."""
PEAKS = MixtureSameFamily(
    Categorical(torch.tensor([0.3, 0.7])),
    VonMises(torch.tensor([0.0, 3.1]), torch.tensor([8.0, 20.0])),
)
UNIFORM = Uniform(-math.pi, math.pi)


def flow(space, skills=0, **settings):
    config = FlowConfig(**{"hidden": (32, 32), "bins": 8} | settings)
    return Flow(Generators((0,)), space, skills, config)


def scattered(module, size=1.0, seed=0):
    """Give a module random weights, far from the identity that a new flow is close to."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = size * torch.randn(parameter.shape, generator=generator)
    return module


def layer(backwards):
    return scattered(
        FlowLayer(Generators((0,)), FOUR, 2, FlowConfig(hidden=(8,), bins=6), backwards), 0.5
    )


def draw(truth, count, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        states = truth.sample((count,))
    return states.view(1, count, -1)


def some_states(count=20, seed=0):
    """Return states (1, B, 4): two lengths of some size, two angles; and one-hot skills."""
    generator = torch.Generator().manual_seed(seed)
    lengths = 3.0 * torch.randn(1, count, 2, generator=generator)
    angles = math.pi * (2 * torch.rand(1, count, 2, generator=generator) - 1)
    onehot = torch.eye(2)[torch.arange(count) % 2].unsqueeze(0)
    return torch.cat((lengths, angles), -1), onehot


def no_skill(states):
    return torch.zeros(*states.shape[:2], 0)


def log_prob(density, states):
    return density.log_prob(states, no_skill(states), Generators((2,)))


@pytest.mark.parametrize("backwards", [False, True])
def test_the_change_of_volume_is_autograds(backwards):
    one, (states, onehot) = layer(backwards), some_states()
    log_slope = one(states, onehot)[1].detach()
    for index in range(states.shape[1]):
        skill = onehot[:, index, None]
        jacobian = torch.autograd.functional.jacobian(
            lambda x, skill=skill: one(x.view(1, 1, -1), skill)[0].flatten(), states[0, index]
        )
        expected = torch.linalg.slogdet(jacobian.double()).logabsdet
        assert float(log_slope[0, index]) == pytest.approx(float(expected), abs=2e-3)


@pytest.mark.parametrize("backwards", [False, True])
def test_the_inverse_undoes_a_layer(backwards):
    one, (states, onehot) = layer(backwards), some_states(500)
    with torch.no_grad():
        moved, _ = one(states, onehot)
        back = one.inverse(moved, onehot)
    assert (moved - states).abs().mean() > 0.3
    turned = torch.remainder(back - states + math.pi, 2 * math.pi) - math.pi
    error = torch.cat(((back - states)[..., :2], turned[..., 2:]), -1)
    assert float(error.abs().max()) < 5e-3


def test_a_coordinate_is_moved_by_those_before_it_alone():
    states, onehot = some_states(1)
    skill = onehot[:, :1]
    for backwards, order in ((False, [0, 1, 2, 3]), (True, [3, 2, 1, 0])):
        one = layer(backwards)
        jacobian = torch.autograd.functional.jacobian(
            lambda x, one=one: one(x.view(1, 1, -1), skill)[0].flatten(), states[0, 0]
        )
        depends = (jacobian != 0)[order][:, order]
        assert torch.equal(depends, torch.ones(4, 4).tril().bool())


def test_a_density_far_from_its_start_still_integrates_to_one():
    space = StateSpace(StateConfig(linear=(0,), circular=(1, 2)), obs_size=3)
    density = scattered(flow(space, hidden=(8,), bins=6), 0.3)
    size, reach = 700, 40.0
    middles = 2 * (torch.arange(size) + 0.5) / size - 1
    states = torch.cartesian_prod(reach * middles, math.pi * middles).unsqueeze(0)
    mass = log_prob(density, states).double().exp() * 4 * reach * math.pi / size**2
    assert float(mass.sum()) == pytest.approx(1.0, abs=0.01)
    assert mass.max() > 5 * mass[mass > 1e-9].mean()  # far from flat


@pytest.mark.parametrize(
    ("space", "truth"),
    [(PLANE, CORRELATED), (CIRCLE, PEAKS), (CIRCLE, UNIFORM)],
    ids=["correlated", "ring", "uniform"],
)
def test_a_known_density_is_recovered(space, truth):
    density, generators = flow(space), Generators((1,))
    for batch in draw(truth, 128 * 250, 0).split(128, 1):
        density.fit(batch, no_skill(batch), generators)
    states = draw(truth, 10_000, 1)
    true = truth.log_prob(states.squeeze(-1) if states.shape[-1] == 1 else states)
    assert -0.001 < float((true - log_prob(density, states)).mean()) < 0.06


def test_there_is_no_seam_at_half_a_turn():
    density = scattered(flow(CIRCLE), 0.5)
    gap = 1e-4
    ends = torch.tensor([[[gap - math.pi], [math.pi - gap], [math.pi], [-math.pi]]])
    found = log_prob(density, ends)
    assert float(found.max() - found.min()) < 0.01
    middle = log_prob(density, torch.linspace(-3, 3, 50).view(1, -1, 1))
    assert float(middle.max() - middle.min()) > 1


def test_whole_turns_change_nothing():
    density = scattered(flow(CIRCLE), 0.5)
    states = torch.linspace(-3, 3, 50).view(1, -1, 1)
    turned = log_prob(density, states + 2 * math.pi)
    torch.testing.assert_close(turned, log_prob(density, states), atol=1e-3, rtol=0)
