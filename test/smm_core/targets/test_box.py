"""Uniform targets: exact masses, flat within, a finite slope back from outside."""

import math

import numpy as np
import pytest
import torch

from smm_core.config import ConfigError
from smm_core.state_space import StateConfig, StateSpace
from smm_core.targets.box import BoxConfig, BoxTarget, HalvesConfig

PLANE = StateSpace(StateConfig(linear=(0, 1)), obs_size=2)
MIXED = StateSpace(StateConfig(linear=(0,), circular=(1, 2)), obs_size=3)
ANGLE = StateSpace(StateConfig(circular=(0, 1)), obs_size=2)
LOW, HIGH = (-1.0, 2.0), (3.0, 2.5)


def mesh(*axes):
    """Return the midpoints of equal cells, (..., coordinates), and the volume of one."""
    points = [np.linspace(low, high, n + 1)[:-1] + (high - low) / 2 / n for low, high, n in axes]
    states = np.stack(np.meshgrid(*points, indexing="ij"), -1)
    volume = math.prod((high - low) / n for low, high, n in axes)
    return torch.tensor(states, dtype=torch.float32), volume


def mass(target, *axes):
    states, volume = mesh(*axes)
    return float(target.log_prob(states).double().exp().sum() * volume)


SOFT = {"drop": 1.0, "slope": 4.0}  # so that the mass outside counts


@pytest.mark.parametrize("halves", [None, HalvesConfig(threshold=0.5, weights=(3.0, 1.0))])
def test_the_mass_of_box_and_skirt_is_one(halves):
    target = BoxTarget(PLANE, BoxConfig(LOW, HIGH, **SOFT), halves)
    whole = mass(target, (-13, 15, 560), (0.5, 4.0, 560))
    assert whole == pytest.approx(1.0, abs=2e-3)
    assert mass(target, (-1, 3, 40), (2, 2.5, 40)) < 0.9 * whole


@pytest.mark.parametrize("coordinate", [0, 1])
def test_halves_have_the_masses_of_their_weights(coordinate):
    halves = HalvesConfig(coordinate=coordinate, threshold=0.5, weights=(1.0, 4.0))
    target = BoxTarget(MIXED, BoxConfig((-1.0,), (3.0,)), halves)
    axes = [(-1, 3, 400), (-math.pi, math.pi, 400)]
    axes[coordinate] = (axes[coordinate][0], 0.5, 400)
    assert mass(target, *axes) == pytest.approx(0.2, abs=1e-3)
    axes[coordinate] = (0.5, (3, math.pi)[coordinate], 400)
    assert mass(target, *axes) == pytest.approx(0.8, abs=1e-3)


def test_halves_of_equal_density_are_the_whole_box():
    whole = BoxTarget(PLANE, BoxConfig(LOW, HIGH))
    parted = BoxTarget(PLANE, BoxConfig(LOW, HIGH), HalvesConfig(threshold=0.0, weights=(1, 3)))
    states = mesh((-3, 5, 20), (1.5, 3.0, 20))[0]
    torch.testing.assert_close(parted.log_prob(states), whole.log_prob(states))


def test_a_box_of_angles_alone_is_the_uniform_circle():
    log_p = BoxTarget(ANGLE, BoxConfig()).log_prob(torch.tensor([[0.0], [3.1]]))
    torch.testing.assert_close(log_p, torch.full((2,), -math.log(2 * math.pi)))


def test_the_way_back_is_paid_however_far_and_along_every_coordinate():
    target = BoxTarget(PLANE, BoxConfig(LOW, HIGH, drop=5.0, slope=2.0))
    inside = target.log_prob(torch.tensor([1.0, 2.2]))
    far = torch.tensor([[7.0, 2.2], [7.0, 3.5], [-1.0 - 4e6, 2.2]])
    fall = inside - target.log_prob(far)
    torch.testing.assert_close(fall, torch.tensor([5 + 2 * 1.0, 5 + 2 * (1 + 2.0), 5 + 2e6]))
    along = torch.stack((torch.linspace(3.01, 100, 50), torch.full((50,), 2.2)), -1)
    assert (target.log_prob(along).diff() < 0).all()


def test_a_state_that_is_no_number_has_no_density():
    target = BoxTarget(PLANE, BoxConfig(LOW, HIGH))
    assert target.log_prob(torch.tensor([0.0, math.nan])).isnan()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (lambda: BoxConfig((0.0,), ()), "1 low and 0 high"),
        (lambda: BoxConfig((0.0,), (0.0,)), "from 0.0 to 0.0"),
        (lambda: BoxConfig((0.0,), (math.inf,)), "to inf, expected finite"),
        (lambda: HalvesConfig(weights=(1.0, 0.0)), "two positive numbers"),
        (lambda: HalvesConfig(weights=(1.0,)), "two positive numbers"),
        (lambda: BoxTarget(PLANE, BoxConfig((0.0,), (1.0,))), "2 linear coordinates"),
        (
            lambda: BoxTarget(PLANE, BoxConfig(LOW, HIGH), HalvesConfig(coordinate=2)),
            "coordinate is 2.*expected 0 to 1",
        ),
        (
            lambda: BoxTarget(PLANE, BoxConfig(LOW, HIGH), HalvesConfig(threshold=3.0)),
            "threshold is 3.0.*between -1.0 and 3.0",
        ),
    ],
)
def test_what_makes_no_box_is_named(settings, words):
    with pytest.raises(ConfigError, match=words):
        settings()
