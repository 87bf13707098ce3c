"""Grids: sums over balls and interpolation, angles closing on themselves."""

import math

import numpy as np
import pytest
import torch

from smm_core.targets.grid import Grid, GridInterpolation

CIRCLE = Grid((-math.pi,), (math.pi,), (12,), (True,))
MIXED = Grid((0.0, -math.pi), (2.0, math.pi), (9, 14), (False, True))
SOLID = Grid((0.0, 0.0, -math.pi), (1.0, 2.0, math.pi), (5, 4, 6), (False, False, True))


def by_hand(grid, masses, radius):
    points = grid.centres().reshape(-1, len(grid.shape))
    offset = np.abs(points[:, None] - points)
    offset = np.where(grid.circular, np.minimum(offset, grid.extent - offset), offset)
    near = np.linalg.norm(offset, axis=-1) <= radius + 1e-9
    return (near @ masses.ravel()).reshape(grid.shape)


@pytest.mark.parametrize("grid", [CIRCLE, MIXED, SOLID])
@pytest.mark.parametrize("radius", [0.0, 0.3, 1.1, 3.0, 4.0, 9.0])
def test_a_ball_sums_each_cell_within_it_once(grid, radius):
    masses = np.random.default_rng(0).random(grid.shape)
    found = grid.ball_sums(masses, radius)
    np.testing.assert_allclose(found, by_hand(grid, masses, radius), rtol=1e-12)


def test_a_ball_without_mass_sums_to_exactly_nothing():
    masses = np.zeros(MIXED.shape)
    masses[0, 0] = 1.0
    sums = MIXED.ball_sums(masses, 0.5)
    assert sums[0, 0] == 1.0
    assert np.all(sums[4:] == 0.0)


def test_interpolation_meets_the_centres_and_is_linear_between_them():
    values = MIXED.centres()[..., 0] * 3.0 - 1.0
    values[:, ::2] += 0.5
    at = GridInterpolation(MIXED, values)
    centres = torch.tensor(MIXED.centres(), dtype=torch.float32)
    np.testing.assert_allclose(at(centres).numpy(), values, atol=1e-5)
    middle = (centres[2, 3] + centres[3, 4]) / 2
    assert at(middle).item() == pytest.approx(values[2:4, 3:5].mean(), abs=1e-5)


def test_interpolation_is_constant_beyond_the_outermost_centres():
    at = GridInterpolation(MIXED, MIXED.centres()[..., 0])
    found = at(torch.tensor([[-50.0, 0.3], [0.05, 0.3], [50.0, -0.3]]))
    np.testing.assert_allclose(found.numpy(), [1 / 9, 1 / 9, 2 - 1 / 9], atol=1e-5)


def test_interpolation_goes_round_the_circle():
    values = np.arange(12.0)
    at = GridInterpolation(CIRCLE, values)
    angles = torch.tensor([[math.pi], [-math.pi], [3 * math.pi], [math.pi - 1e-4]])
    np.testing.assert_allclose(at(angles).numpy(), 5.5, atol=0.01)


def test_states_are_counted_round_the_circle_and_only_within_the_box():
    states = np.array([[0.1, 3.0], [0.1, 3.0 - 2 * math.pi], [2.1, 0.0], [1.99, -3.1]])
    counts = MIXED.counts(states)
    assert counts.sum() == 3
    assert counts[0, -1] == 2
    assert counts[-1, 0] == 1
