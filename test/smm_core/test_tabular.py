"""The exact game: marginals, best responses, the optimum, and who comes to it."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize

from smm_core.tabular import (
    MDP,
    EndlessTime,
    Episodes,
    fictitious_play,
    gridworld,
    kl,
    optimum,
    random_mdp,
)

MAP = ["S..#..", ".#.#.#", ".#...#", "...#.."]


def random_process(kind, seed, states=8, actions=3):
    """Return a process on a random MDP and a random target over its states."""
    rng = np.random.default_rng(seed)
    mdp = random_mdp(states, actions, rng, spread=0.05)
    process = EndlessTime(mdp) if kind == "endless" else Episodes(mdp, 6)
    return process, rng.dirichlet(np.full(states, 2.0))


def random_policy(process, rng):
    shape = (process.mdp.num_states, process.mdp.num_actions)
    if isinstance(process, Episodes):
        shape = (process.steps, *shape)
    return rng.dirichlet(np.ones(shape[-1]), shape[:-1])


def deterministic_policies(states, actions):
    for choice in itertools.product(range(actions), repeat=states):
        yield np.eye(actions)[list(choice)]


KINDS = pytest.mark.parametrize("kind", ["episodes", "endless"])


def test_a_marginal_is_the_share_of_steps_that_a_walk_spends_there():
    rng = np.random.default_rng(0)
    process, _ = random_process("episodes", 1, states=4)
    policy, counts = random_policy(process, rng), np.zeros(4)
    for _ in range(4000):
        state = 0
        for step in policy:
            action = rng.choice(3, p=step[state])
            state = rng.choice(4, p=process.mdp.transition[state, action])
            counts[state] += 1
    np.testing.assert_allclose(process.marginal(policy), counts / counts.sum(), atol=0.02)


def test_an_endless_marginal_is_what_very_long_episodes_come_to():
    process, _ = random_process("endless", 2)
    policy = random_policy(process, np.random.default_rng(0))
    episodes = Episodes(process.mdp, 20_000)
    expected = episodes.marginal(np.broadcast_to(policy, (20_000, *policy.shape)))
    np.testing.assert_allclose(process.marginal(policy), expected, atol=2e-3)


@KINDS
def test_no_policy_is_paid_more_than_the_best_response(kind):
    rng = np.random.default_rng(3)
    process, _ = random_process(kind, 3, states=3, actions=2)
    for reward in rng.normal(size=(5, 3)):
        best = process.marginal(process.best_response(reward)) @ reward
        if kind == "endless":
            policies = list(deterministic_policies(3, 2))
        else:
            process.steps = 3
            best = process.marginal(process.best_response(reward)) @ reward
            steps = list(deterministic_policies(3, 2))
            policies = [np.stack(choice) for choice in itertools.product(steps, repeat=3)]
        paid = [process.marginal(policy) @ reward for policy in policies]
        assert best == pytest.approx(max(paid), abs=1e-9)
        assert max(paid) - min(paid) > 1e-3


@KINDS
def test_every_mixture_of_policies_is_in_the_polytope(kind):
    rng = np.random.default_rng(4)
    process, _ = random_process(kind, 4)
    balance, supply, reached = process.flows()
    transition = process.mdp.transition
    for _ in range(3):
        policy = random_policy(process, rng)
        if kind == "endless":
            flow = process.marginal(policy)[:, None] * policy
        else:
            state, steps = process.mdp.start, []
            for step in policy:
                steps.append(state[:, None] * step)
                state = np.einsum("sa,sax->x", steps[-1], transition)
            flow = np.stack(steps)
        np.testing.assert_allclose(balance @ flow.ravel(), supply, atol=1e-12)
        np.testing.assert_allclose(reached @ flow.ravel(), process.marginal(policy), atol=1e-12)


@KINDS
@pytest.mark.parametrize("seed", range(3))
def test_the_optimum_is_proven_and_no_policy_or_mixture_is_below_it(kind, seed):
    process, target = random_process(kind, seed)
    best = optimum(process, target)
    assert 0 <= best.kl - best.bound < 1e-6
    rng = np.random.default_rng(seed)
    marginals = np.array([process.marginal(random_policy(process, rng)) for _ in range(100)])
    mixtures = rng.dirichlet(np.full(100, 0.1), 100) @ marginals
    assert min(kl(rho, target) for rho in (*marginals, *mixtures)) > best.bound


def test_the_optimum_is_that_of_another_solver():
    process, target = random_process("endless", 5, states=5, actions=2)
    balance, supply, reached = process.flows()
    balance, reached = balance.toarray(), reached.toarray()

    def divergence(flow):
        rho = np.clip(reached @ flow, 1e-12, None)
        return kl(rho, target), reached.T @ (np.log(rho / target) + 1)

    found = minimize(
        divergence,
        np.full(10, 0.1),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * 10,
        # One balance follows from the others, which the solver would stumble over.
        constraints={
            "type": "eq",
            "fun": lambda flow: (balance @ flow - supply)[1:],
            "jac": lambda flow: balance[1:],
        },
        options={"maxiter": 500, "ftol": 1e-12},
    )
    assert found.success
    assert optimum(process, target).kl == pytest.approx(found.fun, abs=1e-5)


@pytest.mark.parametrize("averages_densities", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_average_comes_to_the_optimum_and_the_last_policy_does_not(seed, averages_densities):
    process, target = random_process("endless", seed, states=10)
    least = optimum(process, target).kl
    play = fictitious_play(process, target, 1000, averages_densities)
    gaps = [kl(play.averages[count - 1], target) - least for count in (10, 100, 1000)]
    assert gaps[0] > 5 * gaps[1] > 25 * gaps[2] >= 0
    assert gaps[2] < 1e-3
    last = [kl(rho, target) - least for rho in play.iterates[-100:]]
    assert min(last) > 30 * gaps[2]


def test_in_a_gridworld_with_slips_the_average_becomes_uniform_and_the_last_policy_does_not():
    process = EndlessTime(gridworld(MAP, slip=0.1))
    size = process.mdp.num_states
    target = np.full(size, 1 / size)
    least = optimum(process, target).kl
    assert least < 1e-5  # every state can be visited alike
    play = fictitious_play(process, target, 1000)
    assert kl(play.averages[9], target) > 0.2
    assert kl(play.averages[-1], target) < 1e-3
    assert min(kl(rho, target) for rho in play.iterates[-100:]) > 0.5


@KINDS
def test_the_inner_minimum_of_the_game_is_at_the_policys_own_marginal(kind):
    """Proposition 3.1: min over q of E[log p* - log q] is E[log p* - log rho], at q = rho."""
    process, target = random_process(kind, 6)
    rho = process.marginal(random_policy(process, np.random.default_rng(0)))

    def payoff(logits):
        log_q = logits - np.log(np.exp(logits).sum())
        return float(rho @ (np.log(target) - log_q))

    found = minimize(payoff, np.zeros(len(rho)), method="BFGS")
    q = np.exp(found.x) / np.exp(found.x).sum()
    assert found.fun == pytest.approx(-kl(rho, target), abs=1e-6)
    np.testing.assert_allclose(q, rho, atol=1e-3)


@KINDS
@pytest.mark.parametrize("seed", range(3))
def test_the_game_has_the_value_of_the_optimum(kind, seed):
    """Proposition 3.1: against q = rho* no policy gets more than -KL(rho* || p*)."""
    process, target = random_process(kind, seed)
    best = optimum(process, target, gap=1e-6)
    reward = np.log(target) - np.log(best.marginal)
    value = process.marginal(process.best_response(reward)) @ reward
    assert value == pytest.approx(-best.kl, abs=5e-3)
    assert value >= -best.kl - 1e-9


def test_a_prediction_error_that_has_converged_pays_nothing():
    """Section 4: in a deterministic MDP the exact model errs nowhere, so any policy is best.

    What State Marginal Matching pays at its end is not zero but the same everywhere, and the
    average that it leaves behind still matches the target.
    """
    mdp = gridworld(MAP, slip=0.0)
    model = mdp.transition.argmax(-1)  # a model fitted to enough transitions predicts these
    outcome = mdp.transition.copy()
    predicted = np.eye(mdp.num_states)[model]
    bonus = ((predicted - outcome) ** 2).sum(-1)
    assert (bonus == 0).all()
    noisy = gridworld(MAP, slip=0.1).transition
    assert (((np.eye(mdp.num_states)[noisy.argmax(-1)] - noisy) ** 2).sum(-1) > 0).all()

    process = EndlessTime(MDP(noisy, mdp.start))
    nothing = np.zeros(mdp.num_states)
    stays = process.best_response(nothing)
    target = np.full(mdp.num_states, 1 / mdp.num_states)
    assert kl(process.marginal(stays), target) > 0.5  # whatever it was, it stays

    average = fictitious_play(process, target, 3000).averages[-1]
    paid = np.log(target) - np.log(average)
    assert np.ptp(paid) < 0.05
    assert kl(average, target) < 1e-3


def test_what_is_no_distribution_is_named():
    with pytest.raises(ValueError, match="transition has rows"):
        MDP(np.full((2, 1, 2), 0.4), np.array([1.0, 0.0]))
    with pytest.raises(ValueError, match="2 starts"):
        gridworld(["SS"], slip=0.0)
