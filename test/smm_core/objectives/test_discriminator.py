"""The discriminator is a distribution over skills, and learns those that can be told apart."""

import math

import pytest
import torch

from smm_core.generators import Generators
from smm_core.objectives.discriminator import Discriminator, DiscriminatorConfig
from smm_core.state_space import StateConfig, StateSpace

SPACE = StateSpace(StateConfig(circular=(0, 1)), obs_size=2)
SKILLS = 3


def discriminator(runs=1):
    config = DiscriminatorConfig(hidden=(32,), learning_rate=1e-2)
    return Discriminator(Generators(range(runs)), SPACE, SKILLS, config)


def states_of(skill, spread):
    """Return angles (R, B, 1) around the skill's own third of the circle."""
    noise = Generators((7,)).normal(*skill.shape)[0]
    return (skill * 2 * math.pi / SKILLS + spread * noise).unsqueeze(-1)


def posterior(model, states):
    """Return d(z|s), (SKILLS, R, B)."""
    skills = [torch.full(states.shape[:2], z) for z in range(SKILLS)]
    return torch.stack([model.log_prob(states, skill) for skill in skills]).exp()


def trained(spread, steps=100, runs=1):
    model, generators = discriminator(runs), Generators(range(runs))
    for _ in range(steps):
        skill = generators.integers(SKILLS, 128)
        log_prob = model.fit(states_of(skill, spread), skill)
    return model, -log_prob.mean()


def test_it_is_a_distribution_over_skills():
    states = 3 * Generators((0, 1)).normal(20, 1)
    probability = posterior(discriminator(runs=2), states)
    torch.testing.assert_close(probability.sum(0), torch.ones(2, 20))
    assert (probability > 0).all()


def test_it_learns_skills_that_keep_apart():
    model, loss = trained(spread=0.2)
    states = states_of(torch.arange(SKILLS).repeat(50).view(1, -1), 0.2)
    right = torch.arange(SKILLS).repeat(50).view(1, -1)
    assert model.log_prob(states, right).exp().mean() > 0.95
    assert loss < 0.1


def test_skills_that_visit_the_same_states_stay_even():
    model, generators = discriminator(), Generators((0,))
    for _ in range(100):
        model.fit(3 * generators.normal(256, 1), generators.integers(SKILLS, 256))
    even = posterior(model, 3 * generators.normal(200, 1))
    assert (even - 1 / SKILLS).abs().mean() < 0.1


def test_a_step_returns_the_log_probabilities_before_it_and_raises_them():
    model = discriminator(runs=2)
    skill = Generators((0, 1)).integers(SKILLS, 16)
    states = states_of(skill, 0.5)
    expected = model.log_prob(states, skill)
    torch.testing.assert_close(model.fit(states, skill), expected)
    assert (model.log_prob(states, skill).mean(-1) > expected.mean(-1)).all()


def test_a_step_goes_down_the_gradient_of_the_cross_entropy():
    model, skill = discriminator(runs=2), Generators((0, 1)).integers(SKILLS, 16)
    states, taken = states_of(skill, 0.5), []
    loss = -model.log_prob(states, skill).mean(1).sum()
    expected = torch.autograd.grad(loss, model.net.weights)
    model.optimizer.move = taken.extend
    model.fit(states, skill)
    torch.testing.assert_close(tuple(taken), expected)


@pytest.mark.parametrize("run", [0, 1])
def test_a_run_learns_the_same_alone_and_beside_others(run):
    skill = Generators((5, 6)).integers(SKILLS, 32)
    states = states_of(skill, 0.5)
    together = discriminator(runs=2)
    alone = Discriminator(
        Generators((run,)), SPACE, SKILLS, DiscriminatorConfig(hidden=(32,), learning_rate=1e-2)
    )
    for _ in range(5):
        found = together.fit(states, skill)
        own = alone.fit(states[run, None], skill[run, None])
    torch.testing.assert_close(found[run], own[0])
