import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from smm_ros.dclaw import ENV_ID, spec, task


@pytest.fixture
def env():
    env = gymnasium.make(ENV_ID)
    yield env
    env.close()


def play(env, seed, num_steps=60):
    """Return everything an agent sees in some steps of random actions."""
    env.action_space.seed(seed)
    obs, _ = env.reset(seed=seed)
    seen = [obs]
    for _ in range(num_steps):
        obs, reward, terminated, truncated, info = env.step(env.action_space.sample())
        seen.append(np.array([*obs, reward, terminated, truncated, info["valve_angle"]]))
        if truncated:
            seen.append(env.reset()[0])
    return np.concatenate(seen)


def test_it_passes_gymnasiums_checker(env):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # The joints' velocities have no bound that the observation space could name.
        warnings.filterwarnings("ignore", message=".*Box observation space m..imum value is.*")
        check_env(env.unwrapped)


def test_a_seed_decides_everything(env):
    first, other = play(env, seed=1), play(env, seed=2)
    np.testing.assert_array_equal(play(env, seed=1), first)
    assert not np.array_equal(other, first)


def test_an_episode_is_truncated_after_fifty_control_periods_and_never_terminates(env):
    env.reset()
    start = env.unwrapped.hand.read().stamp
    ends = [env.step(env.action_space.sample())[2:4] for _ in range(50)]
    assert ends == [(False, False)] * 49 + [(False, True)]
    assert env.unwrapped.hand.read().stamp - start == pytest.approx(5.0)


def test_a_reset_turns_the_valve_to_the_angle_asked_for(env):
    obs, info = env.reset(options={"valve_angle": 2.0})
    assert info["valve_angle"] == 2.0
    assert obs[task.VALVE_SIN] == pytest.approx(np.sin(2.0))


def test_a_reset_returns_the_valve_to_zero(env):
    env.reset(options={"valve_angle": 2.0})
    assert env.reset()[1]["valve_angle"] == 0.0


def test_a_reset_keeps_the_valve_where_it_is_less_full_turns_where_that_is_asked_for():
    env = gymnasium.make(ENV_ID, valve_reset="keep")
    env.reset(options={"valve_angle": 4.0})
    _, info = env.reset()
    assert info["valve_angle"] == pytest.approx(4.0 - 2 * np.pi)
    assert env.reset(seed=0)[1]["valve_angle"] == 0.0
    env.close()


def test_an_unknown_valve_reset_is_named():
    with pytest.raises(ValueError, match="'spin'.*keep.*zero"):
        gymnasium.make(ENV_ID, valve_reset="spin")


def test_the_valve_angle_goes_on_past_half_a_turn(env):
    env.reset(options={"valve_angle": 3.5})
    assert env.step(np.zeros(9, np.float32))[4]["valve_angle"] > np.pi


def test_the_reward_is_the_shaping_of_the_state_reached(env):
    env.reset()
    reward = env.step(np.ones(9, np.float32))[1]
    assert reward == task.log_p_shaping(env.unwrapped.hand.read()) < 0


def test_the_action_applied_moves_the_hand_as_the_action_did(env):
    generator = np.random.default_rng(0)
    taken = generator.uniform(-1, 1, (20, 9)).astype(np.float32)
    env.reset(seed=0)
    steps = [env.step(action) for action in taken]
    applied = [info["action_applied"] for *_, info in steps]
    env.reset(seed=0)
    for action, (obs, *_) in zip(applied, steps, strict=True):
        np.testing.assert_array_equal(env.step(action)[0], obs)


def test_an_action_that_is_no_number_is_counted_and_stays_out_of_the_record(env):
    env.reset()
    at_reset = env.unwrapped.hand.read()
    *_, info = env.step(np.full(9, np.nan, np.float32))
    assert info["clamped"]["not_finite"] == 1
    assert np.isfinite(info["action_applied"]).all()
    np.testing.assert_allclose(
        task.target_from_action(info["action_applied"], at_reset),
        spec.RESET_POSE,
        atol=1e-6,
    )


def test_random_actions_never_need_the_safety_clamp(env):
    play(env, seed=0)
    assert set(env.unwrapped.hand.clamp.counts.values()) == {0}
