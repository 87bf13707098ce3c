"""Counts are exact, each run's its own, and both bonus forms are what their formulas say."""

import math
from collections import Counter

import numpy as np
import pytest
import torch

from smm_core.config import ConfigError
from smm_core.generators import Generators
from smm_core.objectives.count import Count, CountConfig
from smm_core.state_space import StateConfig, StateSpace
from smm_core.transitions import Layout

LINE = StateSpace(StateConfig(linear=(0,)), obs_size=4)
CIRCLE = StateSpace(StateConfig(circular=(2, 3)), obs_size=4)
MIXED = StateSpace(StateConfig(linear=(0, 1), circular=(2, 3)), obs_size=4)
LAYOUT = Layout(obs_size=4, action_size=1)


def counter(space=LINE, runs=1, target_weight=1.0, **settings):
    generators = Generators(range(runs))
    return Count(generators, LAYOUT, space, target_weight, CountConfig(**settings))


def observe(count, states):
    count.observe(states, torch.zeros(*states.shape[:2], 0))


def line(*values):
    return torch.tensor(values).view(1, -1, 1)


def mixed_states(runs, number, seed=0):
    """Draw states that often share a bin of width 0.2, on both sides of 0 and of the seam."""
    rng = np.random.default_rng(seed)
    linear = rng.normal(0, 0.3, (runs, number, 2))
    angles = rng.uniform(-math.pi, math.pi, (runs, number, 1))
    return torch.tensor(np.concatenate((linear, angles), -1), dtype=torch.float32)


def brute_force(states, width, arcs):
    """Count mixed states (N, 3) one by one in a dictionary."""
    states = states.double().numpy()
    cells = np.floor(states / (width, width, 2 * math.pi / arcs)).astype(int)
    cells[:, 2] %= arcs
    keys = [tuple(cell) for cell in cells]
    found = Counter(keys)
    return [found[key] for key in keys]


def test_counts_are_those_of_a_dictionary_in_every_run():
    count, states = counter(MIXED, runs=3, bin_width=(0.2,)), mixed_states(3, 3000)
    for part in states.split(500, dim=1):
        observe(count, part)
    expected = [brute_force(run, 0.2, arcs=31) for run in states]
    assert count.count(states).tolist() == expected
    assert max(expected[0]) > 10


def test_counts_stay_exact_while_the_table_grows():
    count, states = counter(MIXED, runs=2, bin_width=(0.01,)), mixed_states(2, 20_000)
    before = count.visits.keys.shape
    for part in states.split(4000, dim=1):
        observe(count, part)
    assert count.visits.keys.shape[1] > 8 * before[1]
    assert count.count(states).tolist() == [brute_force(run, 0.01, arcs=628) for run in states]


def test_states_count_the_same_one_by_one_and_all_at_once():
    together, apart, states = counter(MIXED), counter(MIXED), mixed_states(1, 200)
    observe(together, states)
    for state in states.split(1, dim=1):
        observe(apart, state)
    assert torch.equal(together.count(states), apart.count(states))
    assert together.total.tolist() == apart.total.tolist() == [[200]]


def test_a_run_counts_beside_others_as_alone():
    both, states = counter(MIXED, runs=2, form="log"), mixed_states(2, 1000)
    observe(both, states)
    for run in range(2):
        alone = counter(MIXED, form="log")
        observe(alone, states[run : run + 1])
        assert torch.equal(both.bonus(states)[run], alone.bonus(states[run : run + 1])[0])


def test_one_bin_lies_across_the_seam_of_the_circle():
    count = counter(CIRCLE, bin_width=(2.0,))  # three arcs; the second ends at -2 pi / 3
    observe(count, line(3.0, -3.0, math.pi, -math.pi, 2.2, -2.2))
    assert count.count(line(3.1, -3.1, 2.0, -2.0)).tolist() == [[6, 6, 0, 0]]


def test_whole_and_equal_bins_fill_the_circle():
    count = counter(CIRCLE, bin_width=(0.05,))
    angles = torch.linspace(-math.pi, math.pi, 126 * 100 + 1)[:-1] + 1e-4
    observe(count, angles.view(1, -1, 1))
    counts = count.count(angles.view(1, -1, 1))
    assert counts.min() >= 99
    assert counts.max() <= 101
    assert int((1 / counts).sum().round()) == 126


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("inverse_sqrt", [0.5, 1.0, 1.0]),
        # Five states, bins half a unit wide: densities 4 / (5 0.5) and 1 / (5 0.5).
        ("log", [-math.log(1.6), -math.log(0.4), -math.log(0.4)]),
    ],
)
def test_the_bonus_is_its_formula_and_a_new_bin_pays_as_entered_once(form, expected):
    count = counter(form=form, bin_width=(0.5,))
    observe(count, line(0.1, 0.2, 0.3, 0.4, -0.1))
    assert count.bonus(line(0.25, -0.4, 7.0))[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("form", ["inverse_sqrt", "log"])
def test_each_visit_lowers_the_bonus(form):
    count, paid = counter(form=form), []
    observe(count, line(*range(1, 50)))
    for _ in range(10):
        observe(count, line(0.01))
        paid.append(count.bonus(line(0.02)).item())
    assert all(later < earlier for earlier, later in zip(paid, paid[1:], strict=False))


def test_the_density_of_the_log_form_integrates_to_one():
    count = counter(MIXED, form="log", bin_width=(0.25, 0.5, 0.3))
    states = mixed_states(1, 2000)
    observe(count, states)
    arcs = 21
    axes = ((torch.arange(-12, 12) + 0.5) * 0.25, (torch.arange(-6, 6) + 0.5) * 0.5)
    arc = 2 * math.pi / arcs
    grid = torch.cartesian_prod(*axes, (torch.arange(arcs) + 0.5) * arc).unsqueeze(0)
    entered = count.count(grid) > 0
    density = torch.where(entered, (-count.bonus(grid)).exp(), 0.0)
    assert float(density.sum() * 0.25 * 0.5 * arc) == pytest.approx(1.0, abs=1e-4)
    assert not entered.all()


def test_only_the_named_coordinates_are_counted():
    count = counter(MIXED, coordinates=(1,), bin_width=(0.1,))
    observe(count, torch.tensor([[[5.0, 0.42, 1.0], [-5.0, 0.43, 2.0], [5.0, 0.53, 1.0]]]))
    assert count.count(torch.tensor([[[0.0, 0.41, 0.0]]])).tolist() == [[2]]


def test_a_far_state_has_a_bin_of_its_own():
    count = counter(bin_width=(1e-3,))
    observe(count, line(1e9, -1e9, 0.0, 0.0))
    assert count.count(line(1e9, -1e9, 0.0, 5.0)).tolist() == [[1, 1, 2, 0]]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"coordinates": (3,)}, r"count.coordinates is \(3,\), expected places below 3"),
        ({"bin_width": (0.1, 0.2)}, "2 widths, expected 1 or 3"),
        ({"form": "linear"}, "'linear', expected one of inverse_sqrt, log"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings, told):
    with pytest.raises(ConfigError, match=told):
        counter(MIXED, **settings)


def test_a_fresh_count_goes_on_from_a_saved_one_that_had_grown():
    count, states = counter(MIXED, runs=2, form="log"), mixed_states(2, 5000)
    observe(count, states)
    fresh = counter(MIXED, runs=2, form="log")
    fresh.load_state_dict(count.state_dict())
    for both in (count, fresh):
        observe(both, mixed_states(2, 300, seed=1))
    assert torch.equal(fresh.count(states), count.count(states))
    assert torch.equal(fresh.bonus(states), count.bonus(states))


def test_the_terms_are_the_weighted_target_and_the_weighted_bonus():
    count = counter(target_weight=2.0, coefficient=3.0)
    observe(count, line(0.0, 0.01, 0.02, 0.03))
    log_target = torch.tensor([[-0.5]])
    terms = count.terms(None, line(0.04), torch.zeros(1, 1, 0), log_target, Generators((0,)))
    assert {name: term.tolist() for name, term in terms.items()} == {
        "target": [[-1.0]],
        "bonus": [[1.5]],
    }
