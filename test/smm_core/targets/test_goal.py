"""Reaching goals: the bound of equation 14, the Lemma's target, and the true minimum."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from smm_core.config import ConfigError
from smm_core.state_space import StateConfig, StateSpace
from smm_core.targets.box import BoxConfig
from smm_core.targets.goal import (
    GoalConfig,
    GoalTarget,
    cell_masses,
    episodes_to_goal,
    hitting_time_bound,
    lemma_target,
    optimum,
)
from smm_core.targets.grid import Grid
from smm_core.targets.mixture import MixtureConfig, MixtureTarget

LINE = Grid((0.0,), (1.0,), (60,), (False,))
X = LINE.centres()[..., 0]
SKEWED = np.exp(-6 * X)
PEAKS = 0.7 * np.exp(-0.5 * ((X - 0.3) / 0.05) ** 2) / 0.05
PEAKS += 0.3 * np.exp(-0.5 * ((X - 0.75) / 0.1) ** 2) / 0.1

SPACE = StateSpace(StateConfig(linear=(0,), circular=(1, 2)), obs_size=3)
BOX = BoxConfig((-1.0,), (2.0,))
MIXTURE = MixtureConfig((0.5, 3.0), (0.2, 0.3))
CLUSTER = GoalConfig(density="gaussian_mixture", epsilon=0.2, cells=60)


def bound(goals, target, epsilon, grid=LINE):
    return hitting_time_bound(grid, goals, target, epsilon)


def by_convex_program(goals, epsilon):
    """Minimise F over the simplex, with scipy and without the code under test."""
    wanted, points = goals / goals.sum(), np.arange(len(goals)) / len(goals)
    ball = np.abs(points[:, None] - points) <= epsilon + 1e-9
    found = minimize(
        lambda p: (wanted / (ball @ p)).sum(),
        np.full(len(goals), 1 / len(goals)),
        jac=lambda p: -1.0 * ball.T @ (wanted / (ball @ p) ** 2),
        bounds=[(1e-9, 1)] * len(goals),
        constraints={"type": "eq", "fun": lambda p: p.sum() - 1, "jac": np.ones_like},
        method="SLSQP",
        options={"maxiter": 2000, "ftol": 1e-12},
    )
    return found.fun


def test_the_bound_is_the_mean_of_one_over_the_mass_near_the_goal():
    grid = Grid((0.0,), (4.0,), (4,), (False,))
    goals, target = np.array([0.5, 0.0, 0.0, 0.5]), np.array([0.1, 0.2, 0.3, 0.4])
    assert bound(goals, target, 0.1, grid) == pytest.approx(0.5 / 0.1 + 0.5 / 0.4)
    assert bound(goals, target, 1.0, grid) == pytest.approx(0.5 / 0.3 + 0.5 / 0.7)
    assert bound(goals, np.eye(4)[1], 1.0, grid) == math.inf


@pytest.mark.parametrize("goals", [SKEWED, PEAKS])
def test_with_balls_of_one_cell_the_lemma_is_the_minimum(goals):
    """F is then the sum of p_g / p*, whose minimum is the square of the sum of sqrt(p_g)."""
    lemma = lemma_target(LINE, goals, 0.4 / 60)
    minimum = np.sqrt(goals / goals.sum()).sum() ** 2
    assert bound(goals, lemma, 0.4 / 60) == pytest.approx(minimum)
    best, gap = optimum(LINE, goals, 0.4 / 60, gap=1e-9)
    assert gap <= 1e-9
    np.testing.assert_allclose(best, lemma, atol=1e-8)


@pytest.mark.parametrize(("goals", "epsilon"), [(SKEWED, 0.02), (SKEWED, 0.05), (PEAKS, 0.02)])
def test_the_lemma_is_better_than_the_goals_and_than_uniform(goals, epsilon):
    lemma = bound(goals, lemma_target(LINE, goals, epsilon), epsilon)
    others = [np.ones_like(goals), *(goals**power for power in (0.25, 0.75, 1.0, 2.0))]
    assert all(lemma < 0.99 * bound(goals, other, epsilon) for other in others)


@pytest.mark.parametrize("epsilon", [0.05, 0.1, 0.2])
def test_for_wide_balls_the_lemma_is_not_the_minimum(epsilon):
    """Smoothing widens a target that the ball widens again: less of it does better."""
    lemma = bound(PEAKS, lemma_target(LINE, PEAKS, epsilon), epsilon)
    assert bound(PEAKS, np.sqrt(PEAKS), epsilon) < 0.98 * lemma
    best, gap = optimum(LINE, PEAKS, epsilon, gap=0.01)
    assert gap <= 0.01
    assert bound(PEAKS, best, epsilon) < 0.96 * lemma


def test_for_clusters_narrower_than_the_ball_the_lemma_is_near_the_minimum_and_the_root_is_not():
    goals = np.zeros(60)
    goals[10], goals[38:41] = 0.5, 0.5 / 3
    minimum, epsilon = 2.0, 0.2  # two points would do, each with half the mass
    best, _ = optimum(LINE, goals, epsilon, gap=1e-4)
    assert bound(goals, best, epsilon) == pytest.approx(minimum, rel=1e-3)
    lemma = bound(goals, lemma_target(LINE, goals, epsilon), epsilon)
    assert lemma < 1.05 * minimum < bound(goals, np.sqrt(goals), epsilon)


@pytest.mark.parametrize("epsilon", [0.02, 1 / 20, 3 / 20])
def test_the_minimum_is_that_of_the_convex_program(epsilon):
    grid = Grid((0.0,), (1.0,), (20,), (False,))
    goals = np.random.default_rng(0).dirichlet(np.ones(20))
    best, gap = optimum(grid, goals, epsilon, gap=1e-5)
    assert gap <= 1e-5
    assert bound(goals, best, epsilon, grid) == pytest.approx(
        by_convex_program(goals, epsilon), rel=1e-4
    )


@pytest.mark.parametrize("name", ["lemma", "uniform", "goals"])
def test_the_hitting_time_is_within_the_bound(name):
    """Exactly it with one state an episode; less with more, of which any may hit."""
    rng, epsilon = np.random.default_rng(0), 0.05
    targets = {
        "lemma": lemma_target(LINE, SKEWED, epsilon),
        "uniform": np.ones(60),
        "goals": SKEWED,
    }
    target = targets[name]
    limit = bound(SKEWED, target, epsilon)
    one = episodes_to_goal(LINE, SKEWED, target, epsilon, 1, 4000, rng)
    assert abs(one.mean() - limit) < 5 * one.std() / math.sqrt(len(one))
    many = episodes_to_goal(LINE, SKEWED, target, epsilon, 5, 2000, rng)
    assert 1.0 <= many.mean() < 0.6 * limit


def test_a_goal_that_is_never_reached_ends_the_count():
    rng = np.random.default_rng(0)
    found = episodes_to_goal(LINE, np.eye(60)[0], np.eye(60)[50], 0.1, 2, 3, rng, longest=7)
    assert list(found) == [7, 7, 7]


def target_of(config=CLUSTER, box=BOX, mixture=MIXTURE):
    return GoalTarget(SPACE, config, box, mixture)


def states(*rows):
    return torch.tensor(rows, dtype=torch.float32)


def test_the_target_is_the_lemma_s_where_it_is_not_at_the_floor():
    target = target_of()
    expected = lemma_target(
        target.grid, cell_masses(target.grid, MixtureTarget(SPACE, MIXTURE)), 0.2
    )
    found = cell_masses(target.grid, target)
    is_high = expected > expected.max() * math.exp(-9)
    np.testing.assert_allclose(found[is_high], expected[is_high], rtol=1e-2)
    assert found[~is_high].sum() < 0.01


def test_the_target_integrates_to_one_between_the_cells_too():
    target = target_of()
    x = torch.linspace(-1, 2, 602)[:-1] + 1.5 / 601
    angle = torch.linspace(-math.pi, math.pi, 602)[:-1] + math.pi / 601
    log_p = target.log_prob(torch.cartesian_prod(x, angle))
    assert float(log_p.double().exp().mean()) * 3 * 2 * math.pi == pytest.approx(1.0, abs=0.01)


def test_far_from_all_goals_there_is_a_way_back():
    log_p = target_of().log_prob
    towards = states([-40, 0], [-1.1, 0], [-0.9, 0], [-0.5, 0], [-0.2, 0], [0.5, 3])
    assert log_p(towards).isfinite().all()
    assert (log_p(towards).diff() > 0).all()
    round_the_circle = states([0.5, 0.0], [0.5, -0.9], [0.5, -1.7], [0.5, -2.6], [0.5, 3.0])
    assert (log_p(round_the_circle).diff() > 0).all()


def test_goals_from_a_file_are_those_of_the_density_they_were_drawn_from(tmp_path):
    rng = np.random.default_rng(0)
    goals = np.stack((rng.normal(0.5, 0.2, 20000), rng.vonmises(3.0, 0.3**-2, 20000)), 1)
    np.save(tmp_path / "goals.npy", goals)
    given = GoalConfig("samples", str(tmp_path / "goals.npy"), epsilon=0.5, cells=40)
    drawn = target_of(given)
    written = target_of(GoalConfig("gaussian_mixture", epsilon=0.5, cells=40))
    near = torch.tensor(goals[:200], dtype=torch.float32)
    difference = drawn.log_prob(near) - written.log_prob(near)
    assert difference.abs().mean() < 0.05


def test_an_epsilon_that_the_grid_does_not_resolve_is_refused_not_widened():
    wide, message = BoxConfig((-500.0,), (500.0,)), "epsilon is 0.1, but along coordinate 0 of s"
    with pytest.raises(ConfigError, match=message + r".*cells of 10 .*cells to 10000 or more"):
        target_of(GoalConfig(epsilon=0.1), wide)
    turn = BoxConfig((0.0,), (0.1,))
    with pytest.raises(ConfigError, match=r"coordinate 1 of s.*cells of 0.628 .*to 63 or more"):
        target_of(GoalConfig(epsilon=0.1, cells=10), turn)
    target_of(GoalConfig(epsilon=0.1, cells=63), turn)
    line = StateSpace(StateConfig(linear=(0,)), obs_size=3)
    GoalTarget(line, GoalConfig(epsilon=0.1, cells=10), BoxConfig((0.0,), (1.0,)), MIXTURE)


def test_without_a_radius_the_target_is_the_root_of_the_goals_on_any_grid():
    wide, mixture = BoxConfig((-500.0,), (500.0,)), MixtureConfig((0.0, 3.0), (100.0, 1.0))
    target = target_of(GoalConfig("gaussian_mixture", epsilon=0.0, cells=40), wide, mixture)
    goals = cell_masses(target.grid, MixtureTarget(SPACE, mixture))
    is_high = goals > 1e-6 * goals.max()
    found = cell_masses(target.grid, target)[is_high] / np.sqrt(goals[is_high])
    np.testing.assert_allclose(found, found.mean(), rtol=1e-3)


def test_settings_that_make_no_goals_are_named(tmp_path):
    np.save(tmp_path / "goals.npy", np.full((3, 2), 5.0))
    with pytest.raises(ConfigError, match=r"none of its 3 goals lies in target\.box"):
        target_of(GoalConfig("samples", str(tmp_path / "goals.npy")))
    with pytest.raises(ConfigError, match=r"target\.goal\.file is not set"):
        target_of(GoalConfig("samples"))
    with pytest.raises(ConfigError, match="1 linear coordinates"):
        target_of(box=BoxConfig())
    wide = StateSpace(StateConfig(), obs_size=4)
    with pytest.raises(ConfigError, match="1 to 3 coordinates, but the matched state has 4"):
        GoalTarget(wide, GoalConfig(), BoxConfig((0.0,) * 4, (1.0,) * 4), MixtureConfig())
