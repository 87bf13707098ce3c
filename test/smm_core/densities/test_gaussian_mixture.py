"""The mixture is the density that its numbers say, and finds the one that states come from."""

import math

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal, VonMises

from smm_core.densities.gaussian_mixture import GaussianMixture, GaussianMixtureConfig
from smm_core.generators import Generators
from smm_core.state_space import StateConfig, StateSpace

PLANE = StateSpace(StateConfig(linear=(0, 1)), obs_size=2)
CIRCLE = StateSpace(StateConfig(circular=(0, 1)), obs_size=2)
CORRELATED = MultivariateNormal(
    torch.tensor([5.0, -3000.0]), torch.tensor([[1.0, 1800.0], [1800.0, 4e6]])
)
"""Correlation 0.9, one unit a thousandth of the other."""
PEAKS = MixtureSameFamily(
    Categorical(torch.tensor([0.3, 0.7])),
    VonMises(torch.tensor([0.0, 3.1]), torch.tensor([8.0, 20.0])),
)
FOUR = MixtureSameFamily(
    Categorical(torch.tensor([0.1, 0.2, 0.3, 0.4])),
    MultivariateNormal(
        torch.tensor([[-3.0, 0.0], [3.0, 0.0], [0.0, 3.0], [0.0, -3.0]]), 0.2 * torch.eye(2)
    ),
)


def mixture(space, components=8, skills=0, **settings):
    config = GaussianMixtureConfig(components=components, **settings)
    return GaussianMixture(Generators((0,)), space, skills, config)


def draw(truth, count, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        states = truth.sample((count,))
    return states.view(1, count, -1)


def no_skill(states):
    return torch.zeros(*states.shape[:2], 0)


def log_prob(density, states):
    return density.log_prob(states, no_skill(states), Generators((2,)))


def train(density, truth, steps=400):
    states, generators = draw(truth, 128 * steps, 0), Generators((1,))
    for batch in states.split(128, 1):
        density.fit(batch, no_skill(batch), generators)
    return density


def gap(density, truth):
    """Return KL(truth || density) in nats, estimated."""
    states = draw(truth, 10_000, 1)
    true = truth.log_prob(states.squeeze(-1) if states.shape[-1] == 1 else states)
    return float((true - log_prob(density, states)).mean())


@pytest.mark.parametrize(
    ("space", "truth"),
    [(PLANE, CORRELATED), (PLANE, FOUR), (CIRCLE, PEAKS)],
    ids=["correlated", "four peaks", "ring"],
)
def test_a_known_mixture_is_recovered(space, truth):
    assert -0.001 < gap(train(mixture(space), truth), truth) < 0.03


def test_without_slopes_a_correlation_is_not_seen():
    """The loss is the mutual information, -1/2 log(1 - r^2)."""
    found = gap(train(mixture(PLANE, components=1, full=False), CORRELATED), CORRELATED)
    assert found == pytest.approx(-0.5 * math.log(1 - 0.9**2), abs=0.03)


def set_by_hand(density):
    """Give a mixture of two components on the plane random numbers."""
    generator = torch.Generator().manual_seed(0)
    for parameter in density.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return density


def test_the_log_density_is_that_of_the_covariance_that_the_slopes_mean():
    density = set_by_hand(mixture(PLANE, components=2))
    density.scale.mean.copy_(torch.tensor([10.0, 20.0]))
    density.scale.deviation.copy_(torch.tensor([0.5, 3.0]))
    unit = torch.diag(density.scale.deviation[0, 0])
    mixing = torch.eye(2) - density.slopes[0, 0].detach().tril(-1)
    widths = 0.01 + density.log_widths[0, 0].detach().exp()  # log(m) + softplus(x - log(m))
    root = unit @ torch.linalg.inv(mixing) @ torch.diag_embed(widths)
    covariance = root @ root.transpose(1, 2)
    centres = density.scale.mean[0, 0] + density.centres[0, 0].detach() @ unit
    parts = MultivariateNormal(centres, covariance)
    truth = MixtureSameFamily(Categorical(logits=density.logits[0, 0].detach()), parts)
    states = draw(truth, 500, 3)
    torch.testing.assert_close(
        log_prob(density, states), truth.log_prob(states), atol=1e-3, rtol=0
    )
    drawn = density.sample(torch.zeros(1, 40_000, 0), Generators((4,)))[0]
    torch.testing.assert_close(drawn.mean(0), truth.mean, atol=0.05, rtol=0.02)
    torch.testing.assert_close(drawn.var(0), truth.variance, atol=0.0, rtol=0.05)


def test_the_first_batch_places_the_centres_and_no_later_one_does():
    density = mixture(CIRCLE, learning_rate=0.0)
    first = torch.full((1, 32, 1), 2.0)
    density.fit(first, no_skill(first), Generators((1,)))
    placed = density.centres.detach().clone()
    assert ((placed - 2.0).abs() < 0.5).all()
    density.fit(-first, no_skill(first), Generators((2,)))
    assert torch.equal(density.centres, placed)


def test_no_width_is_narrower_than_the_floor():
    density = mixture(CIRCLE, components=1, min_scale=0.1)
    density.log_widths.data.fill_(-50.0)
    peak = float(log_prob(density, torch.zeros(1, 1, 1)))
    assert peak == pytest.approx(float(VonMises(0.0, 100.0).log_prob(torch.tensor(0.0))), abs=1e-3)
