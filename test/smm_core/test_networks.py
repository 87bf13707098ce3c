"""R networks in one product are R separate networks; the actor's density is the exact one."""

import pytest
import torch
from torch.distributions import Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

from smm_core.generators import Generators
from smm_core.mlp import MLP
from smm_core.networks import (
    LOG_STD_RANGE,
    Actor,
    Critic,
    sample_squashed,
    squashed_log_prob,
)

SEEDS = (5, 2, 9)


def inputs(*shape):
    return Generators((1,)).normal(*shape)[0]


def test_a_policy_with_tanh_layers_is_bounded_before_its_last_layer():
    actor, x = Actor(Generators(SEEDS), 4, 2, (8,), activation="tanh"), inputs(3, 50, 4)
    first, last = actor.net[0], actor.net[2]
    torch.testing.assert_close(actor(x)[0], last(torch.tanh(first(x)))[..., :2])


@pytest.mark.parametrize(
    "build",
    [
        lambda generators: MLP(generators, (4, 8, 2)),
        lambda generators: Actor(generators, 4, 2, (8, 8)),
    ],
)
def test_a_run_starts_the_same_alone_and_beside_others(build):
    together, alone = build(Generators(SEEDS)), build(Generators(SEEDS[1:2]))
    for many, one in zip(together.parameters(), alone.parameters(), strict=True):
        assert torch.equal(many[1], one[0])
        assert not torch.equal(many[0], many[1])


def test_a_runs_critics_start_the_same_alone_and_beside_others():
    x, action = inputs(3, 6, 4), inputs(3, 6, 2)
    together = Critic(Generators(SEEDS), 6, (8, 8))(x, action)
    alone = Critic(Generators(SEEDS[1:2]), 6, (8, 8))(x[1:2], action[1:2])
    torch.testing.assert_close(together[1], alone[0])


def test_twin_critics_differ():
    values = Critic(Generators(SEEDS), 6, (8,))(inputs(3, 6, 4), inputs(3, 6, 2))
    assert values.shape == (3, 2, 6)
    assert (values[:, 0] - values[:, 1]).abs().min() > 1e-4


def test_a_single_critic_is_the_first_of_twins_with_the_same_weights():
    single, twins = (Critic(Generators(SEEDS), 6, (8,), members) for members in (1, 2))
    for one, two in zip(single.parameters(), twins.parameters(), strict=True):
        one.data = two.data[::2]
    x, action = inputs(3, 6, 4), inputs(3, 6, 2)
    values = single(x, action)
    assert values.shape == (3, 1, 6)
    torch.testing.assert_close(values[:, 0], twins(x, action)[:, 0])


def test_the_actors_log_prob_is_that_of_a_normal_squashed_by_tanh():
    actor, x = Actor(Generators(SEEDS), 4, 2, (8, 8)), inputs(3, 200, 4)
    action, log_prob = actor.sample(x, inputs(3, 200, 2))
    mean, log_std = actor(x)
    squashed = TransformedDistribution(Normal(mean, log_std.exp()), TanhTransform(cache_size=1))
    expected = squashed.log_prob(action).sum(-1)
    torch.testing.assert_close(log_prob, expected, rtol=1e-3, atol=1e-3)


def test_noise_of_zero_gives_the_mean_and_the_actions_stay_in_the_box():
    actor, x = Actor(Generators(SEEDS), 4, 2, (8, 8)), inputs(3, 50, 4)
    torch.testing.assert_close(actor.sample(x, torch.zeros(3, 50, 2))[0], torch.tanh(actor(x)[0]))
    assert actor.sample(x, 100 * inputs(3, 50, 2))[0].abs().max() <= 1


@pytest.mark.parametrize("scale", [1e2, 1e4, 1e6])
def test_the_log_prob_and_its_gradient_are_finite_in_the_far_tails(scale):
    actor = Actor(Generators(SEEDS), 4, 2, (8, 8))
    _, log_prob = actor.sample(scale * inputs(3, 50, 4), scale * inputs(3, 50, 2))
    log_prob.sum().backward()
    assert log_prob.isfinite().all()
    assert all(p.grad.isfinite().all() for p in actor.parameters())


def test_the_deviation_stays_in_its_range():
    actor = Actor(Generators(SEEDS), 4, 2, (8, 8))
    _, log_std = actor(1e6 * inputs(3, 50, 4))
    assert (log_std.min(), log_std.max()) == LOG_STD_RANGE


def test_the_density_of_a_given_action_is_that_of_the_action_drawn():
    # In double precision: an action that is rounded to 1 tells no longer what it was drawn as.
    mean, log_std, noise = (inputs(3, 50, 12).double() * 0.5).split(4, dim=-1)
    action, log_prob = sample_squashed(mean, log_std, noise)
    found = squashed_log_prob(action, mean, log_std)
    torch.testing.assert_close(found, log_prob, rtol=1e-5, atol=1e-5)


def test_the_density_of_an_action_at_the_border_is_finite():
    border = torch.tensor([[[-1.0, 1.0]]])
    for log_std in LOG_STD_RANGE:
        assert squashed_log_prob(border, torch.zeros(1), torch.tensor(log_std)).isfinite().all()
