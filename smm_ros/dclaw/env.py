"""The D'Claw as a gymnasium environment: turn the valve in every way there is."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from smm_ros.dclaw import task
from smm_ros.dclaw.hand import Hand, HandState
from smm_ros.dclaw.mujoco_hand import MujocoHand
from smm_ros.dclaw.spec import CONTROL_PERIOD, EPISODE_STEPS, NUM_JOINTS

Observation = NDArray[np.float32]
Action = NDArray[np.float32]
Info = dict[str, Any]

KEEP, ZERO = "keep", "zero"
VALVE_RESETS = (KEEP, ZERO)


class DClawExploreEnv(gymnasium.Env[Observation, Action]):
    """Episodes of 50 control periods over a `Hand`, rewarded by the task's shaping of log p*.

    Observations and actions are those of `smm_ros.dclaw.task`. The info of reset and step holds
    `valve_angle` (rad, unwrapped) and `clamped` (commands that the safety clamp changed since
    the hand was made, by reason); that of step also `action_applied`, float32 (9,): an action
    that asks for the very target that was sent; it is the action given, unless the clamp
    changed what that asked for.
    """

    metadata = {
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

    def __init__(self, hand: Hand | None = None, valve_reset: str = ZERO) -> None:
        """Take over a hand (by default a simulated one), connect it and switch its torque on.

        `valve_reset` says where a reset leaves the valve: at "zero", or "keep" its angle, less
        full turns. A reset with a seed is a fresh start, at zero in both cases.
        """
        if valve_reset not in VALVE_RESETS:
            raise ValueError(f"valve_reset is {valve_reset!r}, expected one of {VALVE_RESETS}")
        self._valve_reset = valve_reset
        self.observation_space = Box(-np.inf, np.inf, (len(task.OBS_NAMES),), np.float32)
        self.action_space = Box(-1.0, 1.0, (NUM_JOINTS,), np.float32)
        self.hand = MujocoHand() if hand is None else hand
        self.hand.connect()
        self.hand.enable()
        self._state = self.hand.read()
        self._num_steps = 0

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
        self._num_steps = 0
        self._state = self.hand.read()
        return task.observation(self._state), self._info(self._state)

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, Info]:
        """Apply an action (9,) in [-1, 1] for one control period."""
        before = self._state
        applied = self.hand.command(task.target_from_action(action, before))
        self.hand.advance(CONTROL_PERIOD)
        self._state = self.hand.read()
        self._num_steps += 1
        info = self._info(self._state)
        info["action_applied"] = task.action_from_target(applied, before, action)
        reward = task.log_p_shaping(self._state)
        truncated = self._num_steps >= EPISODE_STEPS
        return task.observation(self._state), reward, False, truncated, info

    def close(self) -> None:
        """Switch torque off and let go of the hand."""
        self.hand.close()

    def _info(self, state: HandState) -> Info:
        return {"valve_angle": state.valve_angle, "clamped": dict(self.hand.clamp.counts)}
