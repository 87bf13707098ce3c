import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.error import DependencyNotInstalled
from gymnasium.utils.env_checker import check_env

from smm_core.config import from_mapping
from smm_core.envs import MANIPULATION_HALF_ID, MANIPULATION_UNIFORM_ID, manipulation
from smm_core.envs.manipulation import (
    ACTION,
    BLOCK,
    GRIPPER,
    OBS_NAMES,
    TABLE_CENTER,
    on_table,
)
from smm_core.evaluation.goals import GoalConfig, sample_goals
from smm_core.evaluation.marginals import Bins, BinsConfig


@pytest.fixture(scope="module")
def env():
    env = gymnasium.make(MANIPULATION_UNIFORM_ID)
    yield env
    env.close()


@pytest.fixture(scope="module")
def half():
    env = gymnasium.make(MANIPULATION_HALF_ID)
    yield env
    env.close()


def act(x=0.0, y=0.0, z=0.0, fingers=-1.0):
    return np.array([x, y, z, fingers], np.float32)


def play(env, *moves):
    """Reset and take actions, each given as (times, action); return what each step returns."""
    env.reset(seed=0)
    return [env.step(action) for times, action in moves for _ in range(times)]


def pushed(env, side):
    """Reset, go down on one side of the block and push it along y past the table's middle."""
    beside, down, push = act(y=-0.5 * side), act(z=-1.0), act(y=0.5 * side)
    return play(env, (8, beside), (8, down), (10, push))


@pytest.mark.parametrize("env_id", [MANIPULATION_UNIFORM_ID, MANIPULATION_HALF_ID])
def test_it_passes_gymnasiums_checker(env_id):
    env = gymnasium.make(env_id)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Velocities have no bound that the observation space could name.
        warnings.filterwarnings("ignore", message=".*Box observation space m..imum value is.*")
        # A picture needs OpenGL, which a bare machine lacks.
        check_env(env.unwrapped, skip_render_check=True)
    env.close()


def test_an_episode_begins_with_the_block_at_the_tables_centre_and_the_gripper_above_it(env):
    for _ in range(2):
        obs, info = env.reset()
        np.testing.assert_allclose(obs[BLOCK], (*TABLE_CENTER, 0.425), atol=1e-3)
        np.testing.assert_allclose(obs[GRIPPER][:2], TABLE_CENTER, atol=1e-3)
        assert 0.05 < obs[GRIPPER][2] - obs[BLOCK][2] < 0.2
        assert info == {"on_table": True, "near_block": True, "left_half": False}
        play(env, (5, act(1, 1, -1)))


def test_the_same_actions_give_the_same_observations_after_every_reset(env):
    rng = np.random.default_rng(0)
    actions = [(1, rng.uniform(-1, 1, 4).astype(np.float32)) for _ in range(30)]
    first, again = play(env, *actions), play(env, *actions)
    np.testing.assert_array_equal([s[0] for s in first], [s[0] for s in again])
    assert [s[1] for s in first] == [s[1] for s in again]


def test_the_observation_is_the_state_the_last_action_and_the_rest(env):
    obs, _ = env.reset()
    assert obs.shape == (29,) == (len(OBS_NAMES),)
    assert obs.dtype == np.float32
    assert (obs[ACTION] == 0).all()
    action = act(0.3, -0.2, 0.9, 0.1)
    obs = env.step(action)[0]
    np.testing.assert_array_equal(obs[ACTION], action)
    relative = OBS_NAMES.index("block_from_gripper_x")
    difference = obs[BLOCK] - obs[GRIPPER]
    np.testing.assert_allclose(obs[relative : relative + 3], difference, atol=1e-6)
    assert env.unwrapped.metadata["matched_state"] == {"linear": list(range(10)), "circular": []}


def test_the_gripper_goes_where_the_action_points_and_the_fingers_open(env):
    obs = play(env, (10, act(x=0.5, fingers=1.0)))[-1][0]
    assert obs[0] > TABLE_CENTER[0] + 0.1
    closed = play(env, (10, act(x=0.5)))[-1][0]
    for finger in ("right_finger", "left_finger"):
        assert obs[OBS_NAMES.index(finger)] > closed[OBS_NAMES.index(finger)] + 0.02


def test_an_action_is_clipped_and_enters_the_observation_as_taken(env):
    wild, tame = play(env, (1, 9 * act(x=1.0)))[0], play(env, (1, act(x=1.0)))[0]
    np.testing.assert_array_equal(wild[0], tame[0])
    assert wild[1] == tame[1]


def test_the_reward_is_its_three_weighted_terms(env):
    near = play(env, (1, act(0.5, 0.0, 1.0, -1.0)))[0]
    assert near[1] == pytest.approx(1 - 0.1 * 2.25)
    *_, far = play(env, (12, act(z=1.0)))
    assert not far[4]["near_block"]
    assert far[1] == pytest.approx(-0.1 * 2)


def test_near_is_the_papers_squared_distance_unless_told_otherwise(env):
    for obs, *_, info in play(env, (12, act(z=1.0))):
        squared = ((obs[BLOCK].astype(float) - obs[GRIPPER]) ** 2).sum()
        assert info["near_block"] == (squared < 0.1)
    closer = gymnasium.make(MANIPULATION_UNIFORM_ID, near_distance=0.05)
    assert not closer.reset()[1]["near_block"]
    closer.close()


def test_the_episode_ends_with_the_blocks_fall_from_the_table(env):
    around = [(8, act(x=-0.5)), (8, act(z=-1.0)), (34, act(x=1.0))]
    steps = play(env, *around)
    fallen = next(i for i, step in enumerate(steps) if step[2])
    obs, reward, _, truncated, info = steps[fallen]
    assert obs[BLOCK][0] > 1.5
    assert not info["on_table"]
    assert not truncated
    assert reward == pytest.approx(-20 + info["near_block"] - 0.1 * 2)
    assert all(step[4]["on_table"] for step in steps[:fallen])


def test_an_episode_is_truncated_after_fifty_steps(env):
    ends = [step[2:4] for step in play(env, (50, act()))]
    assert ends == [(False, False)] * 49 + [(False, True)]


@pytest.mark.parametrize("side", [1, -1])
def test_half_rewards_a_block_on_the_left_half_with_two_nats(half, env, side):
    steps, plain = pushed(half, side), pushed(env, side)
    bonus = [a[1] - b[1] for a, b in zip(steps, plain, strict=True)]
    left = [step[4]["left_half"] for step in steps]
    np.testing.assert_allclose(bonus, np.where(left, 2.0, 0.0), atol=1e-9)
    assert left[-1] == (side > 0) == (steps[-1][0][BLOCK][1] > 0.73)
    assert steps[-1][4]["on_table"]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ((1.3, 0.73, 0.425), True),
        ((1.0, 0.34, 0.42), True),
        ((1.6, 1.12, 0.8), True),
        ((0.99, 0.73, 0.5), False),
        ((1.3, 1.13, 0.5), False),
        ((1.3, 0.73, 0.41), False),
    ],
)
def test_on_the_table_is_above_it_and_within_its_edges(block, expected):
    assert on_table(np.array(block)) == expected


def test_goals_are_on_the_table_with_a_margin(env):
    goals = from_mapping(GoalConfig, env.unwrapped.metadata["goals"])
    drawn = sample_goals(goals, 2000, np.random.default_rng(0))
    assert on_table(drawn).all()
    np.testing.assert_allclose(drawn[:, :2].min(0), [1.1, 0.44], atol=0.01)
    np.testing.assert_allclose(drawn[:, :2].max(0), [1.5, 1.02], atol=0.01)
    assert goals.radius == 0.1
    assert [OBS_NAMES[i] for i in goals.entries] == ["block_x", "block_y", "block_z"]


def test_the_target_is_the_reward_for_the_blocks_place(env, half):
    places = np.full((4, 29), np.nan, np.float32)
    places[:, 3:6] = [(1.3, 0.5, 0.43), (1.3, 0.9, 0.43), (1.3, 0.5, 0.3), (1.7, 0.5, 0.43)]
    assert env.unwrapped.log_target(places).tolist() == [0, 0, -20, -20]
    assert half.unwrapped.log_target(places).tolist() == [0, 2, -20, -20]
    places[:, [3, 5]] = np.nan
    assert half.unwrapped.log_target(places).tolist() == [0, 2, 0, 0]


def test_half_is_measured_by_its_target_over_bins_of_a_centimetre(half):
    bins = Bins(from_mapping(BinsConfig, half.unwrapped.metadata["evaluation"]), len(OBS_NAMES))
    assert bins.names == ("block_x", "block_y", "block_z")
    assert bins.shape == (60, 80, 95)
    mass = np.exp(bins.log_target(half.unwrapped.log_target)).reshape(bins.shape)
    assert mass[:, :40].sum() / mass.sum() == pytest.approx(1 / (1 + np.exp(2)), rel=0.03)
    # Below the table's top there is nearly none, and above it every bin has that of its half.
    assert mass[:, :, :2].sum() < 1e-8
    np.testing.assert_allclose(mass[:, 1:40, 2:], mass[0, 1, 2], rtol=1e-5)
    np.testing.assert_allclose(mass[:, 40:79, 2:], np.exp(2) * mass[0, 1, 2], rtol=1e-5)


def test_uniform_is_measured_by_gripper_and_block(env):
    assert env.unwrapped.metadata["evaluation"]["names"] == list(OBS_NAMES[:6])
    assert env.unwrapped.metadata["evaluation"]["bin_width"] == [0.05] * 6


def test_a_lower_fall_height_tells_a_pressed_block_from_a_fallen_one():
    for fall_height, ends in ((0.42, True), (0.36, False)):
        env = gymnasium.make(MANIPULATION_UNIFORM_ID, fall_height=fall_height)
        steps = play(env, (5, act(z=-1.0)))
        assert any(step[2] for step in steps) == ends
        assert min(step[0][BLOCK][2] for step in steps) < 0.42
        env.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"goal_weight": -1.0}, "goal_weight is -1.0, expected a finite number of at least 0"),
        ({"near_distance": float("nan")}, "near_distance is nan"),
        ({"render_mode": "human"}, "render_mode is 'human', expected None or 'rgb_array'"),
    ],
)
def test_a_bad_argument_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        manipulation.ManipulationEnv(**options)


@pytest.mark.parametrize("action", [np.full(4, np.nan), np.zeros(3)])
def test_an_action_that_is_not_four_numbers_is_named(env, action):
    env.reset()
    with pytest.raises(ValueError, match="action is .*expected 4 finite numbers"):
        env.unwrapped.step(action)


def test_physics_are_loaded_only_where_an_environment_is_made():
    code = """
import sys, gymnasium
import smm_core.envs
import smm_core.envs.manipulation, smm_core.envs.navigation
gymnasium.make(smm_core.envs.NAVIGATION_ID)
loaded = {"mujoco", "gymnasium_robotics", "matplotlib", "torch"} & set(sys.modules)
sys.exit(f"loaded: {loaded}" if loaded else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_missing_physics_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium_robotics.envs.fetch.pick_and_place", None)
    monkeypatch.delitem(sys.modules, "smm_core.envs.fetch", raising=False)
    with pytest.raises(DependencyNotInstalled, match="gymnasium-robotics and MuJoCo.*pip install"):
        gymnasium.make(MANIPULATION_UNIFORM_ID)


def test_nothing_is_printed_of_environments_that_are_not_ours():
    code = f"import gymnasium, smm_core.envs;gymnasium.make({MANIPULATION_UNIFORM_ID!r}).close()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    assert "Adroit" not in done.stderr
