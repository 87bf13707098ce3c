"""What every density model promises, whichever it is: on states of one length and one angle."""

import copy
import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal, VonMises

from smm_core.config import ConfigError, from_mapping
from smm_core.densities.density import DensityConfig, make_density
from smm_core.generators import Generators
from smm_core.state_space import StateConfig, StateSpace

MIXED = StateSpace(StateConfig(linear=(0,), circular=(1, 2)), obs_size=3)
SKILLS = 2
CENTRES = torch.tensor([0.5, 3.0])
"""Centre of the angle under either skill; the second lies at the seam."""
SMALL = {
    "vae": {"hidden": [32, 32], "code_size": 3, "samples": 8},
    "flow": {"hidden": [32, 32], "bins": 8},
    "histogram": {"bins": [40, 24]},
    "gaussian_mixture": {"components": 8},
}
EXACT = tuple(set(SMALL) - {"vae"})
GAPS = {"vae": 0.5, "flow": 0.12, "histogram": 0.35, "gaussian_mixture": 0.2}
"""Largest loss of log-likelihood against the truth after training, nats."""


def make(model, seeds=(0,), space=MIXED, skills=SKILLS, **settings):
    config = from_mapping(DensityConfig, {"model": model, model: SMALL[model] | settings})
    return make_density(Generators(seeds), space, skills, config)


def draw(rng, count, unit=1.0):
    """Return states (1, B, 2) and one-hot skills: the length follows the angle's sine."""
    skill = rng.integers(SKILLS, size=count)
    angle = rng.vonmises(CENTRES.numpy()[skill], 4.0)
    length = unit * (20.0 + 3.0 * np.sin(angle) + rng.normal(size=count))
    states = torch.tensor(np.stack((length, angle), -1), dtype=torch.float32)
    return states.unsqueeze(0), torch.eye(SKILLS)[skill].unsqueeze(0)


def truth(states, onehot):
    length, angle = states.unbind(-1)
    angular = VonMises((onehot * CENTRES).sum(-1), 4.0).log_prob(angle)
    return angular + Normal(20.0 + 3.0 * angle.sin(), 1.0).log_prob(length)


def train(density, steps=300, unit=1.0):
    rng, generators = np.random.default_rng(0), Generators((1,))
    for _ in range(steps):
        states, onehot = draw(rng, 128, unit)
        density.observe(states, onehot)
        density.fit(states, onehot, generators)
    return density


@pytest.fixture(scope="module", params=sorted(SMALL))
def trained(request):
    """Return the name of a model and the model, fitted to 38,400 states."""
    return request.param, train(make(request.param))


def log_prob(density, states, onehot):
    return density.log_prob(states, onehot, Generators((2,)))


def grid(size):
    """Return states (1, size * size, 2) in the middle of cells, their one cell size."""
    low, high = 5.0, 35.0
    middles = (torch.arange(size) + 0.5) / size
    length, angle = low + (high - low) * middles, -math.pi + 2 * math.pi * middles
    states = torch.cartesian_prod(length, angle).unsqueeze(0)
    return states, (high - low) * 2 * math.pi / size**2


def of_skill(skill, count):
    return torch.eye(SKILLS)[skill].expand(1, count, -1)


def test_only_the_bound_says_that_it_is_one():
    assert {model: make(model).is_exact for model in SMALL} == {
        model: model in EXACT for model in SMALL
    }


def test_an_unknown_model_is_named():
    with pytest.raises(ConfigError, match="'gan'"):
        DensityConfig(model="gan")


def test_the_likelihood_comes_close_to_the_truth_and_not_over_it(trained):
    model, density = trained
    states, onehot = draw(np.random.default_rng(5), 8000)
    gap = (truth(states, onehot) - log_prob(density, states, onehot)).mean()
    assert -0.02 < gap < GAPS[model]


@pytest.mark.parametrize("skill", range(SKILLS))
def test_the_density_of_each_skill_integrates_to_one(trained, skill):
    model, density = trained
    states, area = grid(240 if model in EXACT else 60)
    total = log_prob(density, states, of_skill(skill, states.shape[1])).exp().sum() * area
    # exp(bound) is below the density where the bound is not tight.
    assert float(total) == pytest.approx(1.0, abs=0.02 if model in EXACT else 0.1)


@pytest.mark.parametrize("skill", range(SKILLS))
def test_draws_are_distributed_as_the_density_says(trained, skill):
    """Compare shares of draws in 10 x 10 cells with the integrals of the density over them."""
    model, density = trained
    fine = 240 if model in EXACT else 60
    states, area = grid(fine)
    mass = log_prob(density, states, of_skill(skill, states.shape[1])).exp() * area
    mass = mass.view(10, fine // 10, 10, fine // 10).sum((1, 3))
    drawn = density.sample(of_skill(skill, 20_000), Generators((4,)))[0]
    assert (drawn[:, 1].abs() <= math.pi + 1e-6).all()
    edges = [torch.linspace(5, 35, 11), torch.linspace(-math.pi, math.pi, 11)]
    share = torch.histogramdd(drawn, edges).hist / len(drawn)
    kl = torch.special.xlogy(share, share / mass.clamp_min(1e-12)).sum()
    # Chance alone makes about 100 cells / (2 * 20,000 draws).
    assert kl < (0.01 if model in EXACT else 0.1)


def test_there_is_no_seam_at_half_a_turn(trained):
    model, density = trained
    if model == "histogram":
        return  # piecewise constant: it jumps at the edge of every cell
    count = 2000
    gap = 1e-4
    states = torch.tensor([[20.4, math.pi - gap], [20.4, gap - math.pi]])
    states = states.repeat_interleave(count, 0).unsqueeze(0)
    left, right = log_prob(density, states, of_skill(1, 2 * count)).view(2, -1).mean(1)
    assert left > -4  # the peak of this skill is here
    assert abs(left - right) < 0.05


def test_a_skill_has_a_density_of_its_own(trained):
    states = torch.tensor([[[20.0 + 3 * math.sin(0.5), 0.5], [20.0 + 3 * math.sin(3.0), 3.0]]])
    own = log_prob(trained[1], states, torch.eye(2).unsqueeze(0))
    other = log_prob(trained[1], states, torch.eye(2).flip(0).unsqueeze(0))
    assert (own - other > 2).all()


def restored(model, density, seed):
    """Return a model made anew that goes on from what another one has saved."""
    fresh = make(model, (seed,))
    fresh.load_state_dict(copy.deepcopy(density.state_dict()))
    for name, optimizer in fresh.optimizers.items():
        optimizer.load_state_dict(copy.deepcopy(density.optimizers[name].state_dict()))
    return fresh


def test_saved_and_loaded_it_goes_on_as_if_nothing_had_been(trained):
    model, density = trained
    states, onehot = draw(np.random.default_rng(6), 64)
    found = log_prob(density, states, onehot)
    first, second = (restored(model, density, seed) for seed in (8, 9))
    assert torch.equal(log_prob(first, states, onehot), found)
    for one in (first, second):
        one.observe(states, onehot)
        one.fit(states, onehot, Generators((3,)))
    assert torch.equal(log_prob(first, states, onehot), log_prob(second, states, onehot))
    assert not torch.equal(log_prob(first, states, onehot), found)
    drawn = [one.sample(onehot, Generators((4,))) for one in (first, second)]
    assert torch.equal(*drawn)


@pytest.mark.parametrize("model", sorted(SMALL))
def test_other_units_shift_the_log_density_by_their_logarithm(model):
    ours, theirs = train(make(model), 40), train(make(model), 40, unit=1000.0)
    states, onehot = draw(np.random.default_rng(6), 2000)
    finer = states * torch.tensor([1000.0, 1.0])
    shift = log_prob(theirs, finer, onehot) - log_prob(ours, states, onehot)
    assert float(shift.mean()) == pytest.approx(-math.log(1000), abs=0.02)


@pytest.mark.parametrize("model", sorted(SMALL))
def test_runs_together_are_the_runs_alone(model):
    rng = np.random.default_rng(0)
    seeds = (4, 5)
    pairs = [draw(rng, 64) for _ in seeds]
    states, onehot = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    together = results(make(model, seeds), states, onehot, seeds)
    for run, seed in enumerate(seeds):
        alone = results(make(model, (seed,)), *pairs[run], (seed,))
        for ours, theirs in zip(together, alone, strict=True):
            torch.testing.assert_close(ours[run], theirs[0], rtol=1e-3, atol=1e-3)


def results(density, states, onehot, seeds):
    """Return what the fifth fit returned, the log-densities after it, and draws."""
    generators = Generators(seeds)
    density.observe(states, onehot)
    for _ in range(5):
        before = density.fit(states, onehot, generators)
    log_density = density.log_prob(states, onehot, generators)
    return before, log_density, density.sample(onehot, generators)


@pytest.mark.parametrize("model", sorted(SMALL))
@pytest.mark.parametrize("value", [0.0, 1e6, -1e9])
def test_states_that_never_change_keep_everything_finite(model, value):
    density, generators = make(model), Generators((1,))
    onehot = of_skill(0, 32)
    constant = torch.tensor([value, 1.0]).expand(1, 32, -1)
    for _ in range(5):
        density.observe(constant, onehot)
        assert density.fit(constant, onehot, generators).isfinite().all()
    assert log_prob(density, constant, onehot).isfinite().all()
    assert density.sample(onehot, generators).isfinite().all()


@pytest.mark.parametrize("far", [1e6, -1e9])
def test_a_state_far_from_all_others_keeps_everything_finite(trained, far):
    model, density = trained
    states = torch.tensor([[[far, 1.0], [20.0, 1.0]]])
    onehot = of_skill(1, 2)
    found = log_prob(density, states, onehot)
    assert found.isfinite().all()
    assert found[0, 0] < found[0, 1] - 5
    fresh = restored(model, density, 0)
    fresh.observe(states, onehot)
    assert fresh.fit(states, onehot, Generators((1,))).isfinite().all()
    assert log_prob(fresh, states, onehot).isfinite().all()
