"""What bounds an update: the matrix products of this machine, and how many an update needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor

from smm_core.learner import LearnerConfig
from smm_core.networks import skill_onehot
from smm_core.options import read_yaml
from smm_core.sac import SACConfig
from smm_core.transitions import Layout
from smm_ros.bench.comparison import Comparison, Contestant, Line, Setting
from smm_ros.bench.player import seconds
from smm_ros.bench.synthetic import SyntheticLearner
from smm_ros.share import share_path

PRODUCTS, UPDATE = "matrix products", "one SAC update"
TORCH, ONEDNN = "torch", "oneDNN"
SHAPES = ((128, 256, 256), (256, 256, 256), (128, 21, 256), (1024, 1024, 1024))
"""(rows, in, out): the hidden layers at two batches, the first layer, and a large product."""
FLOOR, MEASURED = "its products alone", "measured"


@contextmanager
def _prepare(setting: Setting) -> Iterator[list[Contestant]]:
    settings = read_yaml(share_path("config", "train_dclaw.yaml"))["learner"]
    synthetic = SyntheticLearner({**settings, "method": "sac"})
    learner = synthetic.learner
    batch = learner.replay.sample(learner.config.batch_size, learner.generators)
    onehot = skill_onehot(batch.skill, learner.layout)
    flops = update_flops(learner.layout, learner.config)
    products = _products()
    lines = [Line(name, "GFLOP/s", group=PRODUCTS) for name in products]
    lines += [Line(name, "ms", FLOOR, UPDATE) for name in (FLOOR, MEASURED)]
    updates, gigaflops = setting.pick((100, 2.0), (20, 0.5))

    def update() -> None:
        for _ in range(updates):
            learner.sac.update(batch, batch.reward, onehot, learner.generators)

    def turn() -> Sequence[float]:
        rates = [_rate(product, size, gigaflops) for product, size in products.values()]
        best = max(rate for rate, name in zip(rates, products, strict=True) if _is_hidden(name))
        return [*rates, flops / best / 1e6, seconds(update) / updates * 1e3]

    yield [Contestant(tuple(lines), turn)]


def _is_hidden(name: str) -> bool:
    return name.endswith(_text(SHAPES[0]))


def _text(shape: tuple[int, int, int]) -> str:
    return " x ".join(map(str, shape))


def _products() -> dict[str, tuple[Callable[[], Tensor], int]]:
    """Return the products by name, and the floating-point operations of each."""
    found: dict[str, tuple[Callable[[], Tensor], int]] = {}
    fast = _onednn()
    for shape in SHAPES:
        rows, inputs, outputs = shape
        x, weight = torch.randn(rows, inputs), torch.randn(inputs, outputs)
        size = 2 * rows * inputs * outputs
        found[f"{TORCH}, {_text(shape)}"] = (lambda x=x, w=weight: x @ w, size)  # type: ignore[misc]
        if fast is not None:
            found[f"{ONEDNN}, {_text(shape)}"] = (lambda x=x, w=weight: fast(x, w), size)  # type: ignore[misc]
    return found


def _onednn() -> Callable[[Tensor, Tensor], Tensor] | None:
    """Return oneDNN's product, which torch has for compiled models; None where it has not."""
    if not torch.backends.mkldnn.is_available():
        return None
    try:
        product = torch.ops.mkldnn._linear_pointwise.default
    except AttributeError:
        return None
    return lambda x, weight: product(x, weight.t(), None, "none", [], "")


def _rate(product: Callable[[], Tensor], size: int, gigaflops: float) -> float:
    """Return how many GFLOP/s a product makes, over so much work."""
    count = max(3, int(gigaflops * 1e9 / size))

    def work() -> None:
        for _ in range(count):
            product()

    with torch.no_grad():
        work_before = max(1, count // 10)
        for _ in range(work_before):
            product()
        return count * size / seconds(work) / 1e9


def update_flops(layout: Layout, config: LearnerConfig) -> int:
    """Return the floating-point operations of the matrix products of one twin-Q SAC update.

    A pass of (B, in) through a layer (in, out) is 2 B in out; the gradient of its weights is as
    much again, and so is that of its input.
    """
    sac: SACConfig = config.sac
    inputs = layout.obs_size + layout.skill_size
    actor = [inputs, *sac.hidden, 2 * layout.action_size]
    critic = [inputs + layout.action_size, *sac.hidden, 1]
    q, pi = _pass(critic), _pass(actor)
    q_input, pi_input = 2 * critic[0] * critic[1], 2 * actor[0] * actor[1]
    target = pi + 2 * q
    critics = 2 * (3 * q - q_input)  # nobody asks for the gradient of what they are given
    improvement = 3 * pi - pi_input + 2 * (2 * q)  # through the critics, which do not learn
    return config.batch_size * (target + critics + improvement)


def _pass(sizes: Sequence[int]) -> int:
    return sum(2 * before * after for before, after in pairwise(sizes))


COMPARISON = Comparison(
    "bounds",
    "single-precision matrix products of this machine, and one SAC update at the D'Claw's sizes "
    "(config/train_dclaw.yaml) over the time of its products alone, at the best rate for 128 rows",
    _prepare,
)
