"""The compiled operations say what the plain ones say."""

import copy

import pytest
import torch

from smm_core import native
from smm_core.generators import Generators
from smm_core.mlp import MLP
from smm_core.replay import Batch
from smm_core.sac import SAC, SACConfig
from smm_core.transitions import Layout


def drawn(layout, runs, size):
    draw = Generators(range(50, 50 + runs))
    skill = draw.integers(layout.num_skills, size)
    batch = Batch(
        obs=draw.normal(size, layout.obs_size),
        action=draw.uniform(size, layout.action_size, low=-1.0),
        next_obs=draw.normal(size, layout.obs_size),
        reward=draw.normal(size),
        skill=skill,
        terminated=(draw.uniform(size) < 0.3).float(),
    )
    return batch, torch.nn.functional.one_hot(skill, layout.num_skills).float()


def updates(agent, generators, batch, onehot):
    """Return the metrics of three updates, and all weights after them."""
    metrics = [agent.update(batch, batch.reward, onehot, generators) for _ in range(3)]
    return metrics, agent.state_dict()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("runs", "size", "settings"),
    [
        (1, 64, {}),
        (3, 64, {"hidden": (24, 40, 24), "policy_activation": "tanh"}),
        (2, 16, {"hidden": (6,), "discount": 0.9, "reward_scale": 3.0, "tau": 0.3}),
        (2, 64, {"layer_norm": True}),
        (1, 20, {"layer_norm": True, "hidden": (24, 40, 24)}),
        (2, 64, {"learn_temperature": False, "initial_temperature": 2.0}),
    ],
)
def test_an_update_is_that_of_the_plain_operations(monkeypatch, runs, size, settings, threads):
    assert native.serves(torch.zeros(1, 50, 1)), f"{native.NAME} was not built"
    layout, generators = Layout(7, 3, num_skills=2), Generators(range(runs))
    plain = SAC(generators, layout, SACConfig(**{"hidden": (32, 32)} | settings))
    compiled, stream = copy.deepcopy(plain), copy.deepcopy(generators)
    batch, onehot = drawn(layout, runs, size)
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found, weights = updates(compiled, stream, batch, onehot)
        monkeypatch.setattr(native, "_is_loaded", False)
        expected, expected_weights = updates(plain, generators, batch, onehot)
    finally:
        torch.set_num_threads(threads_before)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(weights, expected_weights, rtol=1e-3, atol=1e-5)


def test_a_run_alone_is_bit_for_bit_what_it_is_beside_others():
    seeds, sizes = (5, 2, 9), (21, 64, 64, 1)
    together, alone = MLP(Generators(seeds), sizes), MLP(Generators(seeds[1:2]), sizes)
    x = Generators(seeds).normal(50, 21).requires_grad_()
    one = x[1:2].detach().requires_grad_()
    many_out, one_out = together(x), alone(one)
    assert torch.equal(many_out[1], one_out[0])
    many = torch.autograd.grad(many_out.square().sum(), [x, *together.parameters()])
    single = torch.autograd.grad(one_out.square().sum(), [one, *alone.parameters()])
    for ours, theirs in zip(many, single, strict=True):
        assert torch.equal(ours[1], theirs[0])
