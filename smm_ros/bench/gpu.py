"""Many runs learnt at once on a GPU, against as many on the processor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from smm_core.config import ConfigError
from smm_core.device import CPU, open_device
from smm_core.options import read_yaml
from smm_ros.bench.comparison import Comparison, Contestant, Line, Setting, SkippedError
from smm_ros.bench.synthetic import SyntheticLearner
from smm_ros.share import share_path

DEVICE = "cuda"
COUNTS, QUICK_COUNTS = (1, 16, 64, 256), (1, 64)
STEPS = {CPU.type: 400, DEVICE: 4000}
"""Steps of all runs together in a turn."""


@contextmanager
def _prepare(setting: Setting) -> Iterator[list[Contestant]]:
    try:
        device = open_device(DEVICE)
    except ConfigError as error:
        raise SkippedError(f"there is no GPU: {error}") from error
    settings = read_yaml(share_path("config", "train_dclaw.yaml"))["learner"]
    contestants = []
    for runs in setting.pick(COUNTS, QUICK_COUNTS):
        group = f"{runs} runs at once"
        for name, place in (("processor", CPU), ("GPU", device)):
            line = Line(name, "run-steps/s", "processor", group)
            learner = SyntheticLearner(settings, runs=runs, device=place)
            steps = max(2, STEPS[place.type] // runs)
            contestants.append(Contestant((line,), partial(_turn, learner, runs, steps)))
    yield contestants


def _turn(learner: SyntheticLearner, runs: int, steps: int) -> Sequence[float]:
    return [runs / learner.milliseconds(steps) * 1e3]


COMPARISON = Comparison(
    "gpu",
    "many runs learnt at once on a GPU and on the processor, D'Claw without its physics, "
    "config/train_dclaw.yaml",
    _prepare,
    turns=5,
)
