"""Episodes played of learnt policies: whole, repeatable, each skill equally often."""

import gymnasium
import numpy as np
import pytest
import torch

from smm_core.config import ConfigError
from smm_core.environments import make_envs
from smm_core.evaluation import player
from smm_core.evaluation.player import play, policy_of, visit
from smm_core.history import PolicyHistory
from smm_core.learner import Learner, LearnerConfig
from smm_core.sac import SACConfig
from smm_core.state_space import StateConfig
from smm_core.transitions import Layout

LAYOUT = Layout(obs_size=2, action_size=1, num_skills=3)


class Counter(gymnasium.Env):
    """Episodes of 1, 2, 3, 1, 2, 3 ... steps; observes their number and the step."""

    metadata = {"render_modes": []}
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,))
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))
    episode = -1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode += 1
        self.steps = 0
        return self._obs(), {"at": 0}

    def step(self, action):
        self.steps += 1
        ends = self.steps > self.episode % 3
        told = {"at": self.steps, "action": float(action[0]), "text": "no number", "is": ends}
        return self._obs(), 2.0, ends, False, told

    def _obs(self):
        return np.array([self.episode, self.steps], np.float32)


class Reusing(Counter):
    """Tells all its steps in one dict, as it may."""

    told: dict[str, object] = {}

    def reset(self, *, seed=None, options=None):
        obs, info = super().reset(seed=seed)
        self.told.clear()
        self.told.update(info)
        return obs, self.told

    def step(self, action):
        *rest, info = super().step(action)
        self.told.update(info)
        return *rest, self.told


class OldRandom(Counter):
    """Draws its noise from the generator that numpy had before, as many environments do."""

    def reset(self, *, seed=None, options=None):
        np.random.RandomState(seed)
        return super().reset(seed=seed)


class Endless(Counter):
    def step(self, action):
        obs, reward, _, _, info = super().step(action)
        return obs, reward, False, False, info


@pytest.fixture
def counter(registered):
    """Register the counters; return a function that makes environments of one."""
    kinds = (Counter, Reusing, OldRandom, Endless)
    names = {kind.__name__: registered(kind, disable_env_checker=True) for kind in kinds}
    return lambda kind="Counter": lambda count: make_envs(names[kind], count)


@pytest.fixture
def learner(small_config, play):
    """A learner of two runs that has learnt a little and keeps three policies."""
    found = Learner(LAYOUT, small_config(), (0, 1))
    play(found, 16, runs=(0, 1), of=2)
    return found


def equal(first, second):
    """Return whether two lists of episodes are the same numbers."""
    pairs = zip(first, second, strict=True)
    return all(a.skill == b.skill and np.array_equal(a.obs, b.obs) for a, b in pairs) and all(
        np.array_equal(a.info["action"], b.info["action"], equal_nan=True)
        for a, b in zip(first, second, strict=True)
    )


def test_episodes_are_whole_and_tell_what_the_environment_told(learner, counter):
    history = policy_of(learner, "average")
    played = play(learner, history, counter(), (5, 6), episodes=7, copies=2)
    assert [len(run) for run in played] == [7, 7]
    # Two copies side by side: the episodes 0, 2, 4, 6 are one's and 1, 3, 5 the other's.
    assert [len(e.reward) for e in played[0]] == [1, 1, 2, 2, 3, 3, 1]
    for episode in played[0]:
        steps = len(episode.reward)
        assert episode.obs.shape == (steps + 1, 2)
        assert episode.obs[:, 1].tolist() == list(range(steps + 1))
        assert episode.reached.shape == (steps, 2)
        assert episode.terminated
        assert episode.info["at"].tolist() == list(range(steps + 1))
        assert np.isnan(episode.info["action"][0])
        assert set(episode.info) == {"at", "action", "is"}


def test_what_is_told_in_one_and_the_same_dict_is_told_of_each_step(learner, counter):
    random = policy_of(learner, "random")
    episodes = play(learner, random, counter("Reusing"), (5,), episodes=3, copies=1)[0]
    assert [e.info["at"].tolist() for e in episodes] == [[0, 1], [0, 1, 2], [0, 1, 2, 3]]


def test_every_skill_is_played_equally_often_with_its_own_policy(learner, counter, monkeypatch):
    seen = []
    act = player.ActingPolicy.act

    def watched(self, obs):
        seen.append((obs[:, 0].copy(), self.skill.tolist()))
        return act(self, obs)

    monkeypatch.setattr(player.ActingPolicy, "act", watched)
    played = play(learner, policy_of(learner, "average"), counter(), (5,), 12, copies=2)[0]
    assert np.bincount([e.skill for e in played]).tolist() == [4, 4, 4]
    for numbers, skills in seen:
        for copy, (number, skill) in enumerate(zip(numbers, skills, strict=True)):
            assert skill == (2 * int(number) + copy) % 3


def test_the_same_seeds_repeat_and_others_do_not(learner, counter):
    history = policy_of(learner, "average")
    first, again = (play(learner, history, counter(), (5, 6), 6, 2) for _ in range(2))
    assert equal(first[0], again[0])
    assert equal(first[1], again[1])
    assert not equal(first[0], play(learner, history, counter(), (7, 6), 6, 2)[0])


def test_a_run_plays_the_same_episodes_beside_others_as_alone(learner, counter):
    random = policy_of(learner, "random")
    beside = play(learner, random, counter(), (5, 6), 6, 2)[1]
    assert equal(beside, play(learner, random, counter(), (6,), 6, 2)[0])


def test_no_seed_of_a_training_is_played(learner, counter, monkeypatch):
    env_seeds, acting_seeds = [], []

    class Watched(player.SkillsInTurn):
        def __init__(self, *arguments):
            acting_seeds.extend(arguments[3])
            super().__init__(*arguments)

    monkeypatch.setattr(player, "SkillsInTurn", Watched)
    monkeypatch.setattr(
        player, "Rollout", lambda envs, acting, given: env_seeds.extend(given) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        play(learner, policy_of(learner, "random"), counter(), (0, 1), 8, 4)
    assert len(set(acting_seeds)) == len(set(env_seeds)) == 8
    assert min(acting_seeds) >= 2**32
    # Those of a training are small; of these not even the acting's lower words are repeated.
    assert min(env_seeds) > 1000
    assert not {seed % 2**32 for seed in acting_seeds} & set(env_seeds)


def test_environments_that_take_seeds_of_32_bits_only_are_played(learner, counter):
    random = policy_of(learner, "random")
    assert len(play(learner, random, counter("OldRandom"), (0,), 8, 4)[0]) == 8


def test_the_average_is_drawn_from_what_is_kept_by_the_runs_rule(learner):
    average = policy_of(learner, "average")
    assert average.weights == learner.history.weights
    assert average.config.on_policy == 0
    assert average.config.rule == learner.config.history.rule
    assert policy_of(learner, "average", on_policy=0.1).sample(0.05, 0.0).version == average.newest


def test_the_last_policy_is_the_one_in_training(learner):
    with torch.no_grad():
        for weights in learner.sac.actor.parameters():
            weights.fill_(0.125)
    last = policy_of(learner, "last")
    assert len(last.weights) == 1
    assert all((w == 0.125).all() for w in last.sample(0.9, 0.9).weights.values())


def test_nothing_learnt_is_played_at_random(small_config):
    fresh = Learner(LAYOUT, small_config(), (0,))
    for name in player.POLICIES:
        assert not policy_of(fresh, name).weights


def test_an_episode_without_an_end_is_an_error(learner, counter, monkeypatch):
    monkeypatch.setattr(player, "LONGEST_EPISODE", 20)
    with pytest.raises(ConfigError, match="after 20 steps.*max_episode_steps"):
        play(learner, policy_of(learner, "random"), counter("Endless"), (0,), 1)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_policy_is_played_with_the_activation_it_is_learnt_with(
    small_config, counter, activation
):
    sac = {"hidden": [16, 16], "policy_activation": activation}
    learner = Learner(Layout(2, 1), small_config(sac=sac), [0])
    with torch.no_grad():
        learner.sac.actor.net[-1].bias[..., 1:] = -20.0  # as little noise as there may be
    learner.snapshot()
    (episodes,) = play(learner, policy_of(learner, "last"), counter(), [0], episodes=3)
    for episode in episodes:
        mean, _ = learner.sac.actor(torch.from_numpy(episode.obs[:-1]).unsqueeze(0))
        expected = torch.tanh(mean).detach().flatten()
        np.testing.assert_allclose(episode.info["action"][1:], expected, atol=0.03)


PENDULUM = LearnerConfig(
    replay_capacity=10,
    sac=SACConfig(hidden=(8,)),
    state=StateConfig(linear=(2,), circular=(0, 1)),
)


def test_states_are_those_reached_in_each_environment():
    learner = Learner(Layout(3, 1), PENDULUM, [0])
    states = visit(learner, "Pendulum-v1", PolicyHistory(PENDULUM.history), [1, 2], 30)
    assert states.shape == (2, 30, 2)
    assert (np.abs(states[:, :, 0]) <= 8).all()  # the pendulum's velocity limit, rad/s
    assert (np.abs(states[:, :, 1]) <= np.pi + 1e-6).all()
    assert not np.array_equal(states[0], states[1])


def test_the_policies_of_the_history_are_played():
    learner = Learner(Layout(3, 1), PENDULUM, [0])
    with torch.no_grad():  # always the largest torque, one way
        for name, weights in learner.sac.actor.named_parameters():
            weights.zero_()
            if name.endswith("2.bias"):
                weights[..., 0] = 5.0
                weights[..., 1] = -5.0
    learner.snapshot()
    driven = visit(learner, "Pendulum-v1", learner.history.averaged(), [1], 200)
    blind = visit(learner, "Pendulum-v1", PolicyHistory(PENDULUM.history), [1], 200)
    assert not np.array_equal(driven, blind)
    again = visit(learner, "Pendulum-v1", learner.history.averaged(), [1], 200)
    np.testing.assert_array_equal(driven, again)
