"""p(z): uniform in training, re-estimated from successes at test time."""

import numpy as np
import pytest
import torch

from smm_core.skill_prior import SkillPrior


def test_it_begins_uniform():
    prior = SkillPrior(4, pseudo_rollouts=3.0)
    assert prior.probabilities.tolist() == [0.25] * 4
    assert prior.log_prob(torch.tensor([[0, 3]])).exp().tolist() == [[0.25, 0.25]]


def test_the_estimate_by_hand():
    prior = SkillPrior(3, pseudo_rollouts=1.0)
    for skill, success in ((0, True), (0, False), (1, False)):
        prior.record(skill, success)
    estimates = np.array([2 / 3, 1 / 2, 1 / 1])
    assert prior.probabilities.numpy() == pytest.approx(estimates / estimates.sum())


@pytest.mark.parametrize("pseudo_rollouts", [0.5, 1.0, 4.0])
def test_it_concentrates_on_the_skill_that_succeeds_and_stays_a_distribution(pseudo_rollouts):
    prior, rng = SkillPrior(4, pseudo_rollouts), np.random.default_rng(0)
    chance = [0.05, 0.0, 0.9, 0.1]
    for _ in range(1000):
        skill = prior.draw(rng.random())
        prior.record(skill, rng.random() < chance[skill])
        assert prior.probabilities.sum() == pytest.approx(1, abs=1e-6)
        assert (prior.probabilities > 0).all()
    assert prior.probabilities[2] > 0.75


def test_more_pseudo_rollouts_forget_a_failing_skill_more_slowly():
    kept = []
    for pseudo_rollouts in (1.0, 4.0):
        prior = SkillPrior(2, pseudo_rollouts)
        for _ in range(3):
            prior.record(0, False)
        kept.append(float(prior.probabilities[0] / prior.probabilities[1]))
    assert kept == pytest.approx([1 / 4, 4 / 7])


def test_who_holds_the_probabilities_sees_them_change():
    prior = SkillPrior(2)
    held = prior.probabilities
    prior.record(1, True)
    prior.record(0, False)
    assert held[1] > 0.5
    assert held is prior.probabilities


def test_draws_follow_the_probabilities_to_the_ends():
    prior = SkillPrior(3)
    prior.probabilities.copy_(torch.tensor([0.0, 0.25, 0.75]))
    units = (0.0, 0.2499, 0.25, 0.9999999999)
    assert [prior.draw(unit) for unit in units] == [1, 1, 2, 2]
    drawn = [prior.draw(u) for u in np.linspace(0, 1, 1000, endpoint=False).tolist()]
    assert np.bincount(drawn).tolist() == [0, 250, 750]


def test_no_pseudo_rollouts_are_refused():
    with pytest.raises(ValueError, match="pseudo_rollouts is 0"):
        SkillPrior(2, 0)
