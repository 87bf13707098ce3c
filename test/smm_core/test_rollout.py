"""Environments played in step: what is stored is what happened, in the terms the learner takes."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box

from smm_core.acting import ActingPolicy
from smm_core.environments import SeparateEnvs, layout_of, make_env
from smm_core.history import HistoryConfig, PolicyHistory
from smm_core.rollout import Rollout
from smm_core.transitions import TransitionError


class Counter(gymnasium.Env):
    """Observes how many steps and episodes there were; `script` overrides what a step gives."""

    metadata = {"render_modes": []}
    observation_space = Box(-np.inf, np.inf, (3,))
    action_space = Box(-1.0, 1.0, (2,))

    def __init__(self, length=3, ends="truncated", reset_value=0.0, script=None):
        self.length, self.ends, self.reset_value = length, ends, reset_value
        self.script = script or {}
        self.total, self.episodes, self.steps, self.actions, self.seeds = 0, 0, 0, [], []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.steps, self.episodes = 0, self.episodes + 1
        return self._obs(self.reset_value), {"reset": True}

    def step(self, action):
        self.actions.append(np.array(action))
        self.steps, self.total = self.steps + 1, self.total + 1
        value, reward, info = self.script.get(self.total, (0.0, float(self.steps), {}))
        over = self.steps == self.length
        ends = (over and self.ends == "terminated", over and self.ends == "truncated")
        return self._obs(value), reward, *ends, info

    def _obs(self, value):
        return np.array([self.episodes, self.steps, value], np.float64)


def rollout_of(*envs, seeds=None, first_lengths=None):
    seeds = seeds or range(len(envs))
    acting = ActingPolicy(layout_of(envs[0], 2), (8,), PolicyHistory(HistoryConfig()), seeds)
    return Rollout(SeparateEnvs(envs), acting, seeds, first_lengths)


def test_steps_follow_one_another_and_episodes_begin_anew():
    rollout = rollout_of(Counter(length=3))
    steps = [rollout.step() for _ in range(7)]
    starts = [step.obs[0, :2].tolist() for step in steps]
    ends = [step.next_obs[0, :2].tolist() for step in steps]
    assert starts == [[1, 0], [1, 1], [1, 2], [2, 0], [2, 1], [2, 2], [3, 0]]
    assert ends == [[1, 1], [1, 2], [1, 3], [2, 1], [2, 2], [2, 3], [3, 1]]
    assert [bool(step.truncated[0]) for step in steps] == [False, False, True] * 2 + [False]
    assert not any(step.terminated[0] for step in steps)
    assert [float(step.reward[0]) for step in steps] == [1, 2, 3, 1, 2, 3, 1]
    assert rollout.envs.envs[0].seeds == [0, None, None]


def test_a_terminated_episode_begins_anew_too():
    rollout = rollout_of(Counter(length=2, ends="terminated"))
    steps = [rollout.step() for _ in range(3)]
    assert [bool(step.terminated[0]) for step in steps] == [False, True, False]
    assert not any(step.truncated[0] for step in steps)
    assert steps[2].obs[0, :2].tolist() == [2, 0]


def test_environments_end_on_their_own():
    rollout = rollout_of(Counter(length=2), Counter(length=3))
    steps = [rollout.step() for _ in range(6)]
    assert [step.obs[:, 1].tolist() for step in steps[:4]] == [[0, 0], [1, 1], [0, 2], [1, 0]]
    assert [env.episodes for env in rollout.envs.envs] == [4, 3]
    assert rollout.envs.envs[1].seeds[0] == 1


def test_first_episodes_are_cut_where_that_is_said_and_later_ones_are_not():
    rollout = rollout_of(*(Counter(length=6) for _ in range(3)), first_lengths=[6, 2, 9])
    ends = np.array([rollout.step().truncated for _ in range(14)])
    assert [np.flatnonzero(column).tolist() for column in ends.T] == [[5, 11], [1, 7, 13], [5, 11]]


def test_the_skill_stays_for_an_episode():
    rollout = rollout_of(Counter(length=5))
    skills = np.array([rollout.step().skill[0] for _ in range(100)]).reshape(20, 5)
    assert (skills == skills[:, :1]).all()
    assert len(np.unique(skills)) == 2


def test_what_was_applied_is_stored_and_what_was_asked_is_played():
    applied = np.array([0.125, -0.5])
    env = Counter(script={2: (0.0, 0.0, {"action_applied": applied})})
    rollout = rollout_of(env)
    first, second = rollout.step(), rollout.step()
    np.testing.assert_array_equal(first.action[0], env.actions[0].astype(np.float32))
    np.testing.assert_array_equal(second.action[0], applied.astype(np.float32))
    assert (env.actions[1] != applied).all()


def test_a_transition_is_not_written_over_by_the_next(make_transition):
    rollout = rollout_of(Counter(length=9))
    first = rollout.step()
    before = {name: values.copy() for name, values in vars(first).items()}
    rollout.step()
    for name, values in before.items():
        np.testing.assert_array_equal(getattr(first, name), values)


@pytest.mark.parametrize(
    ("script", "hint"),
    [
        ({2: (np.nan, 0.0, {})}, r"next_obs\[1, 2\] is nan"),
        ({2: (1e300, 0.0, {})}, r"next_obs\[1, 2\] is inf"),
        ({2: (0.0, np.inf, {})}, r"reward\[1\] is inf"),
        ({2: (0.0, 0.0, {"action_applied": np.array([0, np.nan])})}, r"action\[1, 1\] is nan"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_a_number_that_is_not_finite_is_an_error_that_names_it(script, hint):
    rollout = rollout_of(Counter(), Counter(script=script))
    rollout.step()
    with pytest.raises(TransitionError, match=hint):
        rollout.step()


def test_a_reset_that_is_not_finite_is_an_error():
    with pytest.raises(TransitionError, match="reset returned.*nan"):
        rollout_of(Counter(reset_value=np.nan))


@pytest.mark.parametrize("run", [0, 1])
def test_a_run_is_played_the_same_alone_and_beside_another(ring, run):
    together = rollout_of(make_env(ring), make_env(ring), seeds=(5, 6))
    alone = rollout_of(make_env(ring), seeds=(5 + run,))
    for _ in range(50):
        many, one = together.step(), alone.step()
        for name, values in vars(one).items():
            np.testing.assert_array_equal(getattr(many, name)[run], values[0])
