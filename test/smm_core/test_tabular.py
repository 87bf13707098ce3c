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
    assert -1e-9 <= best.kl - best.bound < 1e-8
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
    assert optimum(process, target).kl == pytest.approx(found.fun, abs=1e-7)


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
    best = optimum(process, target)
    reward = np.log(target) - np.log(best.marginal)
    value = process.marginal(process.best_response(reward)) @ reward
    assert value == pytest.approx(-best.kl, abs=1e-3)
    assert value >= -best.kl - 1e-9


def predict(counts):
    """Return the probability of each next state by visit counts (S, A, S); unseen: uniform."""
    visits = counts.sum(-1, keepdims=True)
    return np.where(visits > 0, counts / np.maximum(visits, 1), 1 / counts.shape[0])


def prediction_error(mdp, counts):
    """Return the mean over actions of the squared error that is expected in a state, (S,)."""
    outcome = np.eye(mdp.num_states)
    errors = ((outcome - predict(counts)[:, :, None, :]) ** 2).sum(-1)
    return (mdp.transition * errors).sum(-1).mean(-1)


def test_a_prediction_error_that_has_converged_pays_nothing_for_any_policy():
    """Section 4: in a deterministic MDP the model comes to err nowhere; where it slips, not."""
    rng = np.random.default_rng(0)
    for slip, converges in ((0.0, True), (0.2, False)):
        mdp = gridworld(MAP, slip)
        counts = np.zeros_like(mdp.transition)
        before = prediction_error(mdp, counts)
        for state, action in np.ndindex(mdp.num_states, mdp.num_actions):
            counts[state, action] = rng.multinomial(500, mdp.transition[state, action])
        bonus = prediction_error(mdp, counts)
        assert before.min() > 0.5
        process = Episodes(mdp, 40)
        paid = [process.marginal(random_policy(process, rng)) @ bonus for _ in range(5)]
        paid.append(process.marginal(process.best_response(bonus)) @ bonus)
        assert (np.abs(paid) == 0).all() if converges else min(paid) > 0.1


def test_without_slips_the_average_matches_a_target_where_the_bonus_has_vanished():
    """Section 4: at its end SMM pays nothing either, but the average that got it there matches."""
    process = Episodes(gridworld(MAP, slip=0.0), 40)
    policy = random_policy(process, np.random.default_rng(1))
    target = process.marginal(policy)  # so that some policy reaches it
    last = process.marginal(process.best_response(np.zeros(len(target))))  # the bonus, converged
    assert kl(last, target) > 0.5
    average = fictitious_play(process, target, 3000).averages[-1]
    assert kl(average, target) < 1e-3
    assert np.ptp(np.log(target) - np.log(average)) < 0.1


@pytest.mark.parametrize("seed", range(2))
def test_where_the_target_can_be_reached_the_newest_density_wins_by_an_order(seed):
    """KL falls as m^-2 against the newest density, as m^-4/3 against the average of densities."""
    process, _ = random_process("endless", seed, states=10)
    target = process.marginal(random_policy(process, np.random.default_rng(seed)))
    newest, averaged = (
        kl(fictitious_play(process, target, 3000, way).averages[-1], target)
        for way in (False, True)
    )
    assert newest < 3e-6
    assert averaged > 5 * newest


def test_what_is_no_distribution_is_named():
    with pytest.raises(ValueError, match="transition has rows"):
        MDP(np.full((2, 1, 2), 0.4), np.array([1.0, 0.0]))
    with pytest.raises(ValueError, match="2 starts"):
        gridworld(["SS"], slip=0.0)
    uniform, line = np.full(2, 0.5), np.eye(2)[:, None]
    with pytest.raises(ValueError, match="one way of ending"):
        EndlessTime(MDP(line, uniform)).marginal(np.ones((2, 1)))
    for target in (np.array([1.0, 0.0]), np.full(2, 0.4), np.full(3, 1 / 3)):
        with pytest.raises(ValueError, match="2 positive shares"):
            fictitious_play(Episodes(MDP(line, uniform), 2), target, 1)
        with pytest.raises(ValueError, match="2 positive shares"):
            optimum(Episodes(MDP(line, uniform), 2), target)
