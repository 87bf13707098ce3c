"""The histogram holds the exact counts of all states, whatever its grid went through."""

import math

import numpy as np
import pytest
import torch

from smm_core.config import ConfigError
from smm_core.densities.histogram import MAX_CELLS, Histogram, HistogramConfig
from smm_core.generators import Generators
from smm_core.state_space import StateConfig, StateSpace

LINE = StateSpace(StateConfig(linear=(0,)), obs_size=1)
PLANE = StateSpace(StateConfig(linear=(0, 1)), obs_size=2)
CIRCLE = StateSpace(StateConfig(circular=(0, 1)), obs_size=2)


def histogram(space=LINE, runs=1, skills=0, **settings):
    return Histogram(Generators(range(runs)), space, skills, HistogramConfig(**settings))


def no_skill(states):
    return torch.zeros(*states.shape[:2], 0)


def observe(density, states):
    density.observe(states, no_skill(states))
    return density


def probability(density, states):
    return density.log_prob(states, no_skill(states), Generators((0,))).exp()


def normal(count, seed=0, runs=1, size=1):
    return torch.randn(runs, count, size, generator=torch.Generator().manual_seed(seed))


def numpy_density(states, edges):
    """Return the density of every cell by numpy's own histogram."""
    return torch.tensor(np.histogramdd(states[0].numpy(), edges, density=True)[0])


def test_with_given_ends_the_density_is_numpys():
    states = normal(5000, size=2).clamp(-2.9, 2.9)
    density = histogram(PLANE, bins=(6, 12), low=(-3.0,), high=(3.0,), pseudo_count=1e-9)
    observe(density, states)
    edges = [np.linspace(-3, 3, 7), np.linspace(-3, 3, 13)]
    middles = torch.cartesian_prod(*(torch.tensor((e[1:] + e[:-1]) / 2) for e in edges))
    found = probability(density, middles.float().unsqueeze(0)).view(6, 12)
    torch.testing.assert_close(found.double(), numpy_density(states, edges), rtol=1e-4, atol=1e-6)


def test_angles_are_counted_on_the_whole_circle():
    angles = 2 * math.pi * torch.rand(1, 3000, 1, generator=torch.Generator().manual_seed(0))
    density = observe(histogram(CIRCLE, bins=(8,)), angles - math.pi)
    beyond = observe(histogram(CIRCLE, bins=(8,)), angles + math.pi)
    expected = np.histogram(angles - math.pi, np.linspace(-math.pi, math.pi, 9))[0]
    assert density.counts.flatten().tolist() == expected.tolist()
    # Whole turns change nothing but the last bit of an angle.
    assert (density.counts - beyond.counts).abs().max() <= 1
    ends = torch.tensor([[[-math.pi], [math.pi]]])
    assert int(observe(density, ends).totals) == 3002


def test_the_density_is_the_same_in_whatever_batches_states_came():
    states = normal(300, size=2)
    settings = {"bins": (8,), "low": (-1.0,), "high": (1.0,)}
    once = observe(histogram(PLANE, **settings), states)
    singly = histogram(PLANE, **settings)
    for state in states.split(1, 1):
        observe(singly, state)
    assert torch.equal(once.counts, singly.counts)
    assert once.counts[0, 0, 0].sum() > 0  # the open cells hold the states outside
    assert int(once.counts.sum()) == int(once.totals) == 300


def test_a_grown_grid_holds_the_counts_that_a_grid_made_so_would_hold():
    """States come one at a time from a range that widens in both directions."""
    states = normal(2000, size=2) * torch.linspace(0.01, 30, 2000).view(1, -1, 1)
    states[..., 1] -= 100
    density = histogram(PLANE, bins=(16, 32))
    for state in states.split(7, 1):
        observe(density, state)
    low, width = density.low[0].numpy(), density.width[0].numpy()
    edges = [np.linspace(low[i], low[i] + width[i], density.bins[i] + 1) for i in range(2)]
    expected = np.histogramdd(states[0].double().numpy(), edges)[0]
    assert expected.sum() == 2000
    inner = density.counts[0, 0, 1:-1, 1:-1]
    # A float32 state at the very edge of a cell may fall to either side.
    assert np.abs(inner.numpy() - expected).sum() <= 4
    spread = states.amax(1) - states.amin(1)
    assert (torch.tensor(width) <= 4 * spread[0]).all()


def test_each_run_grows_by_its_own_states():
    near, far = normal(500), 1e4 * normal(500, seed=1)
    together = histogram(runs=2)
    for states in torch.cat((near, far)).split(50, 1):
        observe(together, states)
    for run, own in enumerate((near, far)):
        alone = histogram()
        for states in own.split(50, 1):
            observe(alone, states)
        assert torch.equal(together.counts[run], alone.counts[0])
        assert torch.equal(together.width[run], alone.width[0])


@pytest.mark.parametrize("share_outside", [0.0, 0.4])
def test_the_density_over_the_whole_line_integrates_to_one(share_outside):
    inside, outside = normal(1000).clamp(-0.99, 0.99), 5.0 + normal(1000, seed=1).abs()
    count = int(1000 * share_outside)
    states = torch.cat((inside[:, count:], outside[:, :count]), 1)
    density = observe(histogram(low=(-1.0,), high=(1.0,)), states)
    # x = tan(t) takes the line to an interval; dx = (1 + x^2) dt
    angles = (torch.arange(400_000, dtype=torch.float64) + 0.5) / 400_000 * math.pi - math.pi / 2
    x = angles.tan()
    mass = probability(density, x.float().view(1, -1, 1))[0] * (1 + x.square()) * math.pi / 400_000
    assert float(mass.sum()) == pytest.approx(1.0, abs=2e-3)
    assert float(mass[x > 1].sum()) == pytest.approx(share_outside, abs=5e-3)


def test_draws_outside_the_grid_are_distributed_as_the_density_says():
    states = torch.cat((torch.zeros(1, 500, 1), torch.full((1, 500, 1), 9.0)), 1)
    density = observe(histogram(low=(-1.0,), high=(1.0,)), states)
    draws = density.sample(torch.zeros(1, 40_000, 0), Generators((1,)))[0, :, 0]
    outside = draws[draws > 1]
    assert len(outside) / 40_000 == pytest.approx(0.5, abs=0.01)
    # Within the distance d of the grid lies the share d / (width + d) of an open cell.
    for distance in (0.5, 2.0, 20.0):
        share = float((outside < 1 + distance).float().mean())
        assert share == pytest.approx(distance / (2 + distance), abs=0.015)


def test_before_any_state_all_cells_are_alike():
    found = probability(histogram(CIRCLE), torch.linspace(-3, 3, 7).view(1, -1, 1))
    torch.testing.assert_close(found, torch.full((1, 7), 1 / (2 * math.pi)))


def test_by_the_linear_rule_the_third_state_counts_as_three_times_itself():
    states = normal(40, runs=2)
    settings = {"bins": (8,), "low": (-1.0,), "high": (1.0,)}
    # What is taken as seen beforehand weighs as the newest state does, the fortieth.
    linear = histogram(runs=2, rule="linear", pseudo_count=0.5, **settings)
    for some in states.split([1, 15, 24], 1):
        observe(linear, some)
    repeated = states.repeat_interleave(torch.arange(1, 41), 1)
    plain = observe(histogram(runs=2, pseudo_count=20.0, **settings), repeated)
    assert torch.equal(linear.counts, plain.counts)
    torch.testing.assert_close(probability(linear, states), probability(plain, states))


def test_each_skill_has_counts_of_its_own():
    density = histogram(skills=3, low=(0.0,), high=(1.0,), bins=(4,))
    onehot = torch.eye(3)[[0, 0, 2]].unsqueeze(0)
    density.observe(torch.tensor([[[0.1], [0.9], [0.6]]]), onehot)
    assert density.counts[0].tolist() == [
        [0, 1, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0],
    ]
    draws = density.sample(torch.eye(3)[2].expand(1, 100, -1), Generators((1,)))
    assert ((draws > 0.5) & (draws < 0.75)).float().mean() > 0.4


def test_to_fit_counts_nothing():
    density = observe(histogram(), normal(100))
    before = {name: value.clone() for name, value in density.state_dict().items()}
    log_prob = density.fit(normal(50), no_skill(normal(50)), Generators((0,)))
    expected = density.log_prob(normal(50), no_skill(normal(50)), Generators((0,)))
    torch.testing.assert_close(log_prob, expected)
    assert all(torch.equal(before[name], value) for name, value in density.state_dict().items())


def test_too_many_cells_are_refused_before_memory_is_taken():
    space = StateSpace(StateConfig(), obs_size=12)
    with pytest.raises(ConfigError, match=f"expected at most {MAX_CELLS}"):
        histogram(space)
    with pytest.raises(ConfigError, match="5000 skills"):
        histogram(CIRCLE, skills=5000, bins=(3600,))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bins": (4, 4, 4)}, "for each of 2 coordinates"),
        ({"low": (0.0,)}, "high is"),
        ({"low": (0.0, 0.0), "high": (1.0, 0.0)}, "each low below its high"),
        ({"low": (0.0,), "high": (math.inf,)}, "finite"),
        ({"bins": (5,)}, "even number"),
    ],
)
def test_settings_that_do_not_fit_the_state_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        histogram(PLANE, **settings)


def test_an_odd_number_of_bins_is_fine_where_nothing_grows():
    assert histogram(LINE, bins=(5,), low=(0.0,), high=(1.0,)).counts.shape[-1] == 7
    assert histogram(CIRCLE, bins=(5,)).counts.shape[-1] == 5
