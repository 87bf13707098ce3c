"""Why networks carry a run axis as batched products: against `torch.func.vmap`, same work.

Prints updates of one run per second for R runs at once: a 21-256-256-1 network, batch 128, Adam.

    .venv/bin/python benchmarks/run_axis.py --threads 1
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from smm_core.generators import Generators
from smm_core.networks import mlp

INPUTS, HIDDEN, BATCH, UPDATES = 21, 256, 128, 150


def updates_per_second(update: Callable[[], None]) -> float:
    """Time an update after a warm-up."""
    for _ in range(20):
        update()
    begin = time.perf_counter()
    for _ in range(UPDATES):
        update()
    return UPDATES / (time.perf_counter() - begin)


def step(optimizer: torch.optim.Optimizer, error: torch.Tensor) -> None:
    """Take one gradient step on the squared error, runs (first axis) summed."""
    optimizer.zero_grad()
    error.square().mean((1, 2)).sum().backward()
    optimizer.step()


def batched(runs: int) -> float:
    """Return updates per second of the networks as they are in smm_core."""
    x, y = torch.randn(runs, BATCH, INPUTS), torch.randn(runs, BATCH, 1)
    net = mlp(Generators(range(runs)), (INPUTS, HIDDEN, HIDDEN, 1))
    adam = torch.optim.Adam(net.parameters(), fused=True)
    return updates_per_second(lambda: step(adam, net(x) - y))


def lifted(runs: int) -> float:
    """Return updates per second of torch's own layers, lifted over runs by vmap."""
    x, y = torch.randn(runs, BATCH, INPUTS), torch.randn(runs, BATCH, 1)
    layers = (nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU())
    net = nn.Sequential(*layers, nn.Linear(HIDDEN, 1))
    weights, _ = stack_module_state([net] * runs)
    forward = vmap(lambda weights, x: functional_call(net, weights, (x,)))
    adam = torch.optim.Adam(weights.values(), fused=True)
    return updates_per_second(lambda: step(adam, forward(weights, x) - y))


def main() -> None:
    """Print both for 1, 2, 4 and 8 runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    for runs in (1, 2, 4, 8):
        own, vmapped = batched(runs) * runs, lifted(runs) * runs
        print(f"R = {runs}: batched {own:.0f}/s, vmap {vmapped:.0f}/s", flush=True)


if __name__ == "__main__":
    main()
