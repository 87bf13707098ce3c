import numpy as np
import torch

from smm_core.evaluate import visit
from smm_core.history import PolicyHistory
from smm_core.learner import Learner, LearnerConfig
from smm_core.sac import SACConfig
from smm_core.state_space import StateConfig
from smm_core.transitions import Layout

CONFIG = LearnerConfig(
    replay_capacity=10,
    sac=SACConfig(hidden=(8,)),
    state=StateConfig(linear=(2,), circular=(0, 1)),
)


def test_states_are_those_reached_in_each_environment():
    learner = Learner(Layout(3, 1), CONFIG, [0])
    states = visit(learner, "Pendulum-v1", PolicyHistory(CONFIG.history), [1, 2], 30)
    assert states.shape == (2, 30, 2)
    assert (np.abs(states[:, :, 0]) <= 8).all()  # the pendulum's velocity limit, rad/s
    assert (np.abs(states[:, :, 1]) <= np.pi + 1e-6).all()
    assert not np.array_equal(states[0], states[1])


def test_the_policies_of_the_history_are_played():
    learner = Learner(Layout(3, 1), CONFIG, [0])
    with torch.no_grad():  # always the largest torque, one way
        for name, weights in learner.sac.actor.named_parameters():
            weights.zero_()
            if name.endswith("2.bias"):
                weights[..., 0] = 5.0
                weights[..., 1] = -5.0
    learner.snapshot()
    driven = visit(learner, "Pendulum-v1", learner.history.averaged(), [1], 200)
    blind = visit(learner, "Pendulum-v1", PolicyHistory(CONFIG.history), [1], 200)
    assert not np.array_equal(driven, blind)
    again = visit(learner, "Pendulum-v1", learner.history.averaged(), [1], 200)
    np.testing.assert_array_equal(driven, again)
