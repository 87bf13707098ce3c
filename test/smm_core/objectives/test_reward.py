"""The reward is equation 8: each sign is held on its own, and so is what the sum means."""

import math

import pytest
import torch

from smm_core.objectives.reward import RewardConfig, smm_reward

ONES = RewardConfig()
LOGS = (-1.3, -0.4, -0.9, -2.1)


def reward(*logs, weights=ONES):
    return smm_reward(*(torch.as_tensor(value) for value in logs), weights)


def change_of_reward(entry):
    """Return how the reward changes where one of the four log-probabilities grows by one."""
    more = [value + (index == entry) for index, value in enumerate(LOGS)]
    return float(sum(reward(*more).values()) - sum(reward(*LOGS).values()))


def test_a_state_that_is_wanted_more_is_paid_more():
    assert change_of_reward(0) == pytest.approx(1.0, abs=1e-5)


def test_a_state_that_is_visited_more_is_paid_less():
    assert change_of_reward(1) == pytest.approx(-1.0, abs=1e-5)


def test_a_state_that_tells_its_skill_apart_is_paid_more():
    assert change_of_reward(2) == pytest.approx(1.0, abs=1e-5)


def test_a_skill_that_is_played_more_is_paid_less():
    assert change_of_reward(3) == pytest.approx(-1.0, abs=1e-5)


def test_the_reward_of_each_skill_is_log_target_minus_log_of_the_mixtures_density():
    """Equations 7 and 8: with the true q_z and p(z|s) the reward is log p*(s) - log rho(s)."""
    generator = torch.Generator().manual_seed(0)
    skills, states = 3, 5
    p_star = torch.rand(states, generator=generator).softmax(0)
    p_z = torch.rand(skills, 1, generator=generator).softmax(0)
    q_z = torch.rand(skills, states, generator=generator).softmax(1)
    rho = (p_z * q_z).sum(0)
    posterior = p_z * q_z / rho
    terms = smm_reward(p_star.log(), q_z.log(), posterior.log(), p_z.log(), ONES)
    expected = (p_star.log() - rho.log()).expand(skills, states)
    torch.testing.assert_close(sum(terms.values()), expected)


def test_the_terms_carry_their_signs_and_weights():
    weights = RewardConfig(target=2.0, state_entropy=3.0, skill_entropy=5.0)
    terms = reward(*LOGS, weights=weights)
    expected = {"target": 2.0 * -1.3, "density": 3.0 * 0.4, "posterior": 5.0 * -0.9, "prior": 2.1}
    assert {name: pytest.approx(float(term)) for name, term in terms.items()} == expected


@pytest.mark.parametrize(
    ("weights", "kept"),
    [
        (RewardConfig(state_entropy=0.0, skill_entropy=0.0), "target"),
        (RewardConfig(target=0.0, skill_entropy=0.0), "density"),
        (RewardConfig(target=0.0, state_entropy=0.0), "posterior"),
    ],
)
def test_a_weight_of_zero_takes_its_term_out(weights, kept):
    terms = reward(*LOGS[:3], math.log(1.0), weights=weights)
    torch.testing.assert_close(sum(terms.values()), terms[kept])
