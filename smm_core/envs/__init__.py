"""The paper's simulated environments (appendix D.1), as gymnasium environments.

Importing this package registers their ids. What simulates the robot arm is loaded only where a
Manipulation environment is made.
"""

import gymnasium

NAVIGATION_ID = "smm_ros/Navigation-v0"
MANIPULATION_UNIFORM_ID = "smm_ros/ManipulationUniform-v0"
MANIPULATION_HALF_ID = "smm_ros/ManipulationHalf-v0"

gymnasium.register(
    id=NAVIGATION_ID,
    entry_point="smm_core.envs.navigation:NavigationEnv",
    vector_entry_point="smm_core.envs.navigation:NavigationVectorEnv",
    max_episode_steps=100,
)
gymnasium.register(
    id=MANIPULATION_UNIFORM_ID,
    entry_point="smm_core.envs.manipulation:ManipulationEnv",
    max_episode_steps=50,
)
gymnasium.register(
    id=MANIPULATION_HALF_ID,
    entry_point="smm_core.envs.manipulation:ManipulationEnv",
    max_episode_steps=50,
    kwargs={"left_bonus": 0.1},
)
