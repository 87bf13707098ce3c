"""Pseudo-counts are the true counts where the density is one; noise is never paid."""

import copy
import math

import pytest
import torch
from torch import nn

from smm_core.config import ConfigError
from smm_core.densities.density import DensityConfig
from smm_core.densities.vae import VAEConfig
from smm_core.generators import Generators
from smm_core.objectives import pseudocount
from smm_core.objectives.pseudocount import PseudoCount, PseudoCountConfig, pseudo_count_bonus
from smm_core.state_space import StateConfig, StateSpace
from smm_core.transitions import Layout

LINE = StateSpace(StateConfig(linear=(0,)), obs_size=4)
CIRCLE = StateSpace(StateConfig(circular=(2, 3)), obs_size=4)
LAYOUT = Layout(obs_size=4, action_size=1, num_skills=2)


class Tally(nn.Module):
    """The empirical distribution of five states 0.0 .. 4.0: each state of a batch counts once."""

    def __init__(self, counts):
        super().__init__()
        self.counts = torch.tensor(counts)
        self.optimizers = {"tally": torch.optim.SGD([nn.Parameter(torch.zeros(1))])}

    def observe(self, state, skill_onehot):
        """Do nothing."""

    def fit(self, state, skill_onehot, generators):
        assert skill_onehot.shape[-1] == 0
        before = self.log_prob(state, skill_onehot, generators)
        self.counts += torch.bincount(state.long().flatten(), minlength=5)
        return before

    def log_prob(self, state, skill_onehot, generators):
        return (self.counts.double() / self.counts.sum())[state.long().squeeze(-1)].log()


def vae_counter(space=CIRCLE, runs=(0,), target_weight=1.0, learning_rate=3e-3, **settings):
    density = DensityConfig(vae=VAEConfig(hidden=(32,), code_size=2, learning_rate=learning_rate))
    config = PseudoCountConfig(**settings)
    return PseudoCount(Generators(runs), LAYOUT, space, target_weight, config, density)


def onehot(state):
    return torch.zeros(*state.shape[:2], 2)


def pay(counter, state, generators, log_target=None):
    """Fit a batch and return its metrics and terms."""
    log_target = torch.zeros(state.shape[:2]) if log_target is None else log_target
    metrics = counter.fit(None, state, onehot(state), generators)
    return metrics, counter.terms(None, state, onehot(state), log_target, generators)


def draws(centre, count, seed=0, runs=1):
    return centre + 0.3 * Generators(range(seed, seed + runs)).normal(count, 1)


def test_the_bonus_is_its_formula():
    gain = torch.tensor([math.log(2.0), math.log(5.0)])
    bonus = pseudo_count_bonus(gain, torch.tensor([4.0]), 2.0, 1e-3)
    assert bonus.tolist() == pytest.approx([1.0, 2.0])


def test_no_gain_and_a_loss_pay_nothing():
    gain = torch.tensor([0.0, -3.0])
    assert pseudo_count_bonus(gain, torch.tensor([4.0]), 1.0, 0.01).tolist() == [0.0, 0.0]


def test_the_smallest_pseudo_count_bounds_the_bonus():
    gain = torch.tensor([1e4, math.inf])
    bonus = pseudo_count_bonus(gain, torch.tensor([0.0]), 1.0, 0.01)
    assert bonus.tolist() == pytest.approx([10.0, 10.0])


@pytest.mark.parametrize("visits", [1, 7, 60])
def test_the_pseudo_count_of_an_empirical_density_is_the_true_count(monkeypatch, visits):
    """Of n states m are this one: the formula gives m (n + 1) / (n - m), about m (Bellemare)."""
    counts = [visits, 2000, 1000, 1000, 1000]
    total = sum(counts)
    monkeypatch.setattr(pseudocount, "make_density", lambda *_: Tally(counts))
    counter = vae_counter(gain_scale=math.sqrt(total))
    counter.observe(torch.zeros(1, total, 1), torch.zeros(1, total, 2))
    _, terms = pay(counter, torch.zeros(1, 1, 1), Generators((0,)))
    found = terms["bonus"].item() ** -2
    assert found == pytest.approx(visits * (total + 1) / (total - visits), rel=1e-3)
    assert found == pytest.approx(visits, rel=0.05)


def test_a_density_that_learns_nothing_pays_nothing_however_noisy_its_bound():
    counter, state = vae_counter(learning_rate=0.0), draws(1.0, 64)
    metrics, terms = pay(counter, state, Generators((5,)))
    noisy = [
        counter.density.log_prob(state, onehot(state)[..., :0], Generators((s,))) for s in (0, 1)
    ]
    assert (noisy[0] - noisy[1]).abs().mean() > 1e-3
    assert terms["bonus"].abs().max() == 0.0
    assert metrics["prediction_gain"].tolist() == [0.0]


def test_rare_states_are_paid_more_than_common_ones():
    counter, generators = vae_counter(), Generators((5,))
    common = draws(0.0, 112 * 300).view(300, 1, 112, 1)
    for state in common:
        counter.observe(state, onehot(state))
        pay(counter, state, generators)
    state = torch.cat((common[0], draws(2.0, 16, seed=1)), 1)
    bonus = pay(counter, state, generators)[1]["bonus"][0]
    assert bonus[112:].mean() > 3 * bonus[:112].mean()
    assert bonus.min() >= 0.0


def test_the_gain_is_weighted_by_the_root_of_the_states_observed():
    gains = []
    for observed in (100, 10_000):
        counter, state = vae_counter(), draws(1.0, 64)
        counter.observe(torch.zeros(1, observed, 1), torch.zeros(1, observed, 2))
        bonus = pay(counter, state, Generators((5,)))[1]["bonus"]
        gains.append(bonus.square().log1p() * math.sqrt(observed))
    assert gains[0].max() > 0.1
    torch.testing.assert_close(gains[0], gains[1], rtol=1e-3, atol=1e-4)


def test_states_that_were_not_fitted_have_no_pseudo_count():
    counter, state = vae_counter(), draws(1.0, 4)
    pay(counter, state, Generators((5,)))
    with pytest.raises(ValueError, match="last fit"):
        counter.terms(None, state.clone(), onehot(state), torch.zeros(1, 4), Generators((5,)))


def test_a_density_that_takes_no_gradient_step_is_refused():
    density = DensityConfig(model="histogram")
    with pytest.raises(ConfigError, match="'histogram' takes none.*method = 'count'"):
        PseudoCount(Generators((0,)), LAYOUT, CIRCLE, 1.0, PseudoCountConfig(), density)


def test_a_run_is_paid_beside_others_as_alone():
    state, both = draws(1.0, 32, runs=2), vae_counter(LINE, runs=(3, 4))
    together = pay(both, state, Generators((5, 6)))[1]["bonus"]
    for run in range(2):
        alone = vae_counter(LINE, runs=(3 + run,))
        bonus = pay(alone, state[run : run + 1], Generators((5 + run,)))[1]["bonus"]
        torch.testing.assert_close(bonus[0], together[run], rtol=1e-3, atol=1e-4)


def test_the_terms_are_the_weighted_target_and_the_weighted_bonus():
    state, paid = draws(1.0, 16), []
    for coefficient in (1.0, 3.0):
        counter = vae_counter(target_weight=2.0, coefficient=coefficient)
        paid.append(pay(counter, state, Generators((5,)), torch.full((1, 16), -0.5))[1])
    assert paid[0]["target"].tolist() == [[-1.0] * 16]
    torch.testing.assert_close(paid[1]["bonus"], 3.0 * paid[0]["bonus"])


def test_a_fresh_counter_goes_on_from_a_saved_one():
    counter, state = vae_counter(), draws(1.0, 16)
    counter.observe(state, onehot(state))
    pay(counter, state, Generators((5,)))
    fresh = vae_counter(runs=(9,))
    fresh.load_state_dict(counter.state_dict())
    for name, optimizer in counter.optimizers.items():
        fresh.optimizers[name].load_state_dict(copy.deepcopy(optimizer.state_dict()))
    paid = [pay(c, state, Generators((6,)))[1]["bonus"] for c in (counter, fresh)]
    assert torch.equal(paid[0], paid[1])
    assert fresh.observed.tolist() == [[16.0]]
