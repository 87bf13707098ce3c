"""State Marginal Matching as an objective: what is fitted is what states are paid by."""

import pytest
import torch

from smm_core.densities.density import DensityConfig
from smm_core.generators import Generators
from smm_core.objectives.discriminator import DiscriminatorConfig
from smm_core.objectives.reward import RewardConfig
from smm_core.objectives.smm import StateMarginalMatching
from smm_core.replay import Batch
from smm_core.skill_prior import SkillPrior
from smm_core.state_space import StateConfig, StateSpace
from smm_core.transitions import Layout

SKILLS = 3


@pytest.fixture
def objective():
    layout, space = Layout(2, 1, num_skills=SKILLS), StateSpace(StateConfig(circular=(0, 1)), 2)
    prior, models = SkillPrior(SKILLS), (DensityConfig(), DiscriminatorConfig(hidden=(8,)))
    return StateMarginalMatching(Generators((0, 1)), layout, space, prior, RewardConfig(), *models)


@pytest.fixture
def drawn():
    """Return a batch of states reached, with their skills, one-hot too."""
    draw = Generators((5, 6))
    state, skill, blank = draw.normal(20, 1), draw.integers(SKILLS, 20), torch.zeros(2, 20)
    batch = Batch(state, blank.unsqueeze(-1), state, blank, skill, blank)
    return batch, state, torch.nn.functional.one_hot(skill, SKILLS).float()


def test_states_are_paid_by_the_models_that_the_step_began_with(objective, drawn):
    batch, state, onehot = drawn
    log_density = objective.density.log_prob(state, onehot, Generators((8, 9)))
    log_posterior = objective.discriminator.log_prob(state, batch.skill)
    objective.fit(batch, state, onehot, Generators((8, 9)))
    terms = objective.terms(batch, state, onehot, torch.full((2, 20), 0.5), Generators((8, 9)))
    torch.testing.assert_close(terms["density"], -log_density)
    torch.testing.assert_close(terms["posterior"], log_posterior)
    torch.testing.assert_close(terms["target"], torch.full((2, 20), 0.5))


def test_other_states_are_paid_by_the_models_as_they_are(objective, drawn):
    batch, state, onehot = drawn
    objective.fit(batch, state, onehot, Generators((8, 9)))
    others = state + 1.0
    log_density = objective.density.log_prob(others, onehot, Generators((8, 9)))
    log_posterior = objective.discriminator.log_prob(others, batch.skill)
    terms = objective.terms(batch, others, onehot, torch.zeros(2, 20), Generators((8, 9)))
    torch.testing.assert_close(terms["density"], -log_density)
    torch.testing.assert_close(terms["posterior"], log_posterior)
