"""The benchmark of the twin: every side does the same work, and the figures are of it."""

import numpy as np
import pytest

from smm_ros.bench import twin_speed
from smm_ros.bench.twin_speed import BARE, many_twins, one_twin, train_speed
from smm_ros.dclaw import task


def test_the_environment_is_compared_with_bare_steps_of_the_same_episodes():
    found = one_twin(turns=2)
    assert [*found] == [BARE, "environment"]
    assert found[BARE].ratio == 1.0
    assert all(speed.steps_per_second > 0 and speed.ratio > 0 for speed in found.values())


def test_many_twins_are_compared_by_their_threads():
    found = many_twins(count=3, threads=(1, 2), turns=1)
    assert [*found] == [BARE, "3 twins, 1 thread", "3 twins, 2 threads"]
    assert found["3 twins, 2 threads"].ratio > 0


def test_a_side_that_does_other_work_is_noticed(monkeypatch):
    record = twin_speed._record

    def other(hands, actions):
        return record(hands, np.zeros_like(actions))

    monkeypatch.setattr(twin_speed, "_record", other)
    with pytest.raises(RuntimeError, match="environment ended where bare mj_step did not"):
        one_twin(turns=1)


def test_what_bare_steps_do_ends_where_the_episode_ended():
    hands = twin_speed.MujocoHands(2, 1)
    actions = np.random.default_rng(0).uniform(-1, 1, (50, 2, 9)).astype(np.float32)
    episode = twin_speed._record(hands, actions)
    twin_speed._bare_seconds(hands.model, episode)
    bare = [data.qpos.copy() for data in episode.starts]
    np.testing.assert_array_equal(bare, [data.qpos for data in hands.data])
    np.testing.assert_array_equal(task.observation(hands.read()), episode.last_obs)
    hands.close()


def test_training_is_timed_for_each_number_of_environments():
    learner = {
        "batch_size": 8,
        "sac": {"hidden": [8]},
        "density": {"vae": {"hidden": [8], "code_size": 2, "samples": 1}},
    }
    found = train_speed(envs=(1, 3), steps=40, rounds=1, learner=learner)
    assert [*found] == [1, 3]
    assert all(rate > 0 for rate in found.values())
