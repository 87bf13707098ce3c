"""What runs have learnt, played and measured; from a run folder to its figures."""

import argparse
import math
import pickle
import re

import numpy as np
import pytest

from smm_core.config import ConfigError, from_mapping
from smm_core.environments import make_env
from smm_core.evaluation.episode import Episode
from smm_core.evaluation.evaluate import (
    EvaluateConfig,
    bins_of,
    evaluate,
    goals_of,
)
from smm_core.evaluation.goals import GoalConfig
from smm_core.evaluation.trained_runs import open_runs
from smm_core.options import add_options

RING_BINS = {"names": ["angle"], "circular": [0, 1], "bin_width": [math.radians(10)]}


@pytest.fixture
def played(monkeypatch):
    """Play nothing: skill 1 is where all goals are, skill 0 never; return what would be played."""
    histories = []

    def play(learner, history, make, seeds, episodes, copies):
        histories.append(history)
        places = np.full((learner.layout.num_skills, 3, 3), 9.0, np.float32)
        places[1:] = 0.0
        skills = [n % len(places) for n in range(episodes)]
        return [
            [Episode(z, places[z], np.zeros(2, np.float32), False, {}) for z in skills]
            for _ in seeds
        ]

    monkeypatch.setattr("smm_core.evaluation.evaluate.play", play)
    return histories


def settings(**values):
    small = {"episodes": 12, "side_by_side": 3, "goals": 20, "goal_episodes": 6}
    return from_mapping(EvaluateConfig, small | values)


def test_every_figure_that_the_environment_allows_is_measured(trained, square):
    runs = open_runs(trained(env=square, runs=2, learner={"num_skills": 2}))
    for policy in ("average", "last", "random"):
        results = evaluate(runs, policy, settings())
        assert [r.seed for r in results] == [0, 1]
        expected = {
            "state_entropy", "outside_share", "kl_target_policy", "kl_policy_target",
            "total_variation", "goals_found", "episodes_needed", "halls_reached",
            "valve_rotations", "valve_clockwise", "valve_counter_clockwise", "valve_range",
            "valve_half_turn",
        }  # fmt: skip
        expected |= {"halls_reached_in_training"} if policy != "random" else set()
        expected |= {"nll"} if policy == "average" else set()
        for result in results:
            assert set(result.figures) == expected
            assert all(math.isfinite(value) for value in result.figures.values())
            assert 0 < result.figures["state_entropy"] <= math.log(16)
            assert result.marginal.total == 12 * 10
            assert np.exp(result.log_target).sum() == pytest.approx(1)
            assert result.search.success.shape == (20, 6)
            assert result.figures["halls_reached"] in (0.0, 0.5)
    assert [note.partition(":")[0] for note in runs.notes] == ["target not normalised"]


def test_the_same_seed_gives_the_same_figures_and_another_others(trained, square):
    runs = open_runs(trained(env=square))
    first, again, other = (
        evaluate(runs, "average", settings(seed=seed))[0].figures for seed in (1, 1, 2)
    )
    assert first == again
    assert first["state_entropy"] != other["state_entropy"]


def test_goals_are_the_same_for_all_runs(trained, square):
    first, second = evaluate(open_runs(trained(env=square, runs=2)), "random", settings())
    np.testing.assert_array_equal(first.search.goals, second.search.goals)
    assert not np.array_equal(first.search.success, second.search.success)


def test_options_take_precedence_over_what_the_environment_names(trained, square):
    runs = open_runs(trained(env=square))
    found = evaluate(runs, "random", settings(bins={"bin_width": [0.1]}, coordinates=["y"]))[0]
    assert found.marginal.bins.shape == (20,)
    wide = evaluate(runs, "random", settings(goal={"radius": 5.0}))[0]
    assert wide.figures["goals_found"] == wide.figures["episodes_needed"] == 1.0


def test_an_option_equal_to_its_default_takes_precedence_too(trained, square, monkeypatch):
    runs = open_runs(trained(env=square))
    env = make_env(square)
    told = env.unwrapped.metadata
    monkeypatch.setitem(told, "goals", {**told["goals"], "radius": 0.5})
    assert goals_of(env, settings()).radius == 0.5
    assert goals_of(env, settings(goal={"low": [0.0]})).radius == 0.5
    assert goals_of(env, settings(goal={"radius": 0.1})).radius == GoalConfig().radius == 0.1
    elsewhere = pickle.loads(pickle.dumps(EvaluateConfig(goal=GoalConfig(radius=0.1))))
    assert goals_of(env, elsewhere).radius == 0.1
    monkeypatch.setitem(told["evaluation"], "circular", [0, 1])
    monkeypatch.setitem(told["evaluation"], "names", ["x", "y", "angle"])
    bins = {"names": ["x", "y"], "circular": []}
    assert bins_of(env, runs.learner, settings()).shape == (4, 4, 13)
    assert bins_of(env, runs.learner, settings(bins=bins)).shape == (4, 4)


def test_bins_given_as_options_do_without_the_environments(trained):
    runs = open_runs(trained())
    assert "state_entropy" not in evaluate(runs, "random", settings())[0].figures
    (note,) = [note for note in runs.notes if "figure 'marginal'" in note]
    parser = argparse.ArgumentParser()
    add_options(parser, EvaluateConfig)
    named = set(re.findall(r"--[a-z._]+[a-z]", note))
    assert "--bins.names" in named
    assert all(f"{name} " in parser.format_help() for name in named)
    (note,) = [note for note in runs.notes if "figure 'goals'" in note]
    assert {"--goal.entries", "--goal.radius"} <= set(re.findall(r"--[a-z._]+[a-z]", note))
    figures = evaluate(runs, "random", settings(bins=RING_BINS))[0].figures
    assert 0 < figures["state_entropy"] < math.log(36)
    assert 0 < figures["kl_policy_target"] < math.log(36)
    # Over equal bins the divergence to uniform is what the entropy lacks.
    lacking = math.log(36) - figures["state_entropy"]
    assert figures["kl_policy_target"] == pytest.approx(lacking, abs=0.05)


def test_a_figure_asked_for_by_name_is_measured_alone(trained, square):
    runs = open_runs(trained(env=square))
    divergences = {"kl_target_policy", "kl_policy_target", "total_variation", "outside_share"}
    for name, expected in (("halls", {"halls_reached"}), ("target", divergences)):
        assert set(evaluate(runs, "random", settings(figures=[name]))[0].figures) == expected


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        ("marginal", "the environment names no bins"),
        ("target", "the environment names no bins"),
        ("goals", "the environment names no goals"),
        ("halls", "the environment tells no 'hall_reached'"),
        ("valve", "the environment tells no 'valve_angle'"),
        ("nll", "sac learns no density"),
    ],
)
def test_a_figure_asked_for_by_name_that_can_not_be_had_is_refused_before_playing(
    trained, played, figure, message
):
    ring = open_runs(trained(learner={"method": "sac"}))
    with pytest.raises(ConfigError, match=f"no figure '{figure}': {message}"):
        evaluate(ring, "average", settings(figures=[figure]))
    assert not played
    with pytest.raises(ConfigError, match="figures is 'halls_', expected one of marginal"):
        settings(figures=["halls_"])


def test_a_target_that_is_a_reward_unknown_is_left_out_with_a_note(trained):
    runs = open_runs(trained(learner={"target": {"name": "reward"}}))
    figures = evaluate(runs, "random", settings(bins=RING_BINS))[0].figures
    assert "state_entropy" in figures
    assert "total_variation" not in figures
    assert any("no log_target" in note for note in runs.notes)


def test_a_target_of_entries_that_are_not_counted_is_left_out(trained, square):
    runs = open_runs(trained(env=square))
    figures = evaluate(runs, "random", settings(coordinates=["y"]))[0].figures
    assert "total_variation" not in figures
    assert any("entries that are not counted" in note for note in runs.notes)


def test_metadata_that_is_wrong_names_where_it_comes_from(trained, square, monkeypatch):
    runs = open_runs(trained(env=square))
    told = make_env(square).unwrapped.metadata
    monkeypatch.setitem(told, "evaluation", {"names": ["x"], "entries": [0, 1]})
    with pytest.raises(ConfigError, match="bins.low has 0 values.*environment's evaluation"):
        evaluate(runs, "random", settings())


SEARCH = {"episodes": 80, "goal_episodes": 40, "goals": 50, "goal": {"radius": 2.0}}


@pytest.mark.parametrize(
    ("options", "low", "high"),
    [
        # Of two skills one always reaches the goal: the more pseudo-rollouts, the more a success
        # counts beside what was not tried yet.
        ({}, 0.83, 0.91),
        ({"adapt": False}, 0.4, 0.6),
        ({"pseudo_rollouts": 1000.0}, 0.93, 1.0),
    ],
)
def test_goals_are_looked_for_by_the_skills_that_reach_them_as_far_as_p_z_adapts(
    trained, square, played, options, low, high
):
    runs = open_runs(trained(env=square, learner={"num_skills": 2}))
    found = evaluate(runs, "average", settings(**SEARCH, figures=["goals"], **options))[0].search
    assert low < found.success[:, 20:].mean() < high


def test_each_run_draws_its_episodes_in_an_order_of_its_own(trained, square, played):
    runs = open_runs(trained(env=square, runs=2, learner={"num_skills": 2}))
    first, second = evaluate(runs, "average", settings(**SEARCH, figures=["goals"], adapt=False))
    assert 0.3 < (first.search.success != second.search.success).mean() < 0.7


def test_the_newest_policy_is_played_as_often_as_told(trained, square, played):
    runs = open_runs(trained(env=square))
    for share in (0.0, 0.25):
        evaluate(runs, "average", settings(on_policy=share, figures=["marginal"]))
    assert [history.config.on_policy for history in played] == [0.0, 0.25]


def test_too_few_episodes_for_goals_leave_them_out_unless_they_were_named(trained, square, played):
    runs = open_runs(trained(env=square, learner={"num_skills": 2}))
    figures = evaluate(runs, "random", settings(episodes=11))[0].figures
    assert "goals_found" not in figures
    assert "state_entropy" in figures
    message = "goal_episodes is 6, but each of the 2 skills of sm4 plays 5; give --episodes 12"
    assert any(message in note for note in runs.notes)
    assert "goals_found" in evaluate(runs, "random", settings(episodes=12))[0].figures
    played.clear()
    with pytest.raises(ConfigError, match="no figure 'goals': " + message):
        evaluate(runs, "random", settings(episodes=11, figures=["goals"]))
    assert not played


@pytest.mark.parametrize(
    ("steps", "untrained"),
    [
        # Learning begins after 4 steps, and a policy is kept then and every third step after.
        (3, {"average": "uniformly random actions", "last": "uniformly random actions"}),
        (4, {"average": "policy that learning begins", "last": "policy that learning begins"}),
        (6, {"average": "policy that learning begins"}),
        (7, {}),
    ],
)
def test_a_policy_that_has_learnt_nothing_is_told_of(trained, played, steps, untrained):
    folder = trained(str(steps), steps=steps)
    for policy in ("average", "last", "random"):
        runs = open_runs(folder)
        evaluate(runs, policy, settings())
        notes = [note for note in runs.notes if "untrained" in note]
        assert len(notes) == (policy in untrained)
        assert all(f"{policy!r} of {folder}" in note for note in notes)
        assert all(untrained[policy] in note for note in notes)


def test_halls_reached_before_what_the_replay_keeps_are_told_of(trained, square):
    for capacity in (40, 30):
        runs = open_runs(trained(str(capacity), square, learner={"replay_capacity": capacity}))
        evaluate(runs, "average", settings(figures=["halls"]))
        assert [n[:56] for n in runs.notes] == [
            "halls reached in training are those of the newest 30 of 40 steps"[:56]
        ] * (capacity < 40)


def test_a_target_says_how_it_was_fitted_and_whether_it_is_normalised(trained, played, tmp_path):
    angles = np.random.default_rng(0).vonmises(0.0, 4.0, 300)
    np.save(tmp_path / "shown.npy", angles[:, None].astype(np.float32))
    shown = {"file": str(tmp_path / "shown.npy"), "updates": 20}
    vae = {"density": {"model": "vae", "vae": {"hidden": [8], "code_size": 2}}}
    expected = {
        "exact": ({}, 0.0, " nats", 0),
        "bound": (vae, 0.0, " nats at most", 1),
        "with a reward": ({}, 1.0, " nats", 1),
    }
    for name, (density, weight, ending, unnormalised) in expected.items():
        target = {"name": "demonstrations", "demonstrations": {**shown, **density}}
        target["reward_weight"] = weight
        runs = open_runs(trained(name, learner={"target": target, "state": {"circular": [0, 1]}}))
        evaluate(runs, "random", settings(bins=RING_BINS))
        nll = runs.learner.target.reference.held_out_nll
        note = f"target fitted to {tmp_path / 'shown.npy'}, held-out NLL {nll:.3f}{ending}"
        assert runs.notes.count(note) == 1
        assert sum("target not normalised" in note for note in runs.notes) == unnormalised
