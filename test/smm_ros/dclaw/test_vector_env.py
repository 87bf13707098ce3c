"""Many simulated hands at once: each is the single one, whatever the threads and the others do."""

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.wrappers.vector import DictInfoToList

from smm_core.config import ConfigError
from smm_core.environments import VectorEnvs, make_envs
from smm_ros.dclaw import ENV_ID, spec
from smm_ros.dclaw.hand import HandError


@pytest.fixture
def make_vec():
    """Return a function that makes a vectorised environment, closed after the test."""
    made = []

    def make(num_envs, **options):
        made.append(
            gymnasium.make_vec(
                ENV_ID, num_envs, vectorization_mode="vector_entry_point", **options
            )
        )
        return made[-1]

    yield make
    for env in made:
        env.close()


def drawn(seed, steps, hands):
    """Return actions (steps, hands, 9), among them some that the clamp has to change."""
    rng = np.random.default_rng(seed)
    actions = rng.uniform(-1, 1, (steps, hands, 9)).astype(np.float32)
    actions[steps // 2, 0, 3] = np.nan
    actions[steps // 3, -1] = np.inf
    actions[steps // 4, -1, 5:] = np.nan
    return actions


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("valve_reset", ["zero", "keep"])
def test_every_hand_moves_bit_for_bit_as_alone(make_vec, threads, valve_reset):
    num_hands = 4
    together = make_vec(num_hands, physics_threads=threads, valve_reset=valve_reset)
    assert together.unwrapped.hands.threads == threads
    alone = [gymnasium.make(ENV_ID, valve_reset=valve_reset) for _ in range(num_hands)]
    for episode in range(2):
        seeds = [None, 7, None, 9] if episode else [0, 1, 2, 3]
        obs, info = together.reset(seed=seeds)
        for hand, (env, seed) in enumerate(zip(alone, seeds, strict=True)):
            first, told = env.reset(seed=seed)
            np.testing.assert_array_equal(obs[hand], first)
            assert DictInfoToList(together)._convert_info_to_list(info)[hand] == told
        for actions in drawn(episode, spec.EPISODE_STEPS, num_hands):
            *arrays, info = together.step(actions)
            told = DictInfoToList(together)._convert_info_to_list(info)
            for hand, env in enumerate(alone):
                *values, single = env.step(actions[hand])
                for array, value in zip(arrays, values, strict=True):
                    np.testing.assert_array_equal(array[hand], value)
                applied = single.pop("action_applied")
                np.testing.assert_array_equal(told[hand].pop("action_applied"), applied)
                assert told[hand] == single
        assert arrays[3].all()
    assert info["clamped"]["not_finite"].tolist() == [2, 0, 0, 2]
    # They did not all do the same.
    assert len(np.unique(arrays[0][:, 0])) == num_hands


def test_training_takes_them_by_itself_and_is_told_what_one_tells():
    single, several = make_envs(ENV_ID, 1), make_envs(ENV_ID, 3, {"physics_threads": 2})
    assert isinstance(several, VectorEnvs)
    assert several.metadata["matched_state"] == single.metadata["matched_state"]
    action = np.full((3, 9), np.nan, np.float32)
    for envs in (single, several):
        envs.reset(range(len(envs)), range(len(envs)))
        envs.step(action[: len(envs)])
    for told in several.infos:
        assert told.keys() == single.infos[0].keys()
        assert told["clamped"] == single.infos[0]["clamped"]
        np.testing.assert_array_equal(told["action_applied"], single.infos[0]["action_applied"])
    for envs in (single, several):
        envs.close()


def test_only_the_masked_hands_are_reset_and_the_others_go_on(make_vec):
    env, other = make_vec(3), make_vec(3)
    actions = drawn(0, 6, 3)
    for one in (env, other):
        one.reset(options={"valve_angle": np.array([0.0, 1.0, 2.0])})
        for action in actions[:4]:
            obs = one.step(action)[0]
    reset, info = env.reset(options={"reset_mask": np.array([False, True, False])})
    np.testing.assert_array_equal(reset[[0, 2]], obs[[0, 2]])
    assert info["valve_angle"][1] == 0.0
    np.testing.assert_array_equal(reset[1, :9], spec.RESET_POSE.astype(np.float32))
    for action in actions[4:]:
        np.testing.assert_array_equal(env.step(action)[0][[0, 2]], other.step(action)[0][[0, 2]])


def test_an_ended_episode_is_not_stepped_on(make_vec):
    env, action = make_vec(2, max_episode_steps=1), np.zeros((2, 9), np.float32)
    with pytest.raises(ResetNeeded, match="2 of 2 hands"):
        env.step(action)
    env.reset()
    assert env.step(action)[3].all()
    env.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(ResetNeeded, match="1 of 2 hands, the first is 1"):
        env.step(action)


def test_what_is_told_is_not_written_over_by_the_next_step(make_vec):
    env = make_vec(2)
    env.reset()
    *_, info = env.step(np.full((2, 9), np.nan, np.float32))
    before = info["valve_angle"].copy()
    env.step(np.full((2, 9), np.nan, np.float32))
    assert info["clamped"]["not_finite"].tolist() == [1, 1]
    np.testing.assert_array_equal(info["valve_angle"], before)


@pytest.mark.parametrize("mask", [[True, True], np.ones(3, bool), np.zeros(2, bool), np.ones(2)])
def test_a_bad_mask_is_named(make_vec, mask):
    with pytest.raises(ValueError, match="reset_mask is .*expected a bool array"):
        make_vec(2).reset(options={"reset_mask": mask})


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"num_envs": 0}, "count is 0, expected at least 1 twin"),
        ({"physics_threads": -1}, "physics_threads is -1, expected a whole number, 0 for"),
        ({"valve_reset": "spin"}, "'spin'.*keep.*zero"),
        ({"max_episode_steps": 0}, "max_episode_steps is 0"),
    ],
)
def test_bad_arguments_are_named(make_vec, options, hint):
    with pytest.raises(ValueError, match=hint):
        make_vec(**{"num_envs": 2, **options})


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("threads", ["two", -1, True, 1.5])
def test_a_bad_number_of_threads_is_a_mistake_in_the_settings(count, threads):
    with pytest.raises(ConfigError, match=f"physics_threads is {threads!r}, expected a whole"):
        make_envs(ENV_ID, count, {"physics_threads": threads})


def test_a_valve_is_not_reset_to_where_it_can_not_turn(make_vec):
    env = make_vec(2)
    env.reset()
    mask = np.array([True, False])
    with pytest.raises(ValueError, match=r"valve angle must be in .* got 7\.0"):
        env.reset(options={"valve_angle": [7.0, 0.0]})
    env.reset(options={"valve_angle": [1.0, 7.0], "reset_mask": mask})


@pytest.mark.parametrize("shape", [(3, 9), (1, 9), (9,)])
def test_actions_of_another_shape_are_named(make_vec, shape):
    env = make_vec(2)
    env.reset()
    with pytest.raises(ValueError, match=r"actions have shape \(.*, expected \(2, 9\)"):
        env.step(np.zeros(shape, np.float32))


def test_a_simulation_that_diverged_is_named_and_a_reset_mends_it(make_vec):
    env = make_vec(3)
    env.reset()
    env.unwrapped.hands.data[1].qpos[0] = np.nan
    with pytest.raises(HandError, match=r"(?s)diverged.*reset hand 1"):
        env.step(np.zeros((3, 9), np.float32))
    obs, _ = env.reset(options={"reset_mask": np.array([False, True, False])})
    assert np.isfinite(obs).all()
