"""Collecting states: whole episodes are held out, memory is bounded, looking changes nothing."""

import numpy as np
import pytest
import torch

from smm_core.config import ConfigError
from smm_core.offline.model_fit import fit_models
from smm_core.offline.state_samples import BLOCK, FitError, is_held_out

MODELS = ["histogram", "vae", "flow", "gaussian_mixture"]


def parameters(samples):
    return fit_models(samples).models.density.state_dict()


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def test_whole_episodes_are_held_out(make_samples):
    samples = make_samples(0, held_out=0.5)
    for episode in range(200):
        for _ in range(10):
            # The observation says which episode it is of.
            angle = episode / 100
            obs = np.array([0.0, np.cos(angle), np.sin(angle)], np.float32)
            samples.add(obs, 0, 0.0, f"hand {episode}")
    samples = samples.copy()
    parts = [np.round(100 * r.rows[:, 0]) % 628 for r in (samples.train, samples.held_out)]
    learnt, kept = (set(part) for part in parts)
    assert not learnt & kept
    assert len(learnt | kept) == 200
    assert 70 < len(kept) < 130


def test_what_is_next_to_the_other_part_is_in_neither(make_samples):
    samples, obs = make_samples(0, held_out=0.5), np.array([0.0, 1.0, 0.0], np.float32)
    names = [f"stretch {number}" for number in range(200)]
    for before, name in zip(names, names[1:], strict=False):
        samples.add(obs, 0, 0.0, name, before)
    samples.add(obs, 0, 0.0, names[0])
    samples = samples.copy()
    sides = [is_held_out(samples.config.seed, name, 0.5) for name in names]
    differ = sum(a != b for a, b in zip(sides, sides[1:], strict=False))
    assert samples.beside == differ > 0
    assert samples.train.seen + samples.held_out.seen == 200 - differ


def test_the_share_held_out_is_as_asked_and_depends_on_the_seed():
    found = [[is_held_out(seed, f"hand {n}", 0.2) for n in range(5000)] for seed in range(2)]
    assert all(abs(np.mean(values) - 0.2) < 0.03 for values in found)
    assert found[0] != found[1]


@pytest.mark.parametrize("model", MODELS)
def test_a_look_in_between_changes_nothing(make_samples, transitions, model):
    """Also when more came than is kept, and a density has begun to count."""
    count, settings = BLOCK + 900, {"model": model, "capacity": 1000}
    watched = make_samples(0, **settings)
    for number, values in enumerate(transitions(count, skills=2)):
        watched.add(*values)
        if number in (500, 1700, BLOCK + 5):
            fit_models(watched.copy())
    assert_equal(parameters(watched.copy()), parameters(make_samples(count, 2, **settings).copy()))


def test_memory_is_bounded_and_a_density_that_counts_has_seen_every_training_state(make_samples):
    samples = make_samples(3 * BLOCK + 77, skills=2, capacity=500).copy()
    assert len(samples.train.rows) == len(samples.held_out.rows) == 500
    assert samples.train.seen + samples.held_out.seen == 3 * BLOCK + 77
    assert int(samples.density().totals.sum()) == samples.train.seen


def test_the_skills_are_as_many_as_were_seen(make_samples):
    for count, capacity in ((1000, 5000), (5000, 1000)):
        samples = make_samples(count, skills=3, capacity=capacity).copy()
        samples.density()
        assert samples.num_skills == 3


def test_a_skill_beyond_those_that_were_settled_is_named(make_samples, transitions):
    samples, (obs, *_) = make_samples(BLOCK, capacity=1000), next(transitions(1))
    with pytest.raises(FitError, match="skill 4, expected 0 .. 0; set num_skills to 5"):
        samples.add(obs, 4, 0.0, "hand 0")
    with pytest.raises(FitError, match="num_skills to 3"):
        make_samples(num_skills=2).add(obs, 2, 0.0, "hand 0")


def test_numbers_that_are_not_finite_are_left_out_and_counted(make_samples):
    samples = make_samples(100)
    for bad in (np.nan, np.inf, 1e30):
        samples.add(np.array([bad, 1.0, 0.0], np.float32), 0, 0.0, "hand 0")
    samples.add(np.array([0.0, 1.0, 0.0], np.float32), 0, np.nan, "hand 0")
    samples = samples.copy()
    assert samples.refused == 4
    assert samples.train.seen + samples.held_out.seen == 100


def test_an_observation_of_another_size_is_refused(make_samples):
    with pytest.raises(FitError, match=r"shape \(5,\), expected \(3,\)"):
        make_samples(10).add(np.zeros(5, np.float32), 0, 0.0, "hand 9")


def test_settings_that_do_not_fit_are_known_before_the_first_transition(make_samples):
    with pytest.raises(ConfigError, match=r"matched state entry 7"):
        make_samples(state={"linear": [7]})
    with pytest.raises(ConfigError, match=r"uniform_circle"):
        make_samples(state={"linear": [0]})
    grid = {"model": "histogram", "histogram": {"bins": [4000]}}
    target = {"name": "reward"}
    with pytest.raises(ConfigError, match=r"cells"):
        make_samples(state={"linear": [0, 1, 2]}, density=grid, target=target)
