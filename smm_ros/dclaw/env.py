"""The D'Claw as a gymnasium environment: turn the valve in every way there is."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Space
from numpy.typing import NDArray

from smm_ros.dclaw import task
from smm_ros.dclaw.hand import Hand, HandState
from smm_ros.dclaw.mujoco_hand import MujocoHand
from smm_ros.dclaw.mujoco_hands import ALL_CORES, check_threads
from smm_ros.dclaw.spec import CONTROL_PERIOD, NUM_JOINTS

Observation = NDArray[np.float32]
Action = NDArray[np.float32]
Info = dict[str, Any]

KEEP, ZERO = "keep", "zero"
VALVE_RESETS = (KEEP, ZERO)

METADATA: Info = {
    "render_modes": [],
    # What a learner matches where it is told nothing else: the valve's angle, uniformly.
    "matched_state": {"circular": (task.VALVE_COS, task.VALVE_SIN)},
    "target": {"name": "uniform_circle"},
    # What an evaluation counts in bins: the same angle in bins of 10 degrees.
    "evaluation": {
        "names": ["valve_angle"],
        "circular": [task.VALVE_COS, task.VALVE_SIN],
        "bin_width": [float(np.deg2rad(10))],
    },
}


def spaces() -> tuple[Space[Observation], Space[Action]]:
    """Return the spaces of observations and actions, of one hand; each caller has its own."""
    observations = Box(-np.inf, np.inf, (len(task.OBS_NAMES),), np.float32)
    return observations, Box(-1.0, 1.0, (NUM_JOINTS,), np.float32)


def check_valve_reset(valve_reset: str) -> str:
    """Return what was given; raises ValueError where it is none of VALVE_RESETS."""
    if valve_reset not in VALVE_RESETS:
        raise ValueError(f"valve_reset is {valve_reset!r}, expected one of {VALVE_RESETS}")
    return valve_reset


class DClawExploreEnv(gymnasium.Env[Observation, Action]):
    """Steps of a control period over a `Hand`, rewarded by the task's shaping of log p*.

    `gymnasium.make` ends an episode after EPISODE_STEPS steps.

    Observations and actions are those of `smm_ros.dclaw.task`. The info of reset and step holds
    `valve_angle` (rad, unwrapped) and `clamped` (commands that the safety clamp changed since
    the hand was made, by reason); that of step also `action_applied`, float32 (9,): an action
    that asks for the very target that was sent; it is the action given, unless the clamp
    changed what that asked for.
    """

    metadata = METADATA

    def __init__(
        self, hand: Hand | None = None, valve_reset: str = ZERO, physics_threads: int = ALL_CORES
    ) -> None:
        """Take over a hand (by default a simulated one), connect it and switch its torque on.

        `valve_reset` says where a reset leaves the valve: at "zero", or "keep" its angle, less
        full turns. A reset with a seed is a fresh start, at zero in both cases. One hand is
        stepped by one thread: `physics_threads` is for many, see `DClawExploreVectorEnv`.
        """
        self._valve_reset = check_valve_reset(valve_reset)
        check_threads(physics_threads)
        self.observation_space, self.action_space = spaces()
        self.hand = MujocoHand() if hand is None else hand
        self.hand.connect()
        self.hand.enable()
        self._state = self.hand.read()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, Info]:
        """Bring the hand to its reset pose, and the valve to where `valve_reset` says.

        `options["valve_angle"]` (rad) takes precedence.
        """
        super().reset(seed=seed)
        if seed is not None and isinstance(self.hand, MujocoHand):
            self.hand.seed(seed)
        keeps = self._valve_reset == KEEP and seed is None
        valve_angle = self._state.valve_angle_wrapped if keeps else 0.0
        for _ in self.hand.reset((options or {}).get("valve_angle", valve_angle)):
            pass
        self._state = self.hand.read()
        return task.observation(self._state), self._info(self._state)

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, Info]:
        """Apply an action (9,) in [-1, 1] for one control period."""
        target = task.target_from_action(action, self._state)
        sent = self.hand.command(target)
        self.hand.advance(CONTROL_PERIOD)
        self._state = self.hand.read()
        info = self._info(self._state)
        info["action_applied"] = task.action_applied(action, target, sent)
        return task.observation(self._state), task.log_p_shaping(self._state), False, False, info

    def close(self) -> None:
        """Switch torque off and let go of the hand."""
        self.hand.close()

    def _info(self, state: HandState) -> Info:
        return {"valve_angle": state.valve_angle, "clamped": dict(self.hand.clamp.counts)}
