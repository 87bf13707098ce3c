"""Adam's step is torch's own; either goes on with what the other has begun."""

import pytest
import torch

from smm_core.adam import Adam


@pytest.fixture
def parameters():
    torch.manual_seed(0)
    return [torch.nn.Parameter(torch.randn(2, 3, 4)), torch.nn.Parameter(torch.randn(2, 1, 4))]


def losses(parameters, number):
    weight, bias = parameters
    return ((weight * (number + 1.0) + bias).sin() * weight).sum((1, 2))


def torch_step(optimizer, parameters, number):
    optimizer.zero_grad()
    losses(parameters, number).sum().backward()
    optimizer.step()


def test_every_step_is_torchs(parameters):
    theirs = [p.detach().clone().requires_grad_() for p in parameters]
    own, torchs = Adam(parameters, 0.01), torch.optim.Adam(theirs, lr=0.01, fused=True)
    for number in range(5):
        before = losses(parameters, number).detach()
        assert torch.equal(own.descend(losses(parameters, number)), before)
        torch_step(torchs, theirs, number)
        for mine, other in zip(parameters, theirs, strict=True):
            assert torch.equal(mine, other)


def test_a_step_goes_down_the_loss_of_each_run():
    place = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    told = Adam([place], 0.5).descend(place.square())
    assert told.tolist() == [9.0, 4.0]
    assert not told.requires_grad
    assert place.tolist() == pytest.approx([2.5, -1.5])


def test_a_parameter_that_is_not_to_be_learnt_stays(parameters):
    weight, bias = parameters
    before, moved = bias.requires_grad_(False).clone(), weight.detach().clone()
    own = Adam(parameters, 0.5)
    own.descend(losses(parameters, 0))
    assert torch.equal(bias, before)
    assert not torch.equal(weight, moved)
    assert len(own.state_dict()["param_groups"][0]["params"]) == 2


def test_what_torch_has_begun_is_gone_on_with_and_the_other_way(parameters):
    theirs = [p.detach().clone().requires_grad_() for p in parameters]
    torchs = torch.optim.Adam(theirs, lr=0.01, fused=True)
    own = Adam(parameters, 0.01)
    for number in range(3):
        own.descend(losses(parameters, number))
        torch_step(torchs, theirs, number)
    own_state, torch_state = own.state_dict(), torchs.state_dict()
    own, torchs = Adam(parameters, 0.5), torch.optim.Adam(theirs, lr=0.5, fused=True)
    own.load_state_dict(torch_state)
    torchs.load_state_dict(own_state)
    for number in range(3, 6):
        own.descend(losses(parameters, number))
        torch_step(torchs, theirs, number)
    for mine, other in zip(parameters, theirs, strict=True):
        assert torch.equal(mine, other)


def test_what_was_saved_before_the_first_step_is_a_beginning(parameters):
    own = Adam(parameters, 0.01)
    own.load_state_dict(Adam(parameters, 0.01).state_dict())
    own.descend(losses(parameters, 0))
    assert {float(state["step"]) for state in own.state.values()} == {1.0}
