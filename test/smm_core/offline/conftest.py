"""Recordings made up: an angle that depends on the skill, and two other numbers."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from smm_core.config import from_mapping
from smm_core.offline.fit_config import FitConfig
from smm_core.offline.state_samples import StateSamples

LENGTH = 20
"""Transitions of an episode."""

SMALL: dict[str, Any] = {
    "state": {"circular": [1, 2]},
    "target": {"name": "uniform_circle"},
    "steps": 5,
    "discriminator": {"hidden": [8]},
    "density": {
        "model": "histogram",
        "vae": {"hidden": [32], "code_size": 2},
        "flow": {"hidden": [8], "layers": 1, "bins": 4},
        "gaussian_mixture": {"components": 2},
    },
}


@pytest.fixture
def transitions() -> Callable[..., Iterator[tuple[Any, ...]]]:
    """Return a function that yields so many transitions, as `StateSamples.add` takes them."""
    return _transitions


def _transitions(count: int, skills: int = 1, seed: int = 0) -> Iterator[tuple[Any, ...]]:
    rng = np.random.default_rng(seed)
    for number in range(count):
        episode = number // LENGTH
        skill = episode % skills
        angle = 2.0 * skill + 0.5 * rng.normal()
        obs = np.array([rng.normal(), np.cos(angle), np.sin(angle)], np.float32)
        yield obs, skill, -0.1, f"hand {episode}"


@pytest.fixture
def make_samples() -> Callable[..., StateSamples]:
    """Return a function that collects so many transitions with these settings changed."""

    def make(
        count: int = 0, skills: int = 1, model: str = "histogram", **changes: Any
    ) -> StateSamples:
        settings = SMALL | {"density": SMALL["density"] | {"model": model}} | changes
        samples = StateSamples(from_mapping(FitConfig, settings), 3)
        for values in _transitions(count, skills):
            samples.add(*values)
        return samples

    return make
