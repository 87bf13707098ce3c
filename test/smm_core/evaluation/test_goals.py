"""Looking for unknown goals: against chances that are known."""

import math
from dataclasses import replace

import numpy as np
import pytest

from smm_core.config import ConfigError
from smm_core.evaluation.episode import Episode
from smm_core.evaluation.goals import GoalConfig, Search, reached_goals, sample_goals, search

CONFIG = GoalConfig(entries=(0, 2), low=(0.0, -1.0), high=(1.0, -1.0), radius=0.5)


def pools(chances, episodes, goals, seed=0):
    """Return for each skill which of its episodes reach which goal, by a known chance."""
    rng = np.random.default_rng(seed)
    return [rng.random((episodes, goals)) < chance for chance in chances]


def walk(*points):
    obs = np.array([[x, 7.0, z] for x, z in points], np.float32)
    return Episode(0, obs, np.zeros(len(points) - 1, np.float32), False, {})


def test_goals_are_spread_over_the_box_and_repeat_with_the_seed():
    goals = sample_goals(CONFIG, 2000, np.random.default_rng(0))
    assert goals[:, 0].mean() == pytest.approx(0.5, abs=0.03)
    assert goals[:, 0].std() == pytest.approx(12**-0.5, abs=0.02)
    assert (goals[:, 1] == -1).all()
    again = sample_goals(CONFIG, 2000, np.random.default_rng(0))
    np.testing.assert_array_equal(goals, again)


def test_a_goal_is_reached_by_any_state_of_an_episode_within_the_radius():
    episodes = [walk((0, 0), (1, 0), (3, 0)), walk((0, 0), (0.51, 0))]
    goals = np.array([[1.0, 0.49], [1.0, 0.5], [0.0, 0.0], [3.3, -0.3]])
    # Where an episode begins is no merit; the radius itself is outside.
    assert reached_goals(episodes, goals, CONFIG).tolist() == [
        [True, False, False, True],
        [False, False, False, False],
    ]


def test_goals_found_follow_the_expected_curve_without_adaptation():
    chances, horizon = (0.02, 0.1), 40
    success = search(pools(chances, horizon, 2500), horizon, None, np.random.default_rng(1))
    found = Search(np.zeros((2500, 1)), (0,), success).found_within
    expected = 1 - (1 - np.mean(chances)) ** np.arange(1, horizon + 1)
    assert np.abs(found - expected).max() < 0.035


def test_adaptation_leaves_a_skill_that_fails_as_its_formula_says():
    """One skill always fails and one always succeeds, one pseudo-rollout.

    After k failures p(fails again) is 1 / (k + 2), so n episodes all fail by 1 / (n + 1)!.
    """
    success = search(pools((0.0, 1.0), 6, 5000), 6, 1.0, np.random.default_rng(0))
    found = Search(np.zeros((5000, 1)), (0,), success).found_within
    expected = [1 - 1 / math.factorial(n + 1) for n in range(1, 7)]
    assert found == pytest.approx(expected, abs=0.02)


def test_adaptation_reaches_a_goal_more_often_once_it_knows_which_skill_does():
    outcomes, rng = pools((0.0, 0.0, 0.0, 0.9), 60, 300), np.random.default_rng(2)
    adapted = search(outcomes, 60, 1.0, rng)
    fixed = search(outcomes, 60, None, rng)
    assert fixed[:, -20:].mean() == pytest.approx(0.225, abs=0.03)
    assert adapted[:, -20:].mean() > 0.6
    assert adapted.any(1).all()


def test_no_episode_is_used_twice_for_a_goal():
    once = np.zeros((10, 50), bool)
    once[3] = True
    assert (search([once], 10, 1.0, np.random.default_rng(0)).sum(1) == 1).all()


def test_each_goal_draws_its_episodes_in_an_order_of_its_own():
    once = np.zeros((10, 2000), bool)
    once[0] = True
    found = search([once], 10, None, np.random.default_rng(0)).argmax(1)
    assert np.bincount(found, minlength=10) / 2000 == pytest.approx([0.1] * 10, abs=0.03)


def test_what_a_search_says_of_its_goals():
    success = np.array([[False, True, True, False], [False] * 4, [True, False, False, False]])
    found = Search(np.zeros((3, 2)), (0, 1), success)
    assert found.found_in.tolist() == [2, 5, 1]
    assert found.found_within == pytest.approx([1 / 3, 2 / 3, 2 / 3, 2 / 3])
    assert found.episodes_needed == pytest.approx((2 + 4 + 1) / 3)


def test_too_few_episodes_are_refused_with_how_many_it_takes():
    with pytest.raises(ConfigError, match="only 5; play at least 24 episodes"):
        search(pools((0.5, 0.5), 5, 3), 12, 1.0, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"low": (0.0,)}, "goal.low has 1 values"),
        ({"low": (2.0, -1.0)}, "expected none above"),
        ({"radius": 0.0}, "radius is 0"),
    ],
)
def test_goals_that_do_not_fit_together_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **changes)
