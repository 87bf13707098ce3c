"""One skill and one policy for a whole episode, drawn anew for the next."""

import numpy as np
import pytest
import torch

from smm_core.acting import RANDOM_VERSION, ActingPolicy, acting_seed
from smm_core.generators import Generators
from smm_core.history import HistoryConfig, PolicyHistory, Snapshot, SnapshotError
from smm_core.networks import Actor
from smm_core.transitions import Layout

LAYOUT = Layout(obs_size=3, action_size=2, num_skills=4)
HIDDEN = (8,)
SEEDS = (0, 1)


def snapshot(version, layout=LAYOUT, hidden=HIDDEN, runs=2):
    actor = Actor(
        Generators(range(version, version + runs)),
        layout.obs_size + layout.skill_size,
        layout.action_size,
        hidden,
    )
    return Snapshot(version, layout, {n: t.clone() for n, t in actor.state_dict().items()})


def acting(versions=(), seeds=SEEDS, on_policy=0.0, layout=LAYOUT, copies=1):
    history = PolicyHistory(HistoryConfig(on_policy=on_policy))
    for version in versions:
        history.add(snapshot(version, layout))
    return ActingPolicy(layout, HIDDEN, history, seeds, copies=copies)


def observations(seed=0, runs=2):
    return np.random.default_rng(seed).normal(size=(runs, 3)).astype(np.float32)


def begin(policy):
    for run in range(len(policy.version)):
        policy.begin_episode(run)


def test_skill_and_policy_stay_for_the_episode_and_change_between_episodes():
    policy = acting(range(1, 10))
    seen = set()
    for episode in range(40):
        begin(policy)
        skill, version = policy.skill.tolist(), policy.version.tolist()
        for step in range(5):
            policy.act(observations(step))
            assert (policy.skill.tolist(), policy.version.tolist()) == (skill, version)
        # A policy that is added in the middle plays from the next episode on.
        policy.history.add(snapshot(10 + episode))
        policy.act(observations())
        assert policy.version.tolist() == version
        seen.add((skill[0], version[0]))
    assert len({skill for skill, _ in seen}) == 4
    assert len({version for _, version in seen}) > 5


def test_an_episode_plays_the_weights_of_its_version():
    policy = acting((3,), on_policy=1.0)
    begin(policy)
    actor = Actor(Generators((0, 0)), 7, 2, HIDDEN)
    actor.load_state_dict(snapshot(3).weights)
    noise = Generators(SEEDS)
    noise.load_state(policy.generators.state())
    obs = observations()
    onehot = torch.eye(4)[policy.skill]
    inputs = torch.cat((torch.from_numpy(obs), onehot), -1).unsqueeze(1)
    expected, _ = actor.sample(inputs, noise.normal(1, 2))
    np.testing.assert_allclose(policy.act(obs), expected.squeeze(1).detach().numpy(), rtol=1e-5)


def test_later_training_does_not_change_the_policy_in_play():
    policy, other = acting((3,), on_policy=1.0), acting((3,), on_policy=1.0)
    for each in (policy, other):
        begin(each)
    for tensor in policy.history.snapshots[3].weights.values():
        tensor.fill_(9.0)
    np.testing.assert_array_equal(policy.act(observations()), other.act(observations()))


def test_before_the_first_policy_actions_are_uniform_and_blind():
    policy = acting()
    begin(policy)
    assert policy.version.tolist() == [RANDOM_VERSION] * 2
    actions = np.stack([policy.act(100 * observations()) for _ in range(2000)])
    assert np.abs(actions).max() <= 1
    assert np.abs(actions.mean(0)).max() < 0.06
    quarters = [np.mean(actions < edge) for edge in (-0.5, 0.0, 0.5)]
    assert quarters == pytest.approx([0.25, 0.5, 0.75], abs=0.03)


def test_a_run_leaves_blind_play_by_its_next_episode_only():
    policy = acting()
    begin(policy)
    policy.history.add(snapshot(1))
    policy.begin_episode(1)
    assert policy.version.tolist() == [RANDOM_VERSION, 1]
    blind = acting()
    begin(blind)
    blind.begin_episode(1)
    played, unplayed = policy.act(observations()), blind.act(observations())
    np.testing.assert_array_equal(played[0], unplayed[0])
    assert (played[1] != unplayed[1]).all()


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
def test_actions_stay_in_the_box(scale):
    policy = acting((1,))
    begin(policy)
    for seed in range(20):
        action = policy.act(scale * observations(seed))
        assert action.shape == (2, 2)
        assert action.dtype == np.float32
        assert np.abs(action).max() <= 1


@pytest.mark.parametrize("run", [0, 1])
@pytest.mark.parametrize("versions", [(), (1, 2, 3)])
def test_a_run_plays_the_same_alone_and_beside_another(run, versions):
    together, alone = acting(versions), acting((), seeds=SEEDS[run : run + 1])
    for version in versions:
        weights = {n: t[run, None] for n, t in snapshot(version).weights.items()}
        alone.history.add(Snapshot(version, LAYOUT, weights))
    for episode in range(5):
        begin(together)
        begin(alone)
        assert together.skill[run] == alone.skill[0]
        assert together.version[run] == alone.version[0]
        for step in range(3):
            obs = observations(10 * episode + step)
            np.testing.assert_allclose(
                together.act(obs)[run], alone.act(obs[run, None])[0], rtol=1e-4, atol=1e-5
            )


def test_the_environments_of_a_run_play_its_policies_each_its_own():
    """Two runs with three environments each; every one draws its skill and version."""
    seeds = range(6)
    policy = acting(range(1, 10), seeds=seeds, copies=3)
    begin(policy)
    assert len(set(policy.version.tolist())) > 2
    assert len(set(policy.skill.tolist())) > 1
    for place in range(6):
        alone = acting((), seeds=[place])
        for version in range(1, 10):
            weights = {n: t[place // 3, None] for n, t in snapshot(version).weights.items()}
            alone.history.add(Snapshot(version, LAYOUT, weights))
        begin(alone)
        assert alone.version[0] == policy.version[place]
        assert alone.skill[0] == policy.skill[place]
        found = policy._actor.state_dict()
        for name, tensor in alone._actor.state_dict().items():
            assert torch.equal(found[name][place], tensor[0])


def test_no_two_environments_share_a_seed_nor_one_with_learning():
    seeds = [acting_seed(seed, copy) for seed in range(50) for copy in range(50)]
    assert len(set(seeds) | set(range(50))) == 50 * 50 + 50
    assert [acting_seed(seed) for seed in range(3)] == [acting_seed(seed, 0) for seed in range(3)]


def test_skills_are_drawn_from_the_prior():
    policy = acting((1,), seeds=(0,))
    policy.skill_prior.probabilities.copy_(torch.tensor([0.1, 0.0, 0.6, 0.3]))
    counts = np.zeros(4)
    for _ in range(2000):
        policy.begin_episode()
        counts[int(policy.skill)] += 1
    assert counts / 2000 == pytest.approx([0.1, 0.0, 0.6, 0.3], abs=0.05)
    assert counts[1] == 0


def test_one_skill_plays_without_a_skill_input():
    policy = acting((1,), layout=Layout(3, 2))
    begin(policy)
    assert policy.act(observations()).shape == (2, 2)
    assert policy.skill.tolist() == [0, 0]


def test_a_policy_that_fits_is_accepted():
    acting().check(snapshot(1))


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (snapshot(7, Layout(4, 2, 4)), "policy 7 is for .*obs_size=4.*obs_size=3"),
        (snapshot(7, Layout(3, 3, 4)), "action_size=3"),
        (snapshot(7, Layout(3, 2, 2)), "num_skills=2"),
        (snapshot(7, hidden=(9,)), r"does not fit the actor at net.*sac\.hidden"),
        (snapshot(7, hidden=(8, 8)), r"does not fit.*sac\.hidden"),
        (Snapshot(7, LAYOUT, {}), "does not fit"),
    ],
)
def test_a_policy_of_another_layout_or_network_is_refused(wrong, hint):
    with pytest.raises(SnapshotError, match=hint):
        acting().check(wrong)
