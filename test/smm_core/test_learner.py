"""The learner: how many updates are owed, when policies are kept, and runs that stay apart."""

import math
from fractions import Fraction
from operator import attrgetter

import numpy as np
import pytest
import torch

from smm_core.config import ConfigError
from smm_core.generators import Generators
from smm_core.transitions import Layout, TransitionError

LAYOUT = Layout(obs_size=3, action_size=2)
SKILLED = Layout(obs_size=3, action_size=2, num_skills=3)
# A grid that grows does so by what comes together.
FIXED = {"bins": [4, 4, 4], "low": [-5.0, -5.0, -5.0], "high": [5.0, 5.0, 5.0]}


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 1.0, 1.5, 4.0])
@pytest.mark.parametrize("random_steps", [1, 7])
def test_updates_keep_to_their_rate_after_the_random_steps(
    make, make_transition, rate, random_steps
):
    learner = make(random_steps=random_steps, updates_per_step=rate, replay_capacity=8)
    for step in range(1, 30):  # more than the replay holds: forgotten steps are still owed for
        learner.observe(make_transition(LAYOUT, seed=step))
        learning_steps = max(0, step - random_steps)
        assert learner.updates + learner.updates_owed == math.floor(
            learning_steps * Fraction(rate)
        )
        if step % 3 == 0:
            learner.updates += learner.updates_owed
            assert learner.updates_owed == 0


def test_policies_are_kept_once_learning_starts_and_then_every_period(make, make_transition):
    learner = make(random_steps=5, updates_per_step=0.0, history={"period": 4, "capacity": 20})
    kept = {}
    for step in range(1, 20):
        learner.observe(make_transition(LAYOUT, seed=step))
        if learner.snapshot_due:
            kept[step] = learner.snapshot().version
            assert not learner.snapshot_due
    assert kept == {5: 1, 9: 2, 13: 3, 17: 4}


RING = {"order": 3, "obs": [0, 1, 2]}


def test_with_a_symmetry_other_transitions_are_learnt_from_than_are_told_of(make, play):
    plain, turned = make(), make(symmetry=RING)
    for learner in (plain, turned):
        play(learner, 4)
    told, also_told = plain.update(), turned.update()
    assert told.keys() == also_told.keys()
    of_policy = {"critic_loss", "actor_loss", "policy_entropy", "temperature_loss", "temperature"}
    for name in told.keys() - of_policy:
        torch.testing.assert_close(told[name], also_told[name], msg=name)
    assert not torch.equal(told["critic_loss"], also_told["critic_loss"])


def test_a_transition_is_paid_for_the_state_that_its_equal_reaches(make, play, monkeypatch):
    """By a histogram whose density is exact, so that it can be asked again."""
    learner, paid = make(symmetry=RING, density={"model": "histogram"}, state={"linear": [0]}), []
    play(learner, 8)
    monkeypatch.setattr(learner.sac, "update", lambda *given: paid.append(given) or {})
    learner.update()
    batch, reward, onehot, *_ = paid[0]
    state = learner.space.select(batch.next_obs)
    log_target = learner.target.log_prob(state, batch.reward)
    log_density = learner.objective.density.log_prob(state, onehot, learner.generators)
    torch.testing.assert_close(reward, log_target - log_density)


def test_pseudo_counts_have_no_symmetry(make):
    with pytest.raises(ConfigError, match="symmetry.order is 3 with method 'pseudocount'"):
        make(method="pseudocount", symmetry=RING)


def test_a_kept_policy_is_frozen(make, play):
    learner = make()
    play(learner, 4)
    before = {n: t.clone() for n, t in learner.history.snapshots[1].weights.items()}
    learner.update()
    after = learner.history.snapshots[1].weights
    assert all(torch.equal(before[n], after[n]) for n in before)
    assert any((learner.sac.actor.state_dict()[n] != before[n]).any() for n in before)


def test_a_bad_transition_is_refused_and_not_counted(make, make_transition):
    learner = make()
    with pytest.raises(TransitionError):
        learner.observe(make_transition(LAYOUT, reward=np.array([np.nan], np.float32)))
    assert learner.steps == 0


def test_one_skill_has_no_posterior_and_no_prior_term(make, play):
    learner = make()
    play(learner, 10)
    metrics = learner.update()
    assert metrics["reward_posterior"].tolist() == metrics["reward_prior"].tolist() == [0.0]
    expected = metrics["reward_target"] + metrics["reward_density"]
    torch.testing.assert_close(metrics["reward_total"], expected)


def test_several_skills_have_all_four_terms(make, play):
    learner = make(SKILLED)
    play(learner, 10)
    metrics = learner.update()
    assert metrics["reward_prior"].item() == pytest.approx(math.log(3))
    assert metrics["reward_posterior"].item() < 0
    terms = sum(metrics[f"reward_{name}"] for name in ("target", "density", "posterior", "prior"))
    torch.testing.assert_close(metrics["reward_total"], terms)


@pytest.mark.parametrize(
    "part", ["objective.density", "objective.discriminator", "sac.actor", "sac.critic"]
)
def test_an_update_teaches_every_model(make, play, part):
    learner = make(SKILLED)
    play(learner, 4)
    model = attrgetter(part)(learner)
    before = [p.detach().clone() for p in model.parameters()]
    learner.update()
    pairs = zip(before, model.parameters(), strict=True)
    assert all(not torch.equal(old, new) for old, new in pairs)


def test_the_entropies_do_not_depend_on_the_weights_of_the_reward(make, play):
    found = []
    for weights in ({}, {"state_entropy": 250.0, "skill_entropy": 5.0}):
        learner = make(SKILLED, reward=weights)
        play(learner, 4)
        found.append(learner.update())
    for name in ("entropy_s_given_z", "entropy_z_given_s"):
        torch.testing.assert_close(found[0][name], found[1][name])


def test_the_reward_is_of_the_state_reached(make, make_transition):
    """Two learners whose transitions differ only in where they start pay the same."""
    found = []
    for cosine in (1.0, -1.0):
        learner = make(random_steps=1, batch_size=4, state={"circular": [0, 1]})
        start = np.array([[cosine, 0.0, 0.0]], np.float32)
        learner.observe(make_transition(LAYOUT, obs=start))
        found.append(learner.update())
    assert torch.equal(found[0]["reward_total"], found[1]["reward_total"])
    assert not torch.equal(found[0]["actor_loss"], found[1]["actor_loss"])


@pytest.mark.parametrize("layout", [LAYOUT, SKILLED])
@pytest.mark.parametrize("run", [0, 1, 2])
def test_a_run_learns_the_same_alone_and_beside_others(make, play, layout, run):
    seeds = (3, 1, 8)
    together, alone = make(layout, seeds), make(layout, seeds[run : run + 1])
    play(together, 12, (0, 1, 2), 3)
    play(alone, 12, (run,), 3)
    assert together.updates == alone.updates == 8
    many, one = together.update(), alone.update()
    for name, values in one.items():
        torch.testing.assert_close(many[name][run], values[0], rtol=1e-3, atol=1e-4)
    both = (together.history.snapshots[3], alone.history.snapshots[3])
    for name, tensor in both[1].weights.items():
        torch.testing.assert_close(both[0].weights[name][run], tensor[0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 1e3, 1e6])
@pytest.mark.parametrize("state", [{}, {"circular": [0, 1]}])
def test_extreme_observations_keep_everything_finite(make, make_transition, value, state):
    learner = make(SKILLED, state=state)
    for step in range(20):
        obs = value * np.ones((1, 3), np.float32) * (-1) ** step
        learner.observe(make_transition(SKILLED, seed=step, obs=obs, next_obs=-obs))
        while learner.updates_owed > 0:
            metrics = learner.update()
            assert all(values.isfinite().all() for values in metrics.values()), metrics
    assert all(p.isfinite().all() for p in learner.sac.parameters())


def test_an_observation_that_jumps_after_standing_still_keeps_everything_finite(
    make, make_transition
):
    learner = make()
    for step in range(20):
        obs = np.full((1, 3), 1e4 if step == 10 else 0.0, np.float32)
        learner.observe(make_transition(LAYOUT, seed=step, next_obs=obs))
        while learner.updates_owed > 0:
            metrics = learner.update()
            assert all(values.isfinite().all() for values in metrics.values()), metrics
    assert all(p.isfinite().all() for p in learner.objective.density.parameters())


METHODS = ("smm", "sac", "count", "pseudocount", "icm", "rnd")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("layout", [LAYOUT, SKILLED])
def test_every_method_learns_and_pays_by_terms_that_add_up(make, play, method, layout):
    learner = make(layout, method=method)
    play(learner, 12)
    before = [p.detach().clone() for p in learner.sac.actor.parameters()]
    metrics = learner.update()
    assert all(values.isfinite().all() for values in metrics.values())
    pairs = zip(before, learner.sac.actor.parameters(), strict=True)
    assert all(not torch.equal(old, new) for old, new in pairs)
    terms = [v for n, v in metrics.items() if n.startswith("reward_") and n != "reward_total"]
    torch.testing.assert_close(metrics["reward_total"], sum(terms))


@pytest.mark.parametrize("method", METHODS)
def test_a_run_of_any_method_learns_the_same_beside_others(make, play, method):
    together, alone = make(seeds=(3, 1, 8), method=method), make(seeds=(1,), method=method)
    play(together, 12, (0, 1, 2), 3)
    play(alone, 12, (1,), 3)
    many, one = together.update(), alone.update()
    for name, values in one.items():
        torch.testing.assert_close(many[name][1], values[0], rtol=1e-3, atol=1e-4)


def test_the_objective_hears_of_each_state_reached_once_and_of_its_skill(
    make, make_transition, monkeypatch
):
    learner, heard = make(SKILLED, seeds=(0, 1), state={"circular": [2, 1]}), []
    monkeypatch.setattr(learner.objective, "observe", lambda *told: heard.append(told))
    steps = [make_transition(SKILLED, runs=2, seed=seed) for seed in range(12)]
    for step in steps:
        learner.observe(step)
    assert len(heard) == 12
    for (state, onehot), step in zip(heard, steps, strict=True):
        angle = np.arctan2(step.next_obs[:, 1], step.next_obs[:, 2])
        np.testing.assert_allclose(state.numpy(), angle[:, None, None], rtol=1e-5)
        assert onehot.argmax(-1).tolist() == step.skill[:, None].tolist()


def test_plain_sac_is_paid_the_target_alone(make, play):
    learner = make(method="sac", reward={"target": 2.0})
    play(learner, 12)
    metrics = learner.update()
    assert {n for n in metrics if n.startswith("reward_")} == {"reward_target", "reward_total"}
    batch = learner.replay.sample(500, Generators([0]))
    low, high = 2 * batch.reward.min(), 2 * batch.reward.max()
    assert low <= metrics["reward_total"] <= high


def test_one_skill_is_state_marginal_matching_itself(make, play):
    """Equation 8 with one skill is equation 5: log p* - log q, whatever the mixture's weights."""
    plain, weighted = make(), make(reward={"skill_entropy": 7.0})
    for learner in (plain, weighted):
        play(learner, 12)
    one, other = plain.update(), weighted.update()
    assert one.keys() == other.keys()
    for name, values in one.items():
        assert torch.equal(values, other[name]), name
    expected = one["reward_target"] + one["entropy_s_given_z"]
    torch.testing.assert_close(one["reward_total"], expected)
    torch.testing.assert_close(one["kl_to_target"], -expected)
    assert not [name for name in plain.objective.state_dict() if "discriminator" in name]


def test_the_divergence_to_the_target_is_that_of_the_mixture(make, play):
    learner = make(SKILLED)
    play(learner, 10)
    metrics = learner.update()
    # H[s] = H[s|z] + H[z] - H[z|s]
    entropy = metrics["entropy_s_given_z"] + math.log(3) - metrics["entropy_z_given_s"]
    torch.testing.assert_close(metrics["kl_to_target"], -entropy - metrics["reward_target"])


@pytest.mark.parametrize(
    "weights", [{"skill_entropy": 0.0}, {"target": 3.0, "state_entropy": 0.0}]
)
def test_what_is_measured_does_not_depend_on_what_is_paid(make, play, weights):
    """An ablation of the reward is still measured by the same entropies and divergence."""
    plain, weighted = make(SKILLED), make(SKILLED, reward=weights)
    for learner in (plain, weighted):
        play(learner, 4)
    one, other = plain.update(), weighted.update()
    for name in ("entropy_s_given_z", "entropy_z_given_s", "kl_to_target"):
        assert torch.equal(one[name], other[name]), name


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "smm", "density": {"model": "histogram", "histogram": FIXED}},
        {"method": "count"},
        {"method": "pseudocount"},
    ],
)
def test_steps_of_several_environments_at_once_count_as_one_after_the_other(
    make, make_transition, settings
):
    together, one_by_one = (make(SKILLED, (0, 1), **settings) for _ in range(2))
    for step in range(4):
        many = make_transition(SKILLED, runs=6, seed=step)
        together.observe(many, 3)
        for copy in range(3):
            rows = {name: values[copy::3] for name, values in vars(many).items()}
            one_by_one.observe(make_transition(SKILLED, **rows))
    assert together.steps == one_by_one.steps == 12
    assert together.updates_owed == one_by_one.updates_owed == 12 - 4
    found = together.objective.state_dict()
    for name, tensor in one_by_one.objective.state_dict().items():
        assert torch.equal(found[name], tensor), name
    assert torch.equal(together.reached(), one_by_one.reached())
