"""Minari datasets of other origin: what fits becomes transitions, what does not is said."""

import gymnasium
import minari
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from minari.data_collector.episode_buffer import EpisodeBuffer

from smm_ros.bag.datasets.dataset import DatasetError
from smm_ros.bag.datasets.import_ import main
from smm_ros.bag.datasets.minari_dataset import open_dataset
from smm_ros.bag.reading import read_transitions

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:minari")

TORQUE = Box(-2.0, 2.0, (1,), np.float32)
PENDULUM = Box(-np.inf, np.inf, (3,), np.float32)


@pytest.fixture
def save(tmp_path, monkeypatch):
    """Return a function that saves episodes with Minari's own means and returns their folder."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))

    def save(episodes, observation_space=PENDULUM, action_space=TORQUE, **more):
        minari.create_dataset_from_buffers(
            "other/set-v0",
            episodes,
            observation_space=observation_space,
            action_space=action_space,
            **more,
        )
        return tmp_path / "datasets" / "other" / "set-v0"

    return save


def play_pendulum(episodes=2, steps=20):
    buffers = []
    with gymnasium.make("Pendulum-v1", max_episode_steps=steps) as env:
        env.action_space.seed(0)
        for seed in range(episodes):
            observations, actions, rewards, flags = [env.reset(seed=seed)[0]], [], [], []
            for _ in range(steps):
                actions.append(env.action_space.sample())
                observation, reward, terminated, truncated, _ = env.step(actions[-1])
                observations.append(observation)
                rewards.append(reward)
                flags.append((terminated, truncated))
            terminations, truncations = zip(*flags, strict=True)
            buffers.append(
                EpisodeBuffer(
                    observations=observations,
                    actions=actions,
                    rewards=rewards,
                    terminations=list(terminations),
                    truncations=list(truncations),
                )
            )
    return buffers


def buffer(**fields):
    values = {
        "observations": np.zeros((3, 3), np.float32),
        "actions": np.zeros((2, 1), np.float32),
        "rewards": [-1.0, 0.0],
        "terminations": [False, False],
        "truncations": [False, True],
    }
    return EpisodeBuffer(**values | fields)


@pytest.mark.parametrize("data_format", ["hdf5", "arrow"])
def test_a_pendulum_becomes_a_hand(save, tmp_path, capsys, data_format):
    episodes = play_pendulum()
    folder = save(episodes, env="Pendulum-v1", data_format=data_format)
    assert main([str(folder), "--hand", "pendulum", "--out", str(tmp_path / "bag")]) == 0
    assert "wrote 40 transitions" in capsys.readouterr().out
    records = list(read_transitions(tmp_path / "bag"))
    assert [record.sequence for record in records] == list(range(40))
    for record in records:
        episode, step = divmod(record.sequence, 20)
        assert (record.hand, record.episode, record.step) == ("pendulum", episode, step)
        assert np.array_equal(record.observation, episodes[episode].observations[step])
        assert np.array_equal(record.next_observation, episodes[episode].observations[step + 1])
        assert record.action == pytest.approx(episodes[episode].actions[step] / 2)
        assert record.log_p_shaping == pytest.approx(episodes[episode].rewards[step])
        assert record.truncated == (step == 19)
        assert record.stamp_ns == 10**8 * (record.sequence + episode)


def test_actions_are_scaled_from_their_bounds_and_clipped_to_them(save):
    low, high = np.float32([0, -4, 3]), np.float32([1, 4, 3])
    actions = np.float32([[0, -4, 3], [1, 4, 3], [0.5, 0, 3], [2, -9, 3]])
    episode = buffer(
        observations=np.zeros((5, 3), np.float32),
        actions=actions,
        rewards=[0.0] * 4,
        terminations=[False] * 4,
        truncations=[False] * 4,
    )
    dataset = open_dataset(save([episode], action_space=Box(low, high)))
    found = [record.action.tolist() for record in dataset.records(0)]
    assert found == [[-1, -1, 0], [1, 1, 0], [0, 0, 0], [1, -1, 0]]
    assert dataset.notes == ["1 actions were clipped to the bounds of their space"]


def test_rewards_above_zero_are_refused_or_ignored(save, tmp_path, capsys):
    folder = str(save([buffer(), buffer(rewards=[0.0, 2.5])]))
    assert main([folder, "--out", str(tmp_path / "bag")]) == 1
    said = capsys.readouterr().err
    assert "episode 1 of other/set-v0 has rewards up to 2.5" in said
    assert "--ignore_rewards" in said
    assert not (tmp_path / "bag").exists()
    assert main([folder, "--ignore_rewards", "--out", str(tmp_path / "bag")]) == 0
    records = list(read_transitions(tmp_path / "bag"))
    assert [record.log_p_shaping for record in records] == [0.0] * 4
    assert {record.hand for record in records} == {"imported"}


@pytest.mark.parametrize(
    ("spaces", "said"),
    [
        ({"action_space": Box(-np.inf, 1, (1,), np.float32)}, "without bounds"),
        ({"action_space": Discrete(3)}, "action space is Discrete"),
        ({"observation_space": Box(0, 255, (40, 40, 3), np.uint8)}, "observation space is Box"),
        ({"observation_space": Dict({"a": PENDULUM})}, "observation space is Dict"),
        ({"observation_space": Box(0, 9, (3,), np.int64)}, "a Box of one row of floats"),
    ],
)
def test_what_does_not_fit_is_said(save, spaces, said):
    folder = save([], **spaces)
    with pytest.raises(DatasetError, match=said):
        open_dataset(folder)


@pytest.mark.parametrize("field", ["observations", "actions", "rewards"])
def test_numbers_that_are_not_finite_are_refused(save, field):
    values = np.array(getattr(buffer(), field), np.float32)
    values[0] = np.nan
    dataset = open_dataset(save([buffer(**{field: values})]))
    with pytest.raises(DatasetError, match=f"{field} of episode 0 .* hold nan"):
        list(dataset.records(0))
