"""The game of State Marginal Matching, played exactly in finite MDPs: no network, no sample.

It is the oracle for what the learner does approximately. States and actions are numbers, all
distributions are exact, float64. S states, A actions, m iterations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import block_array, csr_array, kron

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class MDP:
    """How states follow one another; rewards are set by the game."""

    transition: Array
    """(S, A, S), the probability of the next state"""
    start: Array
    """(S,), the distribution of the first state"""

    def __post_init__(self) -> None:
        """Raise ValueError where a row is no distribution."""
        for name, rows in (("transition", self.transition), ("start", self.start)):
            sums = rows.sum(-1)
            if (rows < 0).any() or not np.allclose(sums, 1.0):
                raise ValueError(f"{name} has rows that sum to {sums}, expected distributions")

    @property
    def num_states(self) -> int:
        """S."""
        return self.transition.shape[0]

    @property
    def num_actions(self) -> int:
        """A."""
        return self.transition.shape[1]


class Process(Protocol):
    """An MDP lived through in some way, which decides what a state marginal is."""

    mdp: MDP

    def marginal(self, policy: Array) -> Array:
        """Return the state marginal rho_pi, (S,)."""

    def best_response(self, reward: Array) -> Array:
        """Return a deterministic policy of greatest mean reward, for rewards (S,)."""

    def flows(self) -> tuple[csr_array, Array, csr_array]:
        """Return the polytope of all mixtures of policies.

        Occupancies x >= 0 with `balance @ x = supply` are those of mixtures of policies, and
        `reached @ x` (S,) is their state marginal: returns balance, supply, reached.
        """


class Episodes:
    """Episodes of T steps: the marginal is the mean over the states that the steps reach.

    As in the replay the first state, which no policy decides, is left out and the last counts. A
    policy is (T, S, A), the probability of each action at each step.
    """

    def __init__(self, mdp: MDP, steps: int) -> None:
        self.mdp, self.steps = mdp, steps

    def marginal(self, policy: Array) -> Array:
        """Return the mean distribution of the states reached, (S,)."""
        state, total = self.mdp.start, np.zeros(self.mdp.num_states)
        for step in policy:
            state = np.einsum("s,sa,sax->x", state, step, self.mdp.transition)
            total += state
        return total / self.steps

    def best_response(self, reward: Array) -> Array:
        """Return the policy of greatest sum of rewards, by backward induction."""
        value, policy = np.zeros(self.mdp.num_states), []
        for _ in range(self.steps):
            q = self.mdp.transition @ (reward + value)
            policy.append(_greedy(q))
            value = q.max(1)
        return np.stack(policy[::-1])

    def flows(self) -> tuple[csr_array, Array, csr_array]:
        """Return the polytope of occupancies x[t, s, a], each step's own distribution."""
        states, actions = self.mdp.num_states, self.mdp.num_actions
        here, there = _leaving(states, actions), _arriving(self.mdp)
        rows: list[list[csr_array | None]] = []
        for step in range(self.steps):
            row: list[csr_array | None] = [None] * self.steps
            row[step] = here
            if step:
                row[step - 1] = -there
            rows.append(row)
        supply = np.zeros((self.steps, states))
        supply[0] = self.mdp.start
        reached = csr_array(kron(np.ones((1, self.steps)) / self.steps, there))
        return csr_array(block_array(rows)), supply.ravel(), reached


class EndlessTime:
    """One life without end: the marginal is the average over time.

    A policy is (S, A). Every policy must come to one set of states from all others, as with
    transitions that may slip; there the start does not matter.
    """

    def __init__(self, mdp: MDP) -> None:
        self.mdp = mdp

    def marginal(self, policy: Array) -> Array:
        """Return the stationary distribution, (S,); raises ValueError where there are several."""
        chain = np.einsum("sa,sax->sx", policy, self.mdp.transition)
        size = self.mdp.num_states
        equations = np.vstack((chain.T - np.eye(size), np.ones(size)))
        found, _, rank, _ = np.linalg.lstsq(equations, np.append(np.zeros(size), 1.0), rcond=None)
        if rank < size:
            raise ValueError("the policy stays where it begins; expected one way of ending only")
        return np.clip(found, 0.0, None) / np.clip(found, 0.0, None).sum()

    def best_response(self, reward: Array) -> Array:
        """Return the policy of greatest average reward, by policy iteration.

        Value iteration is not exact in finite time here (Puterman, Markov Decision Processes,
        1994, section 8.6).
        """
        policy = _greedy(self.mdp.transition @ reward)
        while True:
            q = self.mdp.transition @ (reward + self._bias(policy, reward))
            better = _greedy(q)
            gain = ((better - policy) * q).sum(1)
            # A tie keeps its action: otherwise rounding could go on for ever.
            better = np.where((gain > 1e-10 * np.abs(q).max())[:, None], better, policy)
            if (better == policy).all():
                return policy
            policy = better

    def _bias(self, policy: Array, reward: Array) -> Array:
        """Return how much more than the average is to be had from each state, (S,)."""
        size = self.mdp.num_states
        chain = np.einsum("sa,sax->sx", policy, self.mdp.transition)
        # Of bias h and average g: h + g = chain (reward + h), with h = 0 in the first state.
        equations = np.block([[np.eye(size) - chain, np.ones((size, 1))], [np.eye(1, size + 1)]])
        return np.linalg.solve(equations, np.append(chain @ reward, 0.0))[:size]

    def flows(self) -> tuple[csr_array, Array, csr_array]:
        """Return the polytope of occupancies x[s, a]: what comes to a state leaves it."""
        states, actions = self.mdp.num_states, self.mdp.num_actions
        there = _arriving(self.mdp)
        whole = csr_array(np.ones((1, states * actions)))
        balance = block_array([[_leaving(states, actions) - there], [whole]])
        return csr_array(balance), np.append(np.zeros(states), 1.0), there


def _greedy(q: Array) -> Array:
    policy = np.zeros_like(q)
    policy[np.arange(len(q)), q.argmax(1)] = 1.0
    return policy


def _leaving(states: int, actions: int) -> csr_array:
    return csr_array(kron(np.eye(states), np.ones((1, actions))))


def _arriving(mdp: MDP) -> csr_array:
    return csr_array(mdp.transition.reshape(-1, mdp.num_states).T)


def kl(rho: Array, target: Array) -> float:
    """Return KL(rho || p*) in nats; 0 log 0 is 0."""
    some = rho > 0
    return float((rho[some] * (np.log(rho[some]) - np.log(target[some]))).sum())


def _check_target(target: Array, size: int) -> None:
    if target.shape != (size,) or (target <= 0).any() or not np.isclose(target.sum(), 1.0):
        raise ValueError(f"target is {target}, expected {size} positive shares that sum to 1")


@dataclass(frozen=True)
class Play:
    """What fictitious play did in m iterations."""

    iterates: Array
    """(m, S), the marginal of each policy"""

    @property
    def averages(self) -> Array:
        """(m, S), the marginal of the historical average after each iteration."""
        count = np.arange(1, len(self.iterates) + 1)
        return self.iterates.cumsum(0) / count[:, None]


def fictitious_play(
    process: Process, target: Array, iterations: int, averages_densities: bool = False
) -> Play:
    """Play Algorithm 1 with exact densities and exact best responses.

    The density answers the historical average of the policies (equation 4). The policy answers
    log p* - log q with q the newest density, as the algorithm and the learner do, or the average
    of all densities (equation 5). Both begin with a uniform density that counts as one iteration
    more, so that no q is zero; its share vanishes. With the newest density this is the
    Frank-Wolfe method on KL(rho || p*) with steps 1 / (m + 1): log q - log p* is its gradient.
    """
    size = process.mdp.num_states
    _check_target(target, size)
    visits = np.full(size, 1.0 / size)
    densities = visits.copy()
    iterates = []
    for count in range(1, iterations + 1):
        q = densities / count if averages_densities else visits / count
        rho = process.marginal(process.best_response(np.log(target) - np.log(q)))
        iterates.append(rho)
        visits = visits + rho
        densities = densities + visits / (count + 1)
    return Play(np.stack(iterates))


@dataclass(frozen=True)
class Optimum:
    """The least KL(rho || p*) that any mixture of policies has."""

    marginal: Array
    """(S,)"""
    kl: float
    """nats, of that marginal: an upper bound of the least"""
    bound: float
    """nats, a lower bound of the least"""


def optimum(process: Process, target: Array, gap: float = 1e-8, rounds: int = 40) -> Optimum:
    """Find the least KL(rho || p*) as a convex program, with a proof of how near it is.

    r log(r / p) lies above each of its tangents, so a linear program with tangents in its place
    gives a lower bound, and its solution an upper one. KL is strongly convex, so the two bounds
    tell how far the optimum's marginal can be: the next tangents stand close together there, until
    `gap` nats are left. Nothing of it is shared with `fictitious_play`. Raises ValueError where
    the gap is not reached.
    """
    _check_target(target, process.mdp.num_states)
    flows = process.flows()
    everywhere = np.tile(np.geomspace(1e-6, 1.0, 7), (len(target), 1))
    best, at = Optimum(target, np.inf, -np.inf), everywhere
    for _ in range(rounds):
        rho, bound = _least_above_tangents(flows, target, at)
        bound = max(bound, best.bound)
        best = Optimum(rho, kl(rho, target), bound) if kl(rho, target) < best.kl else best
        best = Optimum(best.marginal, best.kl, bound)
        open_ = best.kl - best.bound
        if open_ < gap:
            return best
        # The sum of (r* - r)^2 / (2 max(r*, r)) is at most what is open.
        width = np.sqrt(2 * open_ * np.maximum(best.marginal, open_))
        near = best.marginal[:, None] + width[:, None] * np.linspace(-1.0, 1.0, 15)
        at = np.clip(np.column_stack((everywhere, near)), 1e-12, None)
    raise ValueError(f"{open_:g} nats are open after {rounds} rounds, expected {gap:g}")


def _least_above_tangents(
    flows: tuple[csr_array, Array, csr_array], target: Array, at: Array
) -> tuple[Array, float]:
    """Return the marginal of least KL, and that KL, with its tangents at `at` (S, K) instead."""
    balance, supply, reached = flows
    size, count = reached.shape
    slope = np.log(at / target[:, None]) + 1.0
    above = [
        [csr_array(reached.multiply(column[:, None])), -csr_array(np.eye(size))]
        for column in slope.T
    ]
    found = linprog(
        np.append(np.zeros(count), np.ones(size)),
        A_ub=block_array(above),
        b_ub=at.T.ravel(),
        A_eq=block_array([[balance, csr_array((balance.shape[0], size))]]),
        b_eq=supply,
        bounds=[(0.0, None)] * count + [(None, None)] * size,
        method="highs-ipm",  # on the many flows of episodes faster than the simplex
        # The default tolerance, 1e-7, would be seen in the gap.
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if not found.success:
        raise ValueError(f"the linear program has no solution: {found.message}")
    rho = np.clip(reached @ found.x[:count], 0.0, None)
    return rho / rho.sum(), float(found.fun)


def random_mdp(states: int, actions: int, rng: np.random.Generator, spread: float = 0.3) -> MDP:
    """Draw an MDP with Dirichlet transitions: the smaller the spread, to the fewer states."""
    transition = rng.dirichlet(np.full(states, spread), (states, actions))
    # A little of everything, so that every policy comes everywhere.
    transition = 0.98 * transition + 0.02 / states
    return MDP(transition, np.eye(states)[0])


def gridworld(rows: list[str], slip: float) -> MDP:
    """Make an MDP of a drawn map: '#' is a wall, 'S' the start, anything else is free.

    Actions go up, down, left, right; with probability `slip` another of the four is taken. What
    would end in a wall or off the map stays.
    """
    cells = [(r, c) for r, row in enumerate(rows) for c, sign in enumerate(row) if sign != "#"]
    index = {cell: state for state, cell in enumerate(cells)}
    ways = ((-1, 0), (1, 0), (0, -1), (0, 1))

    def step(state: int, way: int) -> int:
        (row, column), (down, right) = cells[state], ways[way]
        return index.get((row + down, column + right), state)

    transition = np.zeros((len(cells), 4, len(cells)))
    for state in range(len(cells)):
        for action in range(4):
            for way in range(4):
                share = 1.0 - slip if way == action else slip / 3
                transition[state, action, step(state, way)] += share
    start = np.array([rows[r][c] == "S" for r, c in cells], float)
    if start.sum() != 1:
        raise ValueError(f"the map has {int(start.sum())} starts 'S', expected one")
    return MDP(transition, start)
