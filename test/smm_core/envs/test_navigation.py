import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import DictInfoToList

from smm_core.envs import NAVIGATION_ID
from smm_core.envs.halls import CLEARANCE, Halls

EPISODE_STEPS, STRAIGHT_RUN = 100, 60
OPTIONS = {"num_halls": 5, "hall_length": 20.0, "hall_weights": (4, 1, 1, 1, 1)}


def make(**options):
    return gymnasium.make(NAVIGATION_ID, **options)


def make_vec(num_envs, **options):
    return gymnasium.make_vec(NAVIGATION_ID, num_envs=num_envs, **options)


def straight_run(env, direction):
    """Run along a direction until nothing moves; return the steps' obs, reward and info."""
    obs, _ = env.reset()
    steps = []
    while True:
        before = obs
        obs, reward, *_, info = env.step(direction)
        if np.array_equal(obs, before):
            return steps
        steps.append((obs, reward, info))


@pytest.mark.parametrize("options", [{}, OPTIONS, {"num_halls": 1}])
def test_it_passes_gymnasiums_checker(options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(make(**options).unwrapped)


@pytest.mark.parametrize("length", [1.0, 10.0, 50.0, 200.0])
@pytest.mark.parametrize("num_halls", [3, 5, 7])
def test_a_straight_run_to_a_halls_end_takes_sixty_steps_at_any_length(num_halls, length):
    env = make(num_halls=num_halls, hall_length=length).unwrapped
    for hall, direction in enumerate(env.halls.directions):
        steps = straight_run(env, direction)
        assert len(steps) == STRAIGHT_RUN
        obs, reward, info = steps[-1]
        np.testing.assert_allclose(obs, (2.0 + length - CLEARANCE) * direction, rtol=1e-5)
        assert reward == 1 / num_halls
        assert info["hall_reached"] == info["hall"] == hall
        assert info["depth"] == pytest.approx(length - CLEARANCE)


def test_an_action_longer_than_one_moves_no_farther_than_one_does():
    env = make()
    env.reset()
    obs = env.step(np.ones(2, np.float32))[0]
    np.testing.assert_allclose(np.hypot(*obs), 0.2, rtol=1e-6)
    env.reset()
    half = env.step(np.array([0.5, 0.0], np.float32))[0]
    np.testing.assert_allclose(half, (0.1, 0.0), rtol=1e-6)


def test_the_reward_is_the_weight_of_the_hall_whose_end_is_reached():
    env = make(hall_weights=(2, 1, 1)).unwrapped
    rewards = [straight_run(env, d)[-1][1] for d in env.halls.directions]
    assert rewards == [0.5, 0.25, 0.25]
    assert all(reward == 0 for _, reward, _ in straight_run(env, env.halls.directions[0])[:55])


def test_an_episode_begins_at_the_centre_and_is_truncated_after_a_hundred_steps():
    env = make()
    env.action_space.seed(0)
    assert env.reset(seed=3)[0].tolist() == [0, 0]
    ends = [env.step(env.action_space.sample())[2:4] for _ in range(EPISODE_STEPS)]
    assert ends == [(False, False)] * 99 + [(False, True)]
    obs, info = env.reset()
    assert obs.tolist() == [0, 0]
    assert info == {"hall_reached": -1, "hall": -1, "depth": 0.0}


@pytest.mark.parametrize("options", [{}, OPTIONS, {"hall_length": 50.0}])
def test_many_points_at_once_go_exactly_where_single_ones_go(options):
    num_envs, rng = 9, np.random.default_rng(0)
    together = make_vec(num_envs, **options)
    alone = [make(**options) for _ in range(num_envs)]
    obs, info = together.reset(seed=0)
    for index, env in enumerate(alone):
        np.testing.assert_array_equal(env.reset(seed=index)[0], obs[index])
    # Three walk, three go astray in one direction, three explore their halls.
    toward = together.unwrapped.halls.goals[rng.integers(together.unwrapped.halls.num_halls)]
    for _ in range(EPISODE_STEPS):
        actions = rng.uniform(-1, 1, (num_envs, 2))
        actions[3:6] += (1.0, 0.3)
        actions[6:] += 0.1 * toward
        actions = actions.clip(-1, 1).astype(np.float32)
        *arrays, info = together.step(actions)
        infos = DictInfoToList(together)._convert_info_to_list(info)
        for index, env in enumerate(alone):
            *values, single = env.step(actions[index])
            for array, value in zip(arrays, values, strict=True):
                np.testing.assert_array_equal(array[index], value)
            assert infos[index] == single
    assert arrays[3].all()


def test_only_masked_points_are_reset_and_the_others_go_on():
    env = make_vec(3)
    assert env.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    env.reset()
    right = np.tile(np.array([1.0, 0.0], np.float32), (3, 1))
    for _ in range(50):
        obs = env.step(right)[0]
    reset, _ = env.reset(options={"reset_mask": np.array([False, True, False])})
    np.testing.assert_array_equal(reset[[0, 2]], obs[[0, 2]])
    assert reset[1].tolist() == [0, 0]
    for _ in range(50):
        truncated = env.step(right)[3]
    assert truncated.tolist() == [True, False, True]


def test_an_ended_episode_is_not_stepped_on():
    env = make_vec(2, max_episode_steps=1)
    action = np.zeros((2, 2), np.float32)
    with pytest.raises(ResetNeeded, match="2 of 2 points"):
        env.step(action)
    env.reset()
    assert env.step(action)[3].all()
    env.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(ResetNeeded, match="1 of 2 points, the first is 1"):
        env.step(action)


@pytest.mark.parametrize("mask", [[True, True], np.ones(3, bool), np.zeros(2, bool), np.ones(2)])
def test_a_bad_mask_is_named(mask):
    with pytest.raises(ValueError, match="reset_mask is .*expected a bool array"):
        make_vec(2).reset(options={"reset_mask": mask})


def test_an_episode_begins_where_it_is_asked_to():
    env = make()
    assert env.reset(options={"position": (5.0, 0.25)})[0].tolist() == [5.0, 0.25]
    vector = make_vec(2)
    vector.reset()
    options = {"reset_mask": np.array([False, True]), "position": [(99, 99), (5.0, 0.25)]}
    assert vector.reset(options=options)[0].tolist() == [[0, 0], [5.0, 0.25]]
    with pytest.raises(ValueError, match=r"position is \[5.0, 3.0\], expected a point in the"):
        env.reset(options={"position": (5.0, 3.0)})


def test_observations_are_in_their_space_and_in_the_halls_after_any_actions():
    env, rng = make_vec(100, hall_length=50.0), np.random.default_rng(0)
    halls = env.unwrapped.halls
    env.reset()
    for _ in range(EPISODE_STEPS):
        lean = halls.directions[rng.integers(3, size=100)]
        obs = env.step((1e3 * lean + rng.normal(size=(100, 2))).astype(np.float32))[0]
        assert env.observation_space.contains(obs)
        assert halls.contains(obs.astype(np.float64)).all()


@pytest.mark.parametrize("action", [[np.nan, 0.0], [np.inf, 0.0], [0.0, 0.0, 0.0]])
def test_an_action_that_is_not_two_numbers_is_named(action):
    env = make(disable_env_checker=True).unwrapped
    env.reset()
    with pytest.raises(ValueError, match="expected"):
        env.step(np.array(action))


@pytest.mark.parametrize("made", [make, lambda **options: make_vec(2, **options)])
def test_bad_arguments_reach_the_error(made):
    with pytest.raises(ValueError, match="num_halls is 0"):
        made(num_halls=0)
    with pytest.raises(ValueError, match="hall_weights"):
        made(hall_weights=(1,))


def test_there_is_at_least_one_point():
    with pytest.raises(ValueError, match="num_envs is 0, expected at least 1"):
        make_vec(0)


@pytest.mark.parametrize(("num_halls", "length"), [(3, 10.0), (7, 50.0), (20, 10.0)])
def test_the_marginals_bins_cover_the_map(num_halls, length):
    metadata = make(num_halls=num_halls, hall_length=length).unwrapped.metadata
    evaluation, (low, high) = metadata["evaluation"], Halls(num_halls, length).bounds
    assert (np.array(evaluation["low"]) <= low).all()
    assert (np.array(evaluation["high"]) >= high).all()
    bins = np.subtract(evaluation["high"], evaluation["low"]) / evaluation["bin_width"]
    np.testing.assert_allclose(bins, np.round(bins), atol=1e-9)
    assert (bins <= 50).all()
    assert metadata["matched_state"] == {"linear": [0, 1], "circular": []}
    assert metadata["target"] == {"name": "reward"}


def test_the_bins_are_half_a_metre_wide_at_length_ten():
    assert make().unwrapped.metadata["evaluation"]["bin_width"] == [0.5, 0.5]
    assert make_vec(2).metadata["evaluation"] == make().unwrapped.metadata["evaluation"]


def test_the_target_is_the_reward_and_nowhere_in_the_walls():
    env = gymnasium.make(NAVIGATION_ID, hall_weights=[3, 1, 1]).unwrapped
    end = env.halls.directions * (env.halls.radius - 0.5)
    places = np.array([*end, (0, 0), (-5, 0), (np.nan, 0)], np.float32)
    expected = [0.6, 0.2, 0.2, 0.0, -np.inf, np.nan]
    np.testing.assert_allclose(env.log_target(places), expected)


def test_pictures_are_drawn_where_asked_for():
    env = make(render_mode="rgb_array")
    before = (env.reset(), env.render())[1]
    env.step(np.ones(2, np.float32))
    assert (env.render() != before).any()
    vector = make_vec(2, render_mode="rgb_array")
    vector.reset()
    np.testing.assert_array_equal(vector.render()[1], before)
    assert make_vec(2).render() is None


def test_an_unknown_render_mode_is_named():
    with pytest.raises(ValueError, match="render_mode is 'human', expected None or 'rgb_array'"):
        make_vec(2, render_mode="human")
