"""R networks passed together are R separate networks, forwards and backwards."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from smm_core.generators import Generators
from smm_core.mlp import MLP, Linear

pytestmark = pytest.mark.usefixtures("passes")

SEEDS = (5, 2, 9)
SIZES = [(4, 8, 8, 2), (21, 40, 36, 1), (3, 64, 24), (12, 5)]


def inputs(*shape):
    return Generators((1,)).normal(*shape)[0]


def layer_by_layer(net, x):
    """Return the output of the same weights in torch's own operations."""
    for layer in net:
        x = torch.baddbmm(layer.bias, x, layer.weight) if isinstance(layer, Linear) else layer(x)
    return x


def gradients(net, x, output):
    """Return the gradients of a sum that weighs each output differently."""
    weights = torch.linspace(-1.0, 2.0, output.numel()).view(output.shape)
    return torch.autograd.grad((output * weights).sum(), [x, *net.parameters()])


def test_a_batched_linear_is_torchs_linear_for_each_run():
    layer, x = Linear(Generators(SEEDS), 4, 3), inputs(3, 6, 4)
    y = layer(x)
    for run in range(3):
        expected = F.linear(x[run], layer.weight[run].T, layer.bias[run, 0])
        torch.testing.assert_close(y[run], expected)


def test_a_linear_layer_starts_within_torchs_bounds_and_fills_them():
    layer = Linear(Generators(SEEDS), 100, 200)
    for values in (layer.weight, layer.bias):
        assert 0.09 < values.abs().max() <= 0.1
        assert abs(values.mean()) < 0.01


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("sizes", SIZES)
def test_output_and_gradients_are_those_of_the_layers_one_by_one(sizes, activation, copies):
    seeds = [seed for seed in SEEDS for _ in range(copies)]
    net, x = MLP(Generators(range(len(seeds))), sizes, activation), inputs(3, 50, sizes[0])
    x.requires_grad_()
    expected = layer_by_layer(net, x.repeat_interleave(copies, 0))
    found = net(x, copies)
    torch.testing.assert_close(found, expected)
    for mine, other in zip(gradients(net, x, found), gradients(net, x, expected), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layer_norm", [False, True])
def test_the_gradients_of_a_pass_are_those_of_autograd(layer_norm):
    net, x = MLP(Generators(SEEDS), (4, 40, 24, 5), layer_norm=layer_norm), inputs(3, 50, 4)
    grad, seen = inputs(3, 50, 5), x.clone().requires_grad_()
    output = net(seen)
    expected = torch.autograd.grad(output, (seen, *net.weights), grad)
    for of_x in (False, True):
        found, gradients = net.passed(x, of_x)
        torch.testing.assert_close(found, output.detach())
        assert not found.requires_grad
        close = {"rtol": 1e-4, "atol": 1e-5}
        torch.testing.assert_close(tuple(gradients(grad)), expected[not of_x :], **close)


def test_there_is_an_activation_between_the_layers_and_none_at_the_end():
    net, x = MLP(Generators(SEEDS), (4, 40, 2)), inputs(3, 50, 4)
    assert (net(x) < 0).any()
    for layer in net:
        if isinstance(layer, Linear):
            layer.bias.data.fill_(-1e6)
    assert (net(x) == -1e6).all()


def test_frozen_weights_pass_the_gradient_on_to_the_input():
    net, x = MLP(Generators(SEEDS), (4, 40, 2)), inputs(3, 50, 4).requires_grad_()
    (expected,) = torch.autograd.grad(net(x).square().sum(), x)
    net.requires_grad_(False)
    (found,) = torch.autograd.grad(net(x).square().sum(), x)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("copies", [1, 2])
def test_normalised_layers_have_mean_0_and_variance_1_before_the_activation(copies):
    net = MLP(Generators(range(3 * copies)), (4, 40, 24, 2), layer_norm=True)
    x = inputs(3, 50, 4).requires_grad_()
    y = x.repeat_interleave(copies, 0)
    for layer in list(net)[:-1]:
        if isinstance(layer, Linear):
            y = torch.baddbmm(layer.bias, y, layer.weight)
            spread = (y.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
            y = torch.relu((y - y.mean(-1, keepdim=True)) / spread)
    expected, found = torch.baddbmm(net[-1].bias, y, net[-1].weight), net(x, copies)
    torch.testing.assert_close(found, expected)
    for mine, other in zip(gradients(net, x, found), gradients(net, x, expected), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def test_normalised_layers_bound_the_output_however_far_the_input_is():
    net = MLP(Generators(SEEDS), (4, 40, 40, 1), layer_norm=True)
    last = net[-1]
    # A normalised row of 40 is at most the square root of 40 long.
    bound = last.weight.norm(dim=1) * math.sqrt(40) + last.bias.abs().squeeze(1)
    assert (net(1e6 * inputs(3, 50, 4)).abs().amax((1, 2)) <= bound.squeeze(-1)).all()


def test_normalised_layers_have_the_weights_of_the_others():
    plain, normed = (MLP(Generators(SEEDS), (4, 8, 2), layer_norm=on) for on in (False, True))
    for one, other in zip(plain.parameters(), normed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_double_precision_stays_double():
    net, x = MLP(Generators(SEEDS), (4, 40, 2)).double(), inputs(3, 50, 4).double()
    assert net(x).dtype == torch.float64
    torch.testing.assert_close(net(x), layer_by_layer(net, x))


def test_names_of_weights_are_those_of_the_layers():
    """Checkpoints and policies on the wire have them."""
    names = [name for name, _ in MLP(Generators(SEEDS), (4, 8, 2)).named_parameters()]
    assert names == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert isinstance(MLP(Generators(SEEDS), (4, 8, 2))[1], nn.ReLU)
