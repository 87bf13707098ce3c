"""Fitting off line: each state counts once, those kept back are not learnt, runs are their own."""

import math

import pytest
import torch
from torch.distributions import Normal

from smm_core.config import from_mapping
from smm_core.densities.density import DensityConfig, make_density
from smm_core.densities.fitting import fit_to, negative_log_likelihood
from smm_core.generators import Generators
from smm_core.state_space import StateConfig, StateSpace

LINE = StateSpace(StateConfig(linear=(0,)), obs_size=1)
ENTROPY = float(Normal(5.0, 2.0).entropy())
MODELS = {
    "vae": {"hidden": [16], "code_size": 2, "samples": 2},
    "flow": {"hidden": [16], "layers": 1},
    "histogram": {},
    "gaussian_mixture": {"components": 2},
}


def make(model, seeds=(0,), skills=0, **settings):
    config = from_mapping(DensityConfig, {"model": model, model: MODELS[model] | settings})
    return make_density(Generators(seeds), LINE, skills, config)


def states(count, runs=1, seed=0):
    noise = torch.randn(runs, count, 1, generator=torch.Generator().manual_seed(seed))
    return 5.0 + 2.0 * noise


def no_skill(state):
    return torch.zeros(*state.shape[:2], 0)


@pytest.mark.parametrize("model", MODELS)
def test_both_likelihoods_come_close_to_the_entropy(model):
    given = states(5000)
    found = fit_to(make(model), given, no_skill(given), Generators((1,)), steps=150)
    for nll in (found.train, found.held_out):
        assert nll.shape == (1,)
        assert -0.1 < float(nll) - ENTROPY < (0.6 if model == "vae" else 0.1)


def test_each_training_state_is_counted_once_and_no_other():
    given, density = states(1000), make("histogram", skills=3)
    onehot = torch.eye(3)[torch.arange(1000) % 3].unsqueeze(0)
    fit_to(density, given, onehot, Generators((1,)), held_out=0.3)
    assert int(density.counts.sum()) == 700
    assert int(density.totals.sum()) == 700
    assert (density.totals > 180).all()


def test_states_kept_back_show_what_was_learnt_by_heart():
    """100,000 cells for 100 states: each state seen is likely, each state kept back is not."""
    given = states(100)
    density = make("histogram", bins=[100_000], pseudo_count=1e-6)
    found = fit_to(density, given, no_skill(given), Generators((1,)))
    assert found.train + 5 < found.held_out


@pytest.mark.parametrize("model", ["histogram", "gaussian_mixture"])
def test_runs_together_are_the_runs_alone(model):
    seeds, given = (4, 5), states(400, runs=2)
    streams = Generators(seeds)
    together = fit_to(make(model, seeds), given, no_skill(given), streams, steps=5)
    for run, seed in enumerate(seeds):
        own = given[run, None]
        alone = fit_to(make(model, (seed,)), own, no_skill(own), Generators((seed,)), steps=5)
        assert float(together.train[run]) == pytest.approx(float(alone.train), abs=1e-4)
        assert float(together.held_out[run]) == pytest.approx(float(alone.held_out), abs=1e-4)


def test_the_likelihood_of_many_states_is_that_of_their_parts():
    density, given = make("gaussian_mixture"), states(9000)
    whole = density.log_prob(given, no_skill(given), Generators((1,))).mean(1)
    found = negative_log_likelihood(density, given, no_skill(given), Generators((1,)))
    torch.testing.assert_close(found, -whole)


def test_states_that_are_not_finite_are_refused():
    given = states(100)
    given[0, 7] = math.nan
    with pytest.raises(ValueError, match="1 numbers that are not finite"):
        fit_to(make("histogram"), given, no_skill(given), Generators((1,)))


@pytest.mark.parametrize(("count", "held_out"), [(1, 0.5), (10, 0.0), (10, 1.0)])
def test_a_split_that_leaves_one_side_empty_is_refused(count, held_out):
    given = states(count)
    with pytest.raises(ValueError, match="held out"):
        fit_to(make("histogram"), given, no_skill(given), Generators((1,)), held_out=held_out)
