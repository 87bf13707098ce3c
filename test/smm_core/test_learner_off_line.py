"""The learner on data that it did not gather: earlier runs, and nothing else."""

import numpy as np
import pytest
import torch

from smm_core.transitions import Layout, TransitionError

LAYOUT = Layout(obs_size=3, action_size=2)
SKILLED = Layout(obs_size=3, action_size=2, num_skills=3)
METHODS = ("smm", "sac", "count", "pseudocount", "icm", "rnd")


def prefilled(learner, make_transition, count):
    for seed in range(count):
        learner.prefill(make_transition(learner.layout, len(learner.generators), seed=1000 + seed))
    return learner


@pytest.mark.parametrize("count", [5, 100])  # the replay holds 64
def test_a_prefilled_learner_has_seen_what_one_has_that_was_fed(make, make_transition, count):
    filled = prefilled(make(SKILLED, density={"model": "histogram"}), make_transition, count)
    fed = make(SKILLED, density={"model": "histogram"})
    for seed in range(count):
        fed.observe(make_transition(SKILLED, seed=1000 + seed))
    for name, tensor in fed.replay.state().items():
        assert torch.equal(tensor, filled.replay.state()[name])
    for name, tensor in fed.objective.state_dict().items():
        assert torch.equal(tensor, filled.objective.state_dict()[name])
    assert (filled.steps, filled.prefilled, fed.steps) == (0, count, count)


def test_updates_and_policies_go_by_a_runs_own_steps(make, make_transition):
    settings = {"random_steps": 5, "history": {"period": 4, "capacity": 20}}
    plain = make(**settings)
    filled = prefilled(make(**settings), make_transition, 30)
    for step in range(20):
        for learner in (plain, filled):
            learner.observe(make_transition(LAYOUT, seed=step))
            if learner.snapshot_due:
                learner.snapshot()
        assert filled.updates_owed == plain.updates_owed
    assert list(filled.history.weights) == list(plain.history.weights) == [1, 2, 3, 4]


def test_what_is_earlier_has_to_come_before_the_first_step(make, make_transition):
    learner = prefilled(make(), make_transition, 3)
    learner.observe(make_transition(LAYOUT))
    for refused in (learner.update_off_line, learner.snapshot_off_line):
        with pytest.raises(ValueError, match="1 steps were observed"):
            refused()
    with pytest.raises(ValueError, match="1 steps were observed"):
        prefilled(learner, make_transition, 1)
    assert (learner.steps, learner.prefilled, learner.updates) == (1, 3, 0)


def test_a_bad_transition_of_an_earlier_run_is_not_counted(make, make_transition):
    learner = make()
    with pytest.raises(TransitionError):
        learner.prefill(make_transition(LAYOUT, reward=np.array([np.nan], np.float32)))
    assert (learner.prefilled, len(learner.replay)) == (0, 0)


@pytest.mark.parametrize("own", [0, 3, 62, 70, 200])
def test_the_states_reached_are_those_of_a_runs_own_steps(make, make_transition, own):
    learner = prefilled(make(), make_transition, 40)
    steps = [make_transition(LAYOUT, seed=seed) for seed in range(own)]
    for step in steps:
        learner.observe(step)
    expected = np.array([step.next_obs[0] for step in steps[-64:]]).reshape(-1, 3)
    assert np.array_equal(learner.reached()[0].numpy(), expected)


def test_warming_up_fits_the_objective_and_leaves_the_policy_alone(make, make_transition):
    learner = prefilled(make(SKILLED), make_transition, 30)
    policy = {name: tensor.clone() for name, tensor in learner.sac.state_dict().items()}
    models = {n: t.clone() for n, t in learner.objective.named_parameters()}
    losses = [learner.warm_up()["density_loss"].item() for _ in range(200)]
    assert np.mean(losses[-20:]) < np.mean(losses[:20])
    assert all(torch.equal(policy[name], t) for name, t in learner.sac.state_dict().items())
    assert all((models[name] != t).any() for name, t in learner.objective.named_parameters())
    assert (learner.updates, learner.updates_owed) == (0, 0)


def test_updates_off_line_are_owed_to_no_step(make, make_transition):
    learner = prefilled(make(random_steps=5), make_transition, 30)
    for _ in range(7):
        learner.update_off_line()
    assert (learner.updates, learner.updates_owed) == (7, 0)
    for step in range(8):
        learner.observe(make_transition(LAYOUT, seed=step))
    assert learner.updates_owed == 3


def test_policies_are_numbered_on_behind_those_learnt_off_line(make, make_transition):
    learner = prefilled(
        make(random_steps=5, history={"period": 4, "capacity": 20}), make_transition, 30
    )
    kept = [learner.snapshot_off_line().version for _ in range(3)]
    for step in range(12):
        learner.observe(make_transition(LAYOUT, seed=step))
        if learner.snapshot_due:
            kept.append(learner.snapshot().version)
    assert kept == list(learner.history.weights) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("layout", [LAYOUT, SKILLED])
def test_every_method_learns_off_line(make, make_transition, method, layout):
    learner = prefilled(make(layout, method=method), make_transition, 30)
    for _ in range(5):
        learner.warm_up()
    metrics = [learner.update_off_line() for _ in range(5)][-1]
    assert all(values.isfinite().all() for values in metrics.values())


@pytest.mark.parametrize("conservative", [0.0, 1.0])
def test_a_run_learns_the_same_off_line_beside_others(make, make_transition, conservative):
    settings = {"sac": {"hidden": [16, 16], "conservative": conservative}}
    together, alone = make(seeds=(3, 1, 8), **settings), make(seeds=(1,), **settings)
    for seed in range(30):
        step = make_transition(LAYOUT, seed=seed)
        alone.prefill(step)
        many = {name: np.repeat(values, 3, 0) for name, values in vars(step).items()}
        together.prefill(type(step)(**many))
    for _ in range(6):
        many, one = together.update_off_line(), alone.update_off_line()
    for name, values in one.items():
        torch.testing.assert_close(many[name][1], values[0], rtol=1e-3, atol=1e-4)
    assert ("conservative_gap" in one) == bool(conservative)
