"""The Fetch arm of gymnasium-robotics with its block at the table's centre, the gripper above it.

Importing this file loads MuJoCo; only what makes a Manipulation environment does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium_robotics.envs.fetch.pick_and_place import MujocoFetchPickAndPlaceEnv
from gymnasium_robotics.envs.robot_env import MujocoRobotEnv
from numpy.typing import NDArray

_BLOCK_JOINT = "object0:joint"
_APPROACHES = 20
"""Times that the gripper is set off towards its start: each ends a tenth as far away."""


class CentredFetch(MujocoFetchPickAndPlaceEnv):
    """FetchPickAndPlace whose every reset gives the same state; arm and physics are untouched."""

    def __init__(self, center: tuple[float, float], **kwargs: Any) -> None:
        """Put block and gripper over `center`, (x, y) in m."""
        self._center = center
        super().__init__(**kwargs)

    def numbers(self) -> NDArray[np.float64]:
        """Return the 25 numbers that the Fetch environment observes."""
        observed: NDArray[np.float64] = self._get_obs()["observation"]
        return observed

    def _env_setup(self, initial_qpos: dict[str, Any]) -> None:
        super()._env_setup(initial_qpos)
        target = np.array([*self._center, self.initial_gripper_xpos[2]])
        mocap = self.data.mocap_pos[0].copy()
        for _ in range(_APPROACHES):
            gripper = self._utils.get_site_xpos(self.model, self.data, "robot0:grip")
            mocap += target - gripper
            self._utils.set_mocap_pos(self.model, self.data, "robot0:mocap", mocap)
            self._mujoco.mj_step(self.model, self.data, nstep=10 * self.n_substeps)
        block = self._utils.get_joint_qpos(self.model, self.data, _BLOCK_JOINT)
        block[:2] = self._center
        self._utils.set_joint_qpos(self.model, self.data, _BLOCK_JOINT, block)
        # The block was moved by hand and the arm may still swing by a hair.
        self.data.qvel[:] = 0
        self._mujoco.mj_forward(self.model, self.data)

    def _sample_goal(self) -> NDArray[np.float64]:
        # There is no goal; its mark in a picture is put inside the table.
        return np.array([*self._center, 0.0])

    def _reset_sim(self) -> bool:
        # The robot's own reset: the Fetch environments' would put the block somewhere at random.
        return bool(MujocoRobotEnv._reset_sim(self))
