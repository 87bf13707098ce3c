"""Draws and log-densities of the von Mises distribution against scipy's."""

import math

import pytest
import torch
from scipy import stats

from smm_core.densities.von_mises import von_mises_log_prob, von_mises_sample
from smm_core.generators import Generators

CONCENTRATIONS = [1e-4, 0.3, 2.0, 50.0, 1e6]


def log_width(concentration):
    return torch.tensor(-0.5 * math.log(concentration))


@pytest.mark.parametrize("concentration", CONCENTRATIONS)
def test_the_log_density_is_scipys(concentration):
    angles = torch.linspace(-math.pi, math.pi, 101)
    found = von_mises_log_prob(angles, torch.tensor(2.5), log_width(concentration))
    expected = torch.tensor(stats.vonmises(concentration, loc=2.5).logpdf(angles.double()))
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("concentration", CONCENTRATIONS)
@pytest.mark.parametrize("centre", [0.0, 3.1])
def test_draws_pass_a_kolmogorov_smirnov_test(concentration, centre):
    centres = torch.full((2, 10_000), centre)
    draws = von_mises_sample(centres, log_width(concentration), Generators((0, 1)))
    assert (draws.abs() <= math.pi + 1e-6).all()
    offset = torch.remainder(draws.double() - centre + math.pi, 2 * math.pi) - math.pi
    for run in offset:
        assert stats.kstest(run.numpy(), stats.vonmises(concentration).cdf).pvalue > 1e-3


def test_runs_together_draw_what_they_draw_alone():
    centres = torch.linspace(-3, 3, 10).view(2, 5, 1)
    together = von_mises_sample(centres, log_width(2.0), Generators((4, 5)))
    for run, seed in enumerate((4, 5)):
        alone = von_mises_sample(centres[run, None], log_width(2.0), Generators((seed,)))
        assert torch.equal(together[run], alone[0])
