"""Targets from demonstrations: like what was shown, the same each time, never without end."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from smm_core.config import ConfigError, from_mapping
from smm_core.state_space import StateConfig, StateSpace
from smm_core.targets.demonstrations import DemonstrationsConfig, DemonstrationTarget

SPACE = StateSpace(StateConfig(linear=(0,), circular=(1, 2)), obs_size=3)
PLACE, ANGLE = stats.norm(-2.0, 0.3), stats.vonmises(8.0, loc=3.0)
TRUE_NLL = float(PLACE.entropy() + ANGLE.entropy())
MODELS = {
    "flow": {"flow": {"hidden": [16], "layers": 1, "bins": 6, "learning_rate": 0.01}},
    "gaussian_mixture": {},
    "vae": {"vae": {"hidden": [16], "code_size": 2, "learning_rate": 0.02}},
}


@pytest.fixture
def file(tmp_path):
    rng = np.random.default_rng(0)
    shown = np.stack((PLACE.rvs(1500, random_state=rng), ANGLE.rvs(1500, random_state=rng)), 1)
    np.save(tmp_path / "shown.npy", shown.astype(np.float32))
    return str(tmp_path / "shown.npy")


def target(file, model="gaussian_mixture", **settings):
    density = {"model": model, **MODELS[model]}
    given = {"file": file, "density": density, "updates": 150, **settings}
    return DemonstrationTarget(SPACE, from_mapping(DemonstrationsConfig, given))


@pytest.mark.parametrize("model", MODELS)
def test_what_was_held_out_is_likely_and_anything_else_is_not(file, model):
    learnt = target(file, model)
    assert abs(learnt.held_out_nll - TRUE_NLL) < 0.5
    log_p = learnt.log_prob(torch.tensor([[-2.0, 3.0], [-2.0, 3.0 - 2 * math.pi], [-2.0, 0.0]]))
    assert log_p[0].item() == pytest.approx(log_p[1].item(), abs=1e-4) or model == "vae"
    assert log_p[2] < log_p[0] - 3.0


@pytest.mark.parametrize("model", MODELS)
def test_the_same_file_and_seed_give_the_same_target_for_each_run(file, model):
    one, two = (target(file, model, updates=5) for _ in range(2))
    state = torch.randn(3, 20, 2, generator=torch.Generator().manual_seed(0))
    together = one.log_prob(state)
    assert together.shape == (3, 20)
    assert together.dtype == torch.float32
    torch.testing.assert_close(two.log_prob(state), together, rtol=0, atol=0)
    alone = torch.cat([one.log_prob(run[None]) for run in state])
    torch.testing.assert_close(alone, together)


def test_only_an_exact_density_is_normalised(file):
    assert target(file).is_normalised
    assert not target(file, "vae", updates=1).is_normalised


def test_the_mass_is_one_with_the_background(file):
    learnt = target(file, background=0.2)
    x, angle = torch.linspace(-30, 30, 1201), torch.linspace(-math.pi, math.pi, 101)[:-1]
    density = learnt.log_prob(torch.cartesian_prod(x, angle)).double().exp()
    assert float(density.sum() * 0.05 * 2 * math.pi / 100) == pytest.approx(1.0, abs=0.01)


def test_far_from_all_that_was_shown_log_p_falls_gently(file):
    log_p = target(file).log_prob(torch.tensor([[0.0, 3.0], [20.0, 3.0], [200.0, 3.0]]))
    assert (log_p.diff() < 0).all()
    assert log_p[2] > -2000.0


def test_demonstrations_that_never_move_have_a_density(tmp_path):
    np.save(tmp_path / "still.npy", np.full((50, 2), 0.5, np.float32))
    log_p = target(str(tmp_path / "still.npy")).log_prob(torch.tensor([[0.5, 0.5], [0.6, 0.5]]))
    assert log_p.isfinite().all()
    assert log_p[0] > log_p[1]


def test_too_few_demonstrations_are_named(tmp_path):
    np.save(tmp_path / "few.npy", np.zeros((3, 2), np.float32))
    with pytest.raises(ConfigError, match=r"demonstrations\.file .*few\.npy: 0 of 3 states"):
        target(str(tmp_path / "few.npy"))
    with pytest.raises(ConfigError, match=r"target\.demonstrations\.file is not set"):
        target("")
