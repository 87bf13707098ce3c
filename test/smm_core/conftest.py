"""Builders that the tests of the core share: small transitions, settings, learners and a ring."""

from collections.abc import Callable, Iterator
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box

from smm_core.config import from_mapping
from smm_core.learner import Learner, LearnerConfig
from smm_core.train import TrainConfig, Training
from smm_core.transitions import Layout, Transition

SMALL = Layout(obs_size=3, action_size=2)


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
        seeds: tuple[int, ...] = (0,),
        **settings: object,
    ) -> Learner:
        return Learner(layout, small_config(num_skills=layout.num_skills, **settings), seeds)

    return build


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


def _play(learner: Learner, steps: int, runs: tuple[int, ...] = (0,), of: int = 1) -> None:
    """Feed the chosen runs out of `of` runs' worth of random transitions."""
    for _ in range(steps):
        step = _transition(learner.layout, of, seed=learner.steps)
        fields = {name: values[list(runs)] for name, values in vars(step).items()}
        learner.observe(Transition(**fields))
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
