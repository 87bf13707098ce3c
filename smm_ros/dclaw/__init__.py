"""The D'Claw hand: its numbers, its twin, its task. No ROS and no learning library in here.

Importing this package registers the gymnasium environment ENV_ID.
"""

import gymnasium

from smm_ros.dclaw.spec import EPISODE_STEPS

ENV_ID = "smm_ros/DClawExplore-v0"

gymnasium.register(
    id=ENV_ID,
    entry_point="smm_ros.dclaw.env:DClawExploreEnv",
    vector_entry_point="smm_ros.dclaw.vector_env:DClawExploreVectorEnv",
    max_episode_steps=EPISODE_STEPS,
)
