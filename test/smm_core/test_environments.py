"""Environments made for a learner: flat, scaled, refused where they do not fit."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from smm_core.config import ConfigError
from smm_core.environments import (
    EPISODE_LIMIT,
    SeparateEnvs,
    VectorEnvs,
    layout_of,
    make_env,
    make_envs,
    read_env_options,
)


class Plain(gymnasium.Env):
    """Observes the step it is at, and what it was made with."""

    metadata = {"render_modes": []}
    observation_space = Box(-np.inf, np.inf, (3,))
    action_space = Box(-1.0, 1.0, (2,))

    def __init__(self, length=5):
        if length < 1:
            raise ValueError(f"length is {length}, expected at least 1")
        self.length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self._obs(), {"start": True}

    def step(self, action):
        self.count += 1
        return (
            self._obs(),
            float(action.sum()),
            False,
            self.count == self.length,
            {"at": self.count},
        )

    def _obs(self):
        return np.array([self.count, self.np_random.random(), self.length], np.float32)


class Switch(Plain):
    action_space = Discrete(2)


class Unbounded(Plain):
    action_space = Box(-np.inf, np.inf, (2,))


class Nested(Plain):
    observation_space = Dict({"a": Box(-1.0, 1.0, (2, 2)), "b": Discrete(3)})


@pytest.mark.parametrize("name", ["NoSuchEnv-v0", "no_such_module:Env-v0", "nowhere/Env-v0", ""])
def test_an_unknown_environment_is_refused_by_name(name):
    with pytest.raises(ConfigError, match=f"environment '{name}'"):
        make_env(name)


@pytest.mark.parametrize("kind", [Switch, Unbounded])
def test_actions_that_are_no_bounded_box_are_refused(registered, kind):
    with pytest.raises(ConfigError, match=rf"{kind.__name__}-v0 has actions.*bounded Box"):
        make_env(registered(kind))


def test_observations_of_any_shape_are_flattened(registered):
    layout = layout_of(make_env(registered(Nested)), 4)
    assert (layout.obs_size, layout.action_size, layout.num_skills) == (4 + 3, 2, 4)


def test_actions_are_rescaled_to_the_environments_own_range():
    env = make_env("Pendulum-v1")
    assert (env.action_space.low, env.action_space.high) == (-1, 1)
    env.reset(seed=0)
    for action in (-1.0, 0.25, 1.0):
        env.step(np.array([action], np.float32))
        assert env.unwrapped.last_u == pytest.approx(2 * action)
    env.close()


def test_a_box_that_fits_is_left_alone(ring):
    assert type(make_env(ring).action_space) is Box
    assert layout_of(make_env(ring), 1).action_size == 1


def test_an_unknown_option_or_a_bad_value_is_refused(registered):
    name = registered(Plain)
    assert make_env(name, {"length": 3}).unwrapped.length == 3
    for options, hint in (({"width": 3}, "width"), ({"length": 0}, "length is 0")):
        with pytest.raises(ConfigError, match=hint):
            make_env(name, options)


def test_options_are_read_from_words():
    words = ("num_halls=5", "hall_weights=[1, 2.5]", "name=a=b", "flag=true", "width=3e-1")
    expected = {"num_halls": 5, "hall_weights": [1, 2.5], "name": "a=b", "flag": True}
    expected["width"] = 0.3
    assert read_env_options(words) == expected
    for word in ("halls", "=3", "halls=[1"):
        with pytest.raises(ConfigError, match="env_options|no value"):
            read_env_options((word,))


def vector_of(lengths):
    makers = [lambda length=length: Plain(length) for length in lengths]
    return VectorEnvs(SyncVectorEnv(makers, autoreset_mode=AutoresetMode.DISABLED))


def test_a_vector_environment_is_played_like_separate_ones():
    lengths = (2, 3)
    both = (vector_of(lengths), SeparateEnvs([Plain(length) for length in lengths]))
    rng = np.random.default_rng(0)
    starts = [envs.reset([0, 1], [7, 8]) for envs in both]
    np.testing.assert_array_equal(*starts)
    for _ in range(7):
        action = rng.uniform(-1, 1, (2, 2)).astype(np.float32)
        steps = [envs.step(action) for envs in both]
        for mine, other in zip(*steps, strict=True):
            np.testing.assert_array_equal(mine, other)
            assert mine.dtype == other.dtype
        assert [int(info["at"]) for info in both[0].infos] == [i["at"] for i in both[1].infos]
        ended = np.flatnonzero(steps[0][3]).tolist()
        if ended:
            np.testing.assert_array_equal(
                *(envs.reset(ended, [None] * len(ended)) for envs in both)
            )


def test_a_vector_environment_begins_all_its_episodes_first():
    with pytest.raises(ValueError, match="expected all 2"):
        vector_of((2, 3)).reset([1], [0])


@pytest.fixture
def together(registered):
    """Return a function that registers a kind with a limit and a vectorised form."""

    def steps_together(kind, mode=AutoresetMode.DISABLED):
        return registered(
            kind,
            f"Together{kind.__name__}",
            max_episode_steps=50,
            vector_entry_point=lambda num_envs, max_episode_steps=50, **options: SyncVectorEnv(
                [lambda: kind(**options)] * num_envs, autoreset_mode=mode
            ),
        )

    return steps_together


def test_environments_that_step_together_are_used_where_there_are_several(together):
    name = together(Plain)
    assert isinstance(make_envs(name, 1), SeparateEnvs)
    several = make_envs(name, 3, {"length": 2})
    assert isinstance(several, VectorEnvs)
    assert several.reset([0, 1, 2], [0, 1, 2])[:, 2].tolist() == [2, 2, 2]


class Wide(Plain):
    """Moves by its action, which is as large as 5."""

    action_space = Box(-5.0, 5.0, (2,))

    def step(self, action):
        obs, _, *rest = super().step(action)
        return obs, float(action[0]), *rest[:-1], {"action_applied": action / 2}


@pytest.mark.parametrize("count", [1, 2])
def test_actions_are_scaled_however_many_are_stepped(together, count):
    """Stepped together they would miss the wrapper that scales."""
    envs = make_envs(together(Wide), count)
    envs.reset(range(count), range(count))
    _, reward, _, _ = envs.step(np.full((count, 2), 0.5, np.float32))
    assert reward.tolist() == [2.5] * count
    for info in envs.infos:
        np.testing.assert_allclose(info["action_applied"], [0.25, 0.25])


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_those_that_reset_by_themselves_are_stepped_one_by_one(together, mode):
    assert isinstance(make_envs(together(Plain, mode), 2), SeparateEnvs)


def test_an_episode_that_nothing_ends_is_ended(registered):
    env = make_env(registered(Plain), {"length": 10**9})
    env.reset(seed=0)
    ends = [env.step(np.zeros(2, np.float32))[2:4] for _ in range(EPISODE_LIMIT)]
    assert ends == [(False, False)] * (EPISODE_LIMIT - 1) + [(False, True)]


class Whole(Plain):
    action_space = Box(-1, 1, (2,), np.int64)


def test_whole_numbers_are_no_actions(registered):
    with pytest.raises(ConfigError, match="bounded Box of floats"):
        make_env(registered(Whole))
