"""Manipulation (paper, figure 3a): the Fetch arm moves a block about a table.

The block begins every episode at the table's centre with the gripper above it; nothing is
random. An episode ends when the block leaves the table.

Reward, nats, the log p* of appendix D.1:

    goal_weight * r_goal + robot_weight * r_robot - action_weight * |action|^2

r_goal is -1 where the block is off the table, else `left_bonus` on the left half and 0 on the
right; r_robot is 1 where the gripper is less than `near_distance` from the block, else 0. The
bonus of Manipulation-Half, 0.1, is thus worth 20 * 0.1 = 2 nats: its p* has the block on the
left half e^2 = 7.4 times as often as on the right.
"""

from __future__ import annotations

import contextlib
import io
import math
from typing import Any, TypeAlias

import gymnasium
import numpy as np
from gymnasium.error import DependencyNotInstalled
from gymnasium.spaces import Box
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Array: TypeAlias = NDArray[np.float64]
Info: TypeAlias = dict[str, Any]

TABLE_LOW, TABLE_HIGH = np.array([1.0, 0.34]), np.array([1.6, 1.12])  # m, x and y
TABLE_TOP = 0.42  # m
TABLE_CENTER = (1.3, 0.73)  # m
LEFT_HALF = 0.73  # m: the block is on the left half where its y is larger

GOAL_MARGIN = 0.1  # m from the table's edges
GOAL_RADIUS = 0.1  # m

STATE_NAMES = (
    "gripper_x",  # m
    "gripper_y",
    "gripper_z",
    "block_x",  # m, the block's centre
    "block_y",
    "block_z",
)
ACTION_NAMES = ("action_x", "action_y", "action_z", "action_fingers")
"""The last action taken: 1 asks for 5 cm along x, y or z, and for the fingers to open."""

REST_NAMES = (
    "block_from_gripper_x",  # m, the block's centre seen from the gripper
    "block_from_gripper_y",
    "block_from_gripper_z",
    "right_finger",  # m that the finger is open
    "left_finger",
    "block_roll",  # rad
    "block_pitch",
    "block_yaw",
    "block_velocity_x",  # m per step, relative to the gripper
    "block_velocity_y",
    "block_velocity_z",
    "block_turn_x",  # rad per step
    "block_turn_y",
    "block_turn_z",
    "gripper_velocity_x",  # m per step
    "gripper_velocity_y",
    "gripper_velocity_z",
    "right_finger_velocity",  # m per step
    "left_finger_velocity",
)
OBS_NAMES = (*STATE_NAMES, *ACTION_NAMES, *REST_NAMES)
"""The observation: first the ten numbers of the matched state, then what control needs besides."""

GRIPPER, BLOCK, ACTION = slice(0, 3), slice(3, 6), slice(6, 10)

BIN_WIDTH, HALF_BIN_WIDTH = 0.05, 0.01  # m, table 3: for Manipulation-Uniform and -Half

BLOCK_LOW, BLOCK_HIGH = [1.0, 0.33, 0.4], [1.6, 1.13, 1.35]  # m, as far as it can be carried

METADATA: Info = {
    "render_modes": ["rgb_array"],
    "render_fps": 25,
    "matched_state": {"linear": list(range(10)), "circular": []},
    "target": {"name": "reward"},
    # The box that the gripper can get to in an episode, and the block's part of it. Edges of
    # bins lie on the line between the table's halves.
    "evaluation": {
        "names": list(STATE_NAMES),
        "entries": list(range(6)),
        "low": [0.3, -0.17, 0.0, *BLOCK_LOW],
        "high": [1.8, 1.58, 1.35, *BLOCK_HIGH],
        "bin_width": [BIN_WIDTH] * 6,
    },
    # Where a block may be wanted at test time: anywhere on the table but near its edges.
    "goals": {
        "entries": [3, 4, 5],
        "low": [*(TABLE_LOW + GOAL_MARGIN).tolist(), TABLE_TOP],
        "high": [*(TABLE_HIGH - GOAL_MARGIN).tolist(), TABLE_TOP],
        "radius": GOAL_RADIUS,
    },
}

HALF_METADATA: Info = {
    **METADATA,
    # The block alone, which this target is about: with the gripper's place, 1.6e12 bins of this
    # width would be too many to sum a divergence over. The edges of table and halves are edges
    # of bins, so that p* is constant in each.
    "evaluation": {
        "names": list(STATE_NAMES[3:]),
        "entries": [3, 4, 5],
        "low": BLOCK_LOW,
        "high": BLOCK_HIGH,
        "bin_width": [HALF_BIN_WIDTH] * 3,
    },
}


def on_table(block: Array, fall_height: float = TABLE_TOP) -> NDArray[np.bool_]:
    """Return whether blocks, centres (..., 3) m, are on or above the table, (...)."""
    inside = (block[..., :2] >= TABLE_LOW) & (block[..., :2] <= TABLE_HIGH)
    on: NDArray[np.bool_] = inside.all(-1) & (block[..., 2] >= fall_height)
    return on


class ManipulationEnv(gymnasium.Env[Floats, Floats]):
    """FetchPickAndPlace of gymnasium-robotics with the reward above and flat observations.

    Observation, float32 (29,): OBS_NAMES. Action, float32 (4,) in [-1, 1]: ACTION_NAMES. The
    info of a step holds `on_table`, `near_block` and `left_half` (bool). `gymnasium.make` ends
    an episode after 50 steps.
    """

    metadata = METADATA

    def __init__(
        self,
        left_bonus: float = 0.0,
        goal_weight: float = 20.0,
        robot_weight: float = 1.0,
        action_weight: float = 0.1,
        near_distance: float = math.sqrt(0.1),
        fall_height: float = TABLE_TOP,
        render_mode: str | None = None,
    ) -> None:
        """Load the arm.

        `near_distance` (m) is the paper's |s_obj - s_robot|^2 < 0.1. `fall_height` (m) is the
        height of the block's centre below which it counts as off the table. By default it is
        5 mm below that of a block at rest, so that a gripper that presses the block into the
        table, which is elastic, ends the episode as a fall does: of 27 ends in 200 episodes of
        uniformly random actions 24 were of that kind. At 0.36 m none is.

        Raises:
            ValueError: a weight or length below 0 or that is no number, or an unknown render
                mode.
            DependencyNotInstalled: gymnasium-robotics or MuJoCo can not be imported.
        """
        weights = {
            "left_bonus": left_bonus,
            "goal_weight": goal_weight,
            "robot_weight": robot_weight,
            "action_weight": action_weight,
            "near_distance": near_distance,
            "fall_height": fall_height,
        }
        for name, value in weights.items():
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} is {value!r}, expected a finite number of at least 0")
        if render_mode not in (None, *METADATA["render_modes"]):
            raise ValueError(f"render_mode is {render_mode!r}, expected None or 'rgb_array'")
        self.metadata = HALF_METADATA if left_bonus else METADATA
        self.left_bonus, self.goal_weight = left_bonus, goal_weight
        self.robot_weight, self.action_weight = robot_weight, action_weight
        self.near_distance, self.fall_height = near_distance, fall_height
        self.render_mode = render_mode
        self.action_space = Box(-1.0, 1.0, (len(ACTION_NAMES),), np.float32)
        self.observation_space = Box(-np.inf, np.inf, (len(OBS_NAMES),), np.float32)
        self._fetch = _fetch(render_mode)

    def reset(
        self, *, seed: int | None = None, options: Info | None = None
    ) -> tuple[Floats, Info]:
        """Bring block and gripper to their start; the last action is 0."""
        super().reset(seed=seed)
        self._fetch.reset(seed=seed)
        obs = self._obs(np.zeros(len(ACTION_NAMES)))
        return obs.astype(np.float32), self._info(obs)

    def step(self, action: Floats) -> tuple[Floats, float, bool, bool, Info]:
        """Take an action (4,), clipped to [-1, 1]; raises ValueError where it is no numbers."""
        wanted = np.asarray(action, np.float64)
        if wanted.shape != (len(ACTION_NAMES),) or not np.isfinite(wanted).all():
            raise ValueError(f"action is {action!r}, expected {len(ACTION_NAMES)} finite numbers")
        taken = np.clip(wanted, -1.0, 1.0)
        self._fetch.step(taken)
        obs = self._obs(taken)
        info = self._info(obs)
        return obs.astype(np.float32), self._reward(info, taken), not info["on_table"], False, info

    def log_target(self, obs: Floats) -> Array:
        """Return goal_weight * r_goal at observations (N, 29), (N,) nats up to a constant.

        That is the block's part of log p*; what concerns the gripper and the action is left out.
        Where an entry of the block is NaN, it is taken to be on the table.
        """
        block = np.asarray(obs, np.float64)[:, BLOCK]
        block = np.where(np.isnan(block), (*TABLE_CENTER, TABLE_TOP), block)
        on = on_table(block, self.fall_height)
        goal = np.where(on, self.left_bonus * (block[:, 1] > LEFT_HALF), -1.0)
        return self.goal_weight * goal

    def render(self) -> Any:
        """Return a picture of the arm, uint8 (height, width, 3), where asked for at birth.

        Needs OpenGL; without a screen set MUJOCO_GL=egl.
        """
        return self._fetch.render() if self.render_mode else None

    def close(self) -> None:
        """Close the picture's window, if any."""
        self._fetch.close()

    def _obs(self, action: Array) -> Array:
        numbers: Array = self._fetch.numbers()
        return np.concatenate((numbers[:6], action, numbers[6:]))

    def _info(self, obs: Array) -> Info:
        gripper, block = obs[GRIPPER], obs[BLOCK]
        apart = float(np.sqrt(((block - gripper) ** 2).sum()))
        return {
            "on_table": bool(on_table(block, self.fall_height)),
            "near_block": apart < self.near_distance,
            "left_half": bool(block[1] > LEFT_HALF),
        }

    def _reward(self, info: Info, action: Array) -> float:
        goal = self.left_bonus * info["left_half"] if info["on_table"] else -1.0
        effort = float((action**2).sum())
        return (
            self.goal_weight * goal
            + self.robot_weight * info["near_block"]
            - self.action_weight * effort
        )


def _fetch(render_mode: str | None) -> Any:
    """Load the simulated arm, which takes MuJoCo and is therefore done only here."""
    try:
        # gymnasium-robotics greets its import with a note on Adroit hands, of which none is here.
        with contextlib.redirect_stderr(io.StringIO()):
            from smm_core.envs.fetch import CentredFetch
    except ImportError as error:
        raise DependencyNotInstalled(
            f"the Manipulation environments need gymnasium-robotics and MuJoCo ({error}); "
            "pip install 'gymnasium-robotics>=1.4.2,<1.5' 'mujoco>=3.4,<3.9'"
        ) from error
    return CentredFetch(TABLE_CENTER, render_mode=render_mode)
