"""An environment that the tests of the evaluation share."""

from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box


class Square(gymnasium.Env):
    """A point in a square that tells all an evaluation can ask for; p* rises along x."""

    metadata = {
        "render_modes": [],
        "evaluation": {
            "names": ["x", "y"],
            "entries": [0, 1],
            "low": [-1.0, -1.0],
            "high": [1.0, 1.0],
            "bin_width": [0.5],
        },
        "goals": {"entries": [0], "low": [-0.5], "high": [0.5], "radius": 0.1},
    }
    observation_space = Box(-1.0, 1.0, (3,))
    action_space = Box(-1.0, 1.0, (2,))
    halls = SimpleNamespace(
        num_halls=2,
        reached=lambda position: np.where(position[:, 0] > 0.5, 1, -1),
        outline=np.array([[-1, -1], [1, -1], [1, 1], [-1, 1.0]]),
    )

    def __init__(self, speed=0.4):
        self.speed = speed

    def log_target(self, obs):
        return np.log(1.5 + obs[:, 0])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position, self.steps = np.zeros(2), 0
        return self._obs(), self._info()

    def step(self, action):
        self.position = np.clip(self.position + self.speed * np.asarray(action), -1, 1)
        self.steps += 1
        return self._obs(), 0.0, False, self.steps == 10, self._info()

    def _obs(self):
        return np.array([*self.position, 0.0], np.float32)

    def _info(self):
        hall = int(self.halls.reached(self.position[None])[0])
        return {"hall_reached": hall, "valve_angle": float(self.position[1])}


@pytest.fixture
def square(registered):
    """Register the square and return its id."""
    return registered(Square)
