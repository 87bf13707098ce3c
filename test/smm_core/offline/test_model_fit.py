"""Fitting collected states: what is learnt, what is measured, and that it can be repeated."""

import math

import pytest
import torch

from smm_core.offline.model_fit import fit_models
from smm_core.offline.state_samples import FitError

MODELS = ["histogram", "vae", "flow", "gaussian_mixture"]
ENTROPY = 0.5 * math.log(2 * math.pi * math.e * 0.25)
"""Of an angle with a standard deviation of 0.5 rad, nats."""


@pytest.mark.parametrize("model", MODELS)
def test_the_states_held_out_are_foretold_nearly_as_well_as_they_can_be(make_samples, model):
    fit = fit_models(make_samples(4000, model=model, steps=300).copy())
    values = fit.figures.values
    near = 0.3 if model == "vae" else 0.1  # a bound is above
    assert abs(values["held_out_nll"] - ENTROPY) < near
    assert abs(values["train_nll"] - ENTROPY) < near
    assert values["train_states"] + values["held_out_states"] == 4000
    # Up to the shaping, -0.1, it is what the entropy lacks to that of the circle.
    lacks = math.log(2 * math.pi) - ENTROPY
    assert values["kl_to_target"] == pytest.approx(lacks + 0.1, abs=near)
    assert values["kl_rho_target"] == pytest.approx(lacks, abs=0.1)
    assert any("lower bound" in note for note in fit.figures.notes) == (model == "vae")


@pytest.mark.parametrize("model", MODELS)
def test_the_same_samples_give_the_same_parameters_bit_for_bit(make_samples, model):
    fits = [fit_models(make_samples(600, 2, model).copy()).models for _ in range(2)]
    for name in ("density", "discriminator"):
        first, second = (getattr(models, name).state_dict() for models in fits)
        assert all(torch.equal(first[key], second[key]) for key in first)
    other = fit_models(make_samples(600, 2, model, seed=1).copy()).models
    assert fits[0].log_prob(torch.eye(3)).tolist() != other.log_prob(torch.eye(3)).tolist()


def test_skills_that_go_to_different_places_are_told_apart(make_samples):
    settings = {"steps": 200, "discriminator": {"hidden": [32], "learning_rate": 0.01}}
    fit = fit_models(make_samples(3000, 3, **settings).copy())
    values = fit.figures.values
    assert values["discriminator_accuracy"] > 0.9
    assert values["discriminator_cross_entropy"] < 0.3 < values["skill_entropy"]
    assert values["skill_entropy"] == pytest.approx(math.log(3), abs=0.1)
    assert fit.models.skill_shares.sum() == pytest.approx(1.0)


def test_one_skill_needs_no_discriminator(make_samples):
    fit = fit_models(make_samples(300).copy())
    assert fit.models.discriminator is None
    assert "discriminator_accuracy" not in fit.figures.values


def test_without_a_target_there_are_no_divergences_and_it_says_so(make_samples):
    figures = fit_models(make_samples(300, target={"name": "reward"}).copy()).figures
    assert not {"kl_to_target", "kl_rho_target"} & figures.values.keys()
    assert "state_entropy" in figures.values
    assert any("no target is named" in note for note in figures.notes)


def test_more_bins_than_states_are_not_counted_in(make_samples):
    figures = fit_models(make_samples(300, bins=400).copy()).figures
    assert figures.bins is None
    assert "state_entropy" not in figures.values
    assert any("400 bins for 300 states" in note for note in figures.notes)


def test_the_target_box_is_counted_in_whole(make_samples):
    box = {"name": "uniform_box", "reward_weight": 0.0, "box": {"low": [-40.0], "high": [40.0]}}
    figures = fit_models(make_samples(2000, state={"linear": [0]}, target=box).copy()).figures
    assert figures.bins.edges[0][[0, -1]].tolist() == pytest.approx([-40.0, 40.0])
    assert figures.values["kl_target_rho"] > 1.0
    assert not any("off by a constant" in note for note in figures.notes)


def test_nothing_to_learn_from_or_to_test_by_is_an_error(make_samples):
    with pytest.raises(FitError, match="no transitions"):
        fit_models(make_samples())
    with pytest.raises(FitError, match="0 of 20 states would be held out"):
        fit_models(make_samples(20, held_out=0.01).copy())
    values = fit_models(make_samples(20, held_out=0.0).copy()).figures.values
    assert "held_out_nll" not in values
    assert values["train_states"] == 20


def test_the_steps_are_told(make_samples):
    told = []
    fit_models(make_samples(200, 2, steps=120).copy(), lambda *values: told.append(values))
    assert told == [(0, 120), (50, 120), (100, 120), (120, 120)]
