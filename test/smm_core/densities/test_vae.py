"""The VAE's figure is a log-density in nats: normalised, below the truth and close to it."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Normal, VonMises

from smm_core.densities.vae import VAE, VAEConfig
from smm_core.generators import Generators
from smm_core.state_space import StateConfig, StateSpace

CIRCLE = StateSpace(StateConfig(circular=(0, 1)), obs_size=2)
LINE = StateSpace(StateConfig(linear=(0,)), obs_size=1)
CENTRES, CONCENTRATIONS = (0.0, 2.9), (8.0, 20.0)
"""A mixture of two equal von Mises components, one of them across the seam."""
MEAN, DEVIATION = 30.0, 4.0


def vae(space, samples=8, skills=0, seed=0, **settings):
    config = VAEConfig(
        hidden=(32, 32), code_size=2, samples=samples, learning_rate=3e-3, **settings
    )
    return VAE(Generators((seed,)), space, skills, config)


def no_skill(states):
    return torch.zeros(*states.shape[:2], 0)


def train(density, draw, steps):
    generators = Generators((1,))
    for _ in range(steps):
        states = draw(128)
        density.fit(states, no_skill(states), generators)
    return density


def log_prob(density, states):
    return density.log_prob(states, no_skill(states), Generators((2,)))


def circle_draws(seed):
    """Return a function that draws (1, B, 1) states of the mixture."""
    rng = np.random.default_rng(seed)

    def draw(count):
        which = rng.integers(2, size=count)
        angles = rng.vonmises(np.take(CENTRES, which), np.take(CONCENTRATIONS, which))
        return torch.tensor(angles, dtype=torch.float32).view(1, -1, 1)

    return draw


def circle_truth(states):
    mixture = VonMises(torch.tensor(CENTRES), torch.tensor(CONCENTRATIONS))
    return mixture.log_prob(states).logsumexp(-1) - math.log(2)


def line_draws(seed):
    rng = np.random.default_rng(seed)
    return lambda count: torch.tensor(
        rng.normal(MEAN, DEVIATION, (1, count, 1)), dtype=torch.float32
    )


def line_truth(states):
    return Normal(MEAN, DEVIATION).log_prob(states).squeeze(-1)


@pytest.fixture(scope="module")
def circle():
    return train(vae(CIRCLE), circle_draws(0), 500)


@pytest.fixture(scope="module")
def line():
    return train(vae(LINE), line_draws(0), 500)


def integral(density, low, high):
    """Integrate the mean of the importance weights over the line from low to high."""
    edges = torch.linspace(low, high, 301)
    middles = ((edges[1:] + edges[:-1]) / 2).view(1, -1, 1)
    probability = log_prob(density, middles).exp()
    return float(probability.sum() * (high - low) / 300)


def with_samples(density, samples):
    """Return a copy whose bound is taken over so many codes."""
    copy = vae(density.space, samples=samples)
    copy.load_state_dict(density.state_dict())
    return copy


@pytest.mark.parametrize("steps", [0, 60])
def test_the_density_integrates_to_one_over_the_circle(steps):
    density = with_samples(train(vae(CIRCLE), circle_draws(0), steps), 1000)
    assert integral(density, -math.pi, math.pi) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(("steps", "low", "high"), [(0, -10.0, 10.0), (60, -30.0, 90.0)])
def test_the_density_integrates_to_one_over_the_line(steps, low, high):
    density = with_samples(train(vae(LINE), line_draws(0), steps), 1000)
    assert integral(density, low, high) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(
    ("space", "draws", "truth"),
    [(CIRCLE, circle_draws, circle_truth), (LINE, line_draws, line_truth)],
)
def test_before_training_the_figure_is_below_the_true_log_density(space, draws, truth):
    states = draws(3)(4000)
    assert log_prob(vae(space), states).mean() < truth(states).mean() - 0.1


@pytest.mark.parametrize(
    ("name", "draws", "truth"),
    [("circle", circle_draws, circle_truth), ("line", line_draws, line_truth)],
)
def test_after_training_the_figure_is_below_the_truth_and_close_to_it(request, name, draws, truth):
    states = draws(3)(4000)
    gap = truth(states).mean() - log_prob(request.getfixturevalue(name), states).mean()
    assert -0.02 < gap < 0.3


def test_more_samples_tighten_the_bound():
    density, states = train(vae(CIRCLE), circle_draws(0), 150), circle_draws(3)(4000)
    bounds = [float(log_prob(with_samples(density, k), states).mean()) for k in (1, 8, 64)]
    assert bounds[0] + 0.005 < bounds[1] < bounds[2] + 0.005


def test_to_fit_returns_the_bound_as_it_was(circle):
    copy, states = with_samples(circle, 1), circle_draws(3)(20_000)
    before = log_prob(copy, states).mean()
    found = copy.fit(states, no_skill(states), Generators((2,)))
    assert not found.requires_grad
    assert float(found.mean()) == pytest.approx(float(before), abs=0.05)


@pytest.mark.usefixtures("passes")
def test_a_step_of_fixed_widths_has_the_gradient_of_the_bound():
    seeds, space = (3, 8), StateSpace(StateConfig(linear=(0,), circular=(1, 2)), obs_size=3)
    config = VAEConfig(hidden=(32, 24), code_size=2, scale=0.3)
    mine, other = (VAE(Generators(seeds), space, 2, config) for _ in range(2))
    states = 2.0 * Generators(seeds).normal(64, 2)
    onehot = torch.nn.functional.one_hot(torch.arange(64) % 2).float().expand(2, -1, -1)
    found = mine.fit(states, onehot, Generators(seeds))
    other.scale.observe(states[..., :1])
    expected = other.optimizer.climb(other._bound(states, onehot, Generators(seeds)))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    for one, two in zip(mine.parameters(), other.parameters(), strict=True):
        gradients = [v.optimizer.state[p]["exp_avg"] for v, p in ((mine, one), (other, two))]
        torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-6)


def test_two_peaks_are_found_from_every_start():
    """Opposite peaks look uniform to a decoder that is told nothing; that must be no trap."""
    runs, draw, generators = 2, circle_draws(0), Generators((0, 1))
    density = VAE(Generators((0, 1)), CIRCLE, 0, VAEConfig(hidden=(64, 64)))
    for _ in range(300):
        states = draw(runs * 128).view(runs, 128, 1)
        density.fit(states, no_skill(states), generators)
    states = circle_draws(3)(1000)
    same = states.expand(runs, -1, -1)
    bound = density.log_prob(same, no_skill(same), generators).mean(1)
    assert (bound > circle_truth(states).mean() - 0.5).all()


def constant_decoder(space, bias, **settings):
    """Return a VAE whose code says nothing and whose decoder gives the same numbers always."""
    density = vae(space, **settings)
    for net in (density.encoder, density.decoder):
        for parameter in net.parameters():
            torch.nn.init.zeros_(parameter)
    density.decoder[-1].bias.data[:] = torch.tensor(bias)
    return density


@pytest.mark.parametrize("centre", [-3.0, 0.3, 3.1])
@pytest.mark.parametrize("log_width", [-2.0, 0.0, 1.5])
def test_an_angle_decodes_to_a_von_mises_density(centre, log_width):
    bias = (2 * math.cos(centre), 2 * math.sin(centre), log_width)
    density = constant_decoder(CIRCLE, bias, scale=0.0, min_scale=1e-3)
    states = torch.linspace(-math.pi, math.pi, 101).view(1, -1, 1)
    floor = math.log(1e-3)
    width = math.exp(floor + math.log1p(math.exp(log_width - floor)))
    expected = VonMises(torch.tensor(centre), torch.tensor(width**-2.0)).log_prob(states)
    torch.testing.assert_close(
        log_prob(density, states), expected.squeeze(-1), rtol=1e-3, atol=1e-3
    )


def test_a_linear_coordinate_decodes_to_a_gaussian():
    density = constant_decoder(LINE, (0.7, -0.5), scale=0.0, min_scale=1e-3)
    states = torch.linspace(-5, 5, 101).view(1, -1, 1)
    scale = 1e-3 + math.exp(-0.5)  # log(min_scale) + softplus(x - log(min_scale)), undone
    expected = Normal(0.7, scale).log_prob(states).squeeze(-1)
    torch.testing.assert_close(log_prob(density, states), expected, rtol=1e-3, atol=1e-3)


def test_no_width_is_narrower_than_the_floor():
    angle = constant_decoder(CIRCLE, (1.0, 0.0, -50.0), scale=0.0, min_scale=0.1)
    peak = float(log_prob(angle, torch.zeros(1, 1, 1)))
    assert peak == pytest.approx(float(VonMises(0.0, 0.1**-2).log_prob(torch.tensor(0.0))), 1e-3)
    value = constant_decoder(LINE, (0.0, -50.0), scale=0.0, min_scale=0.1)
    peak = float(log_prob(value, torch.zeros(1, 1, 1)))
    assert peak == pytest.approx(float(Normal(0.0, 0.1).log_prob(torch.tensor(0.0))), 1e-3)


def test_a_fixed_width_is_the_decoders_whatever_it_says():
    angle = constant_decoder(CIRCLE, (1.0, 0.0, 3.0), scale=0.3)
    states = torch.linspace(-math.pi, math.pi, 101).view(1, -1, 1)
    expected = VonMises(0.0, 0.3**-2).log_prob(states).squeeze(-1)
    torch.testing.assert_close(log_prob(angle, states), expected, rtol=1e-3, atol=1e-3)
    value = constant_decoder(LINE, (0.7, 3.0), scale=0.3)
    expected = Normal(0.7, 0.3).log_prob(states).squeeze(-1)
    torch.testing.assert_close(log_prob(value, states), expected, rtol=1e-3, atol=1e-3)


def test_there_is_no_seam_at_half_a_turn(circle):
    gap = 1e-4
    states = torch.tensor([math.pi - gap, gap - math.pi]).view(1, 2, 1).repeat_interleave(4000, 1)
    left, right = log_prob(circle, states).view(2, -1).mean(1)
    assert abs(left - right) < 0.05


def test_a_skill_has_a_density_of_its_own():
    density, generators = vae(CIRCLE, skills=2), Generators((1,))
    rng = np.random.default_rng(0)
    centres = np.array([0.0, 2.0])
    for _ in range(300):
        skill = torch.tensor(rng.integers(2, size=(1, 128)))
        angles = rng.vonmises(centres[skill.numpy()], 10.0)[..., None]
        onehot = torch.nn.functional.one_hot(skill, 2).float()
        density.fit(torch.tensor(angles, dtype=torch.float32), onehot, generators)
    states = torch.tensor([0.0, 0.0, 2.0, 2.0]).view(1, 4, 1)
    onehot = torch.eye(2).repeat(2, 1).unsqueeze(0)
    own = density.log_prob(states, onehot, generators)[0]
    assert own[0] - own[1] > 3
    assert own[3] - own[2] > 3


def test_other_units_shift_the_log_density_by_their_logarithm(line):
    draw = line_draws(0)
    finer = train(vae(LINE), lambda count: 1000 * draw(count), 500)
    states = line_draws(3)(4000)
    shift = log_prob(finer, 1000 * states) - log_prob(line, states)
    assert shift.mean() == pytest.approx(-math.log(1000), abs=0.02)


def test_the_scale_is_that_of_all_states_seen():
    density, draw = vae(LINE), line_draws(0)
    batches = [draw(64) + 10 * step for step in range(20)]
    for states in batches:
        density.fit(states, no_skill(states), Generators((1,)))
    seen = torch.cat(batches)
    assert float(density.scale.mean) == pytest.approx(float(seen.mean()), rel=1e-3)
    assert float(density.scale.deviation) == pytest.approx(float(seen.std()), rel=1e-2)


def test_runs_together_are_the_runs_alone():
    seeds = (4, 5)
    config = VAEConfig(hidden=(8,), code_size=2)
    states = torch.stack([circle_draws(seed)(32)[0] for seed in seeds])
    together = VAE(Generators(seeds), CIRCLE, 0, config)
    streams = Generators(seeds)
    for _ in range(5):
        together.fit(states, no_skill(states), streams)
    for run, seed in enumerate(seeds):
        alone, own = VAE(Generators((seed,)), CIRCLE, 0, config), states[run, None]
        stream = Generators((seed,))
        for _ in range(5):
            alone.fit(own, no_skill(own), stream)
        torch.testing.assert_close(
            together.log_prob(states, no_skill(states), Generators(seeds))[run],
            alone.log_prob(own, no_skill(own), Generators((seed,)))[0],
            rtol=1e-3,
            atol=1e-4,
        )


@pytest.mark.parametrize("space", [CIRCLE, LINE])
def test_what_a_constant_decoder_draws_is_what_it_decodes_to(space):
    """The log-density of its own draws is minus the entropy of the one Gaussian or circle."""
    angle = (2 * math.cos(3.0), 2 * math.sin(3.0), 0.0)
    density = constant_decoder(space, angle if space is CIRCLE else (0.7, 0.0), scale=0.4)
    states = density.sample(torch.zeros(1, 20_000, 0), Generators((3,)))
    entropy = -float(log_prob(density, states).mean())
    angular = stats.vonmises(0.4**-2).entropy()
    linear = stats.norm(scale=0.4).entropy()
    assert entropy == pytest.approx(angular if space is CIRCLE else linear, abs=0.03)


def test_draws_are_in_the_units_of_the_states(line):
    states = line.sample(torch.zeros(1, 20_000, 0), Generators((3,)))
    assert float(states.mean()) == pytest.approx(MEAN, abs=0.5)
    assert float(states.std()) == pytest.approx(DEVIATION, rel=0.1)


@pytest.mark.parametrize("space", [CIRCLE, LINE])
def test_states_that_never_change_keep_the_density_finite(space):
    density, states = vae(space), torch.full((1, 32, 1), 0.5)
    for _ in range(5):
        assert density.fit(states, no_skill(states), Generators((1,))).isfinite().all()
    assert log_prob(density, torch.linspace(-3, 3, 50).view(1, -1, 1)).isfinite().all()
