"""Multilayer perceptrons with a run axis in front: R independent networks side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from smm_core import native
from smm_core.generators import Generators

_ops = torch.ops.smm_core

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}


class Linear(nn.Module):
    """R affine maps side by side, (R, B, in) -> (R, B, out)."""

    def __init__(self, generators: Generators, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)
        sizes = ((inputs, outputs), (1, outputs))
        # The same numbers on every device: drawn where they always are, and brought over.
        drawn = [generators.uniform(*size, low=-bound, high=bound) for size in sizes]
        weight, bias = (values.to(torch.get_default_device()) for values in drawn)
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (R, B, in) to (R, B, out)."""
        return torch.baddbmm(self.bias, x, self.weight)


class MLP(nn.Sequential):
    """Linear layers of the given sizes with one of ACTIVATIONS between them.

    With `layer_norm` what enters an activation has mean 0 and variance 1 over its width (Ba et
    al., Layer Normalization, 2016). It has no weights of its own: a ReLU passes a factor on to
    the next layer, which has one.

    On a CPU native/mlp.cpp passes them where it was built, each network by itself, with AVX-512 by
    oneDNN's products: MKL, which torch takes for float32 elsewhere, leaves half of the speed of
    processors that are not Intel's (docs/performance.md).
    """

    def __init__(
        self,
        generators: Generators,
        sizes: Sequence[int],
        activation: str = "relu",
        layer_norm: bool = False,
    ) -> None:
        layers: list[nn.Module] = [Linear(generators, *sizes[:2])]
        for inputs, outputs in pairwise(sizes[1:]):
            if layer_norm:
                layers.append(nn.LayerNorm(inputs, elementwise_affine=False))
            layers += [ACTIVATIONS[activation](), Linear(generators, inputs, outputs)]
        super().__init__(*layers)
        self.activation, self.layer_norm = activation, layer_norm
        # Not asked for anew in each pass: that takes as long as a small product.
        self.weights = tuple(self.parameters())
        """Weight (R, in, out) and bias (R, 1, out) of each layer in turn."""

    def forward(self, x: Tensor, copies: int = 1) -> Tensor:
        """Map (R / copies, B, in) to (R, B, out); `copies` networks in a row see one input."""
        if native.serves(x):
            how = (copies, self.activation, self.layer_norm)
            output: Tensor = _Pass.apply(x, how, *self.weights)
            return output
        output = super().forward(x.repeat_interleave(copies, 0) if copies > 1 else x)
        return output

    def passed(
        self, x: Tensor, of_x: bool = False
    ) -> tuple[Tensor, Callable[[Tensor], Sequence[Tensor]]]:
        """Return the output (R, B, out), detached, and a function of the gradient of a loss there.

        What it returns are the gradients of `weights`, and before them that of x where `of_x`: for
        a loss whose own gradient is known in closed form, and without what autograd does besides.
        """
        if not native.serves(x):
            return self._passed_by_autograd(x, of_x)
        how = (1, self.activation, self.layer_norm)
        with torch.no_grad():
            found = _ops.mlp_forward.default(x, self.weights, *how)

        def gradients(grad: Tensor) -> Sequence[Tensor]:
            with torch.no_grad():
                back = (x, self.weights, *how, found, of_x, True)
                taken: list[Tensor] = _ops.mlp_backward.default(grad, *back)
                return taken

        return found[0], gradients

    def _passed_by_autograd(
        self, x: Tensor, of_x: bool
    ) -> tuple[Tensor, Callable[[Tensor], Sequence[Tensor]]]:
        with torch.enable_grad():
            x = x.detach().requires_grad_(of_x)
            output = self(x)
        by = (x, *self.weights) if of_x else self.weights
        return output.detach(), partial(torch.autograd.grad, output, by)


class _Pass(torch.autograd.Function):
    """All networks passed forwards and backwards by native/mlp.cpp: for autograd one step."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, how: tuple[int, str, bool], *weights: Tensor) -> Tensor:
        found = _ops.mlp_forward.default(x, weights, *how)
        ctx.save_for_backward(x, *weights)
        ctx.found, ctx.how = found, how
        output: Tensor = found[0]
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, *weights = ctx.saved_tensors
        wanted = wants_x, _ = ctx.needs_input_grad[0], ctx.needs_input_grad[2]
        grads = _ops.mlp_backward.default(grad, x, weights, *ctx.how, ctx.found, *wanted)
        grad_x = grads.pop(0) if wants_x else None
        return grad_x, None, *(grads or [None] * len(weights))
