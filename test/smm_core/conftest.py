"""Builders that the tests of the core share: small transitions, settings, learners and a ring."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from smm_core import native
from smm_core.config import from_mapping
from smm_core.device import CPU
from smm_core.learner import Learner, LearnerConfig
from smm_core.train import TrainConfig, Training
from smm_core.transitions import Layout, Transition

SMALL = Layout(obs_size=3, action_size=2)

HISTOGRAM = {"bins": [4], "low": [-2.0], "high": [2.0]}
BOX = {"low": [-1.0] * 3, "high": [1.0] * 3}
SEGMENT = {"box": {"low": [-1.0], "high": [1.0]}, "goal": {"epsilon": 0.5}}
RING = {"state": {"linear": [2], "circular": [0, 1]}}
KINDS = {
    "vae": {},
    "flow": {"density": {"model": "flow"}},
    "gaussian_mixture": {"density": {"model": "gaussian_mixture"}},
    "histogram": {"density": {"model": "histogram", "histogram": HISTOGRAM}},
    "linear histogram": {
        "density": {"model": "histogram", "histogram": HISTOGRAM | {"rule": "linear"}}
    },
    "symmetry": {"symmetry": {"order": 2, "action": [0, 1], "angles": [0, 1]}},
    "sac": {"method": "sac"},
    "count": {"method": "count"},
    "pseudocount": {"method": "pseudocount"},
    "icm": {"method": "icm"},
    "rnd": {"method": "rnd"},
    "q_and_v": {"method": "sac", "sac": {"variant": "q_and_v", "hidden": [16]}},
    "layer_norm": {"method": "sac", "sac": {"layer_norm": True, "hidden": [16]}},
    "conservative": {"method": "sac", "sac": {"conservative": 1.0, "hidden": [16]}},
    "scattered entries": {"state": {"linear": [2, 0]}},
    "angles": RING,
    "circle": {"state": {"circular": [0, 1]}, "target": {"name": "uniform_circle"}},
    "limits": {"target": {"name": "halves", "box": BOX, "limits": BOX}},
    "mixture": {"target": {"name": "gaussian_mixture", "mixture": {"means": [0.0] * 3}}},
    "goal": RING | {"target": {"name": "goal", **SEGMENT}},
}


@pytest.fixture(params=["compiled", "plain"])
def passes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with the compiled passes of networks, and with torch's own operations."""
    if request.param == "plain":
        monkeypatch.setattr(native, "_is_loaded", False)
    elif not native.serves(torch.zeros(1, 50, 1)):
        pytest.skip(f"{native.NAME} was not built")


@pytest.fixture
def make_transition() -> Callable[..., Transition]:
    """Return a function that makes a random transition; named fields are taken as given."""
    return _transition


@pytest.fixture
def small_config() -> Callable[..., LearnerConfig]:
    """Return a function that makes settings small enough to learn in milliseconds."""
    return _config


@pytest.fixture
def make(small_config: Callable[..., LearnerConfig]) -> Callable[..., Learner]:
    """Return a function that makes a small learner."""

    def build(
        layout: Layout = SMALL,
        seeds: Sequence[int] = (0,),
        device: torch.device = CPU,
        **settings: object,
    ) -> Learner:
        config = small_config(num_skills=layout.num_skills, **settings)
        return Learner(layout, config, seeds, device)

    return build


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def kind(request: pytest.FixtureRequest) -> dict[str, object]:
    """Give settings of every method, density, critic and target in turn."""
    settings: dict[str, object] = request.param
    return settings


@pytest.fixture
def feed() -> Callable[..., None]:
    """Return a function that lets a learner observe steps of some runs out of `of` runs."""
    return _feed


@pytest.fixture
def play() -> Callable[..., None]:
    """Return a function that feeds a learner random transitions as the training loop does."""
    return _play


def _transition(layout: Layout, runs: int = 1, seed: int = 0, **fields: object) -> Transition:
    rng = np.random.default_rng(seed)
    values = {
        "obs": rng.normal(size=(runs, layout.obs_size)).astype(np.float32),
        "action": rng.uniform(-1, 1, (runs, layout.action_size)).astype(np.float32),
        "reward": rng.normal(size=runs).astype(np.float32),
        "next_obs": rng.normal(size=(runs, layout.obs_size)).astype(np.float32),
        "skill": rng.integers(layout.num_skills, size=runs),
        "terminated": rng.random(runs) < 0.1,
        "truncated": np.zeros(runs, bool),
    }
    return Transition(**{**values, **fields})


def _config(**settings: object) -> LearnerConfig:
    small = {
        "batch_size": 16,
        "replay_capacity": 64,
        "random_steps": 4,
        "sac": {"hidden": [16, 16]},
        "density": {"vae": {"hidden": [16], "code_size": 2, "samples": 3}},
        "discriminator": {"hidden": [16]},
        "history": {"capacity": 3, "period": 3},
    }
    return from_mapping(LearnerConfig, small | settings)


def _feed(learner: Learner, steps: int = 20, runs: Sequence[int] = (0, 1), of: int = 2) -> None:
    for _ in range(steps):
        step = _transition(learner.layout, of, seed=learner.steps)
        fields = {name: values[list(runs)] for name, values in vars(step).items()}
        learner.observe(Transition(**fields))


def _play(learner: Learner, steps: int, runs: tuple[int, ...] = (0,), of: int = 1) -> None:
    """Feed the chosen runs out of `of` runs' worth of random transitions."""
    for _ in range(steps):
        _feed(learner, 1, runs, of)
        while learner.updates_owed > 0:
            learner.update()
        if learner.snapshot_due:
            learner.snapshot()


class Faulty(gymnasium.Env):
    """Goes wrong at its step `at`: an observation or a reward is no number, or it raises."""

    ERRORS = {"error": RuntimeError("the cable came off"), "interrupt": KeyboardInterrupt()}
    metadata = {"render_modes": []}
    observation_space = Box(-1.0, 1.0, (2,))
    action_space = Box(-1.0, 1.0, (1,))

    def __init__(self, at, fault):
        self._at, self._fault = at, fault

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self._steps += 1
        fault = self._fault if self._steps == self._at else None
        if fault in self.ERRORS:
            raise self.ERRORS[fault]
        obs = np.full(2, np.nan if fault == "obs" else 0.5, np.float32)
        return obs, np.nan if fault == "reward" else 0.0, False, False, {}


class Ring(gymnasium.Env):
    """A point on a circle, moved by at most REACH rad a step; episodes begin at angle 0."""

    REACH, EPISODE = 0.3, 20
    metadata = {
        "render_modes": [],
        "matched_state": {"circular": (0, 1)},
        "target": {"name": "uniform_circle"},
    }
    observation_space = Box(-1.0, 1.0, (2,))
    action_space = Box(-1.0, 1.0, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._angle, self._steps = 0.0, 0
        return self._obs(), {}

    def step(self, action):
        self._angle += self.REACH * float(np.clip(action[0], -1, 1))
        self._steps += 1
        return self._obs(), 0.0, False, self._steps == self.EPISODE, {}

    def _obs(self):
        return np.array([np.cos(self._angle), np.sin(self._angle)], np.float32)


class Scattered(Ring):
    """A ring on which episodes begin anywhere."""

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._angle = float(self.np_random.uniform(-np.pi, np.pi))
        return self._obs(), {}


@pytest.fixture
def registered() -> Iterator[Callable[..., str]]:
    """Return a function that registers an environment class for the test and returns its id."""
    names = []

    def register(kind: type[gymnasium.Env], name: str = "", **options: object) -> str:
        names.append(f"smm_core_test/{name or kind.__name__}-v0")
        gymnasium.register(names[-1], entry_point=kind, **options)
        return names[-1]

    yield register
    for name in names:
        del gymnasium.registry[name]


@pytest.fixture
def scattered(registered) -> str:
    """Register the ring of random starts and return its id."""
    return registered(Scattered)


@pytest.fixture
def ring(registered) -> str:
    """Register the ring and return its id."""
    return registered(Ring)


@pytest.fixture
def faulty(registered) -> str:
    """Register the environment that goes wrong and return its id."""
    return registered(Faulty)


@pytest.fixture
def trained(ring, tmp_path, small_config) -> Callable[..., Path]:
    """Return a function that trains on the ring for a moment and returns the run folder."""

    def run(name: str = "run", env: str = ring, **settings: object) -> Path:
        values = {"steps": 40, "report_period": 40, "checkpoint_period": 40} | settings
        learner = small_config(**values.pop("learner", {}))
        config = TrainConfig(env=env, learner=learner, **values)
        Training(config, tmp_path / name).run(lambda metrics: None)
        return tmp_path / name

    return run


@pytest.fixture
def train(ring, tmp_path, small_config):
    """Return a function that trains on the ring in a folder; it returns what came out."""

    def run(folder="run", env=None, learner=None, **settings):
        values = {"steps": 60, "report_period": 20, "checkpoint_period": 25} | settings
        config = TrainConfig(env=env or ring, **values, learner=learner or small_config())
        training, reports = Training(config, tmp_path / folder), []
        metrics = training.run(reports.append)
        return training, metrics, reports

    return run
