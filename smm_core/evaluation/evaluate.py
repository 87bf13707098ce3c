"""Playing what runs have learnt, and the figures of what was reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smm_core.config import Config, ConfigError, option
from smm_core.environments import Env, make_env, make_envs
from smm_core.evaluation.episode import Episode, reached
from smm_core.evaluation.goals import GoalConfig, Search, reached_goals, sample_goals, search
from smm_core.evaluation.marginals import MOST_BINS, Bins, BinsConfig, Marginal
from smm_core.evaluation.metrics import (
    halls_reached,
    halls_reached_in_training,
    held_out_nll,
    log_density_of,
    valve_figures,
)
from smm_core.evaluation.player import AVERAGE, POLICIES, RANDOM, play, policy_of
from smm_core.evaluation.run_result import RunResult
from smm_core.evaluation.trained_runs import TrainedRuns
from smm_core.learner import Learner
from smm_core.targets.demonstrations import DemonstrationTarget

FIGURES = ("marginal", "target", "nll", "goals", "halls", "valve")
MARGINAL, TARGET, NLL, GOALS, HALLS, VALVE = FIGURES
TOLD = {HALLS: "hall_reached", VALVE: "valve_angle"}
"""Figures of what the environment tells under a name."""


_NO_BINS = (
    "the environment names no bins; give --bins.names and --bins.bin_width with --bins.entries, "
    "--bins.low and --bins.high, with --bins.circular, or with all of these"
)
_NO_GOALS = (
    "the environment names no goals; give --goal.entries, --goal.low, --goal.high and, unless it "
    f"is {GoalConfig().radius}, --goal.radius"
)


@dataclass(frozen=True)
class EvaluateConfig(Config):
    """How learnt policies are played and what is measured of them."""

    policies: tuple[str, ...] = option(
        (AVERAGE,),
        "which policies: the historical 'average', the 'last' one, 'random' actions",
        choices=POLICIES,
    )
    figures: tuple[str, ...] = option(
        (), "which figures; none: all that the environment allows", choices=FIGURES
    )
    episodes: int = option(1000, "episodes played of each run and policy", low=1)
    side_by_side: int = option(4, "episodes of a run played at a time", low=1)
    on_policy: float = option(
        0.0, "probability that an episode of the average uses the newest policy", low=0.0, high=1.0
    )
    seed: int = option(0, "of everything random here", low=0)
    coordinates: tuple[str, ...] = option(
        (), "names of the coordinates counted in bins; none: all that the environment names"
    )
    goals: int = option(100, "goals looked for by each run", low=1)
    goal_episodes: int = option(100, "episodes in which a goal may be found", low=1)
    adapt: bool = option(True, "re-estimate p(z) after each episode from its success")
    pseudo_rollouts: float = option(
        1.0, "rollouts each skill is taken to have had: the latent prior coefficient", low=1e-9
    )
    bins: BinsConfig = option(BinsConfig(), "the bins of marginals")
    goal: GoalConfig = option(GoalConfig(), "goals")


def evaluate(runs: TrainedRuns, policy: str, config: EvaluateConfig) -> list[RunResult]:
    """Play one of `POLICIES` of each run and measure it; notes are added to `runs`.

    Raises ConfigError where a figure that was asked for by name can not be had.
    """
    with opened(runs, config) as evaluation:
        return evaluation.results(policy)


@contextmanager
def opened(runs: TrainedRuns, config: EvaluateConfig) -> Iterator[Evaluation]:
    """Open the evaluation of a folder's runs, for any of their policies; nothing is played yet.

    Raises ConfigError where a figure that was asked for by name is known not to be had.
    """
    env = make_env(runs.env_id, runs.env_options)
    try:
        yield Evaluation(runs, env, config)
    finally:
        env.close()


class Evaluation:
    """Measures one folder's runs; the environment is asked, not played in."""

    def __init__(self, runs: TrainedRuns, env: Env, config: EvaluateConfig) -> None:
        self.runs, self.env, self.config = runs, env, config
        self.bins, self.goal = bins_of(env, runs.learner, config), goals_of(env, config)
        self.log_target: NDArray[np.float64] | None = None
        has_bins = [
            self._offers(figure, self.bins is not None, _NO_BINS) for figure in (MARGINAL, TARGET)
        ]
        if self.bins is not None and has_bins[1]:
            self.log_target = self._target(self.bins)
        if self._wants(TARGET):
            self._describe_target()
        self._seeks_goals = self._has_goals()
        density = getattr(runs.learner.objective, "density", None)
        self._offers(NLL, density is not None, f"{runs.label} learns no density")
        if config.figures and any(map(self._wants, TOLD)):
            self._check_told()

    def results(self, policy: str) -> list[RunResult]:
        """Play and measure every run."""
        runs, config = self.runs, self.config
        self._tell_untrained(policy)
        episodes = play(
            runs.learner,
            policy_of(runs.learner, policy, config.on_policy),
            lambda count: make_envs(runs.env_id, count, runs.env_options),
            [_seed(config.seed, seed) for seed in runs.seeds],
            config.episodes,
            config.side_by_side,
        )
        found = [
            self._measure(policy, seed, played)
            for seed, played in zip(runs.seeds, episodes, strict=True)
        ]
        for name, values in self._of_all_runs(policy, episodes).items():
            for result, value in zip(found, values.tolist(), strict=True):
                result.figures[name] = value
        return found

    def _measure(self, policy: str, seed: int, episodes: list[Episode]) -> RunResult:
        """Measure what can be measured of each run alone."""
        figures: dict[str, float] = {}
        marginal, found = None, None
        if self.bins is not None and (self._wants(MARGINAL) or self.log_target is not None):
            marginal = Marginal.of(self.bins, reached(episodes))
            if self._wants(MARGINAL):
                figures["state_entropy"] = marginal.entropy
            figures["outside_share"] = marginal.outside_share
            if self.log_target is not None:
                figures |= marginal.divergences(self.log_target)
        if self._seeks_goals:
            found = self._search(episodes, seed)
            figures["goals_found"] = float(found.found_within[-1])
            figures["episodes_needed"] = found.episodes_needed
        told = self._told_in(episodes[0].info)
        if HALLS in told:
            halls = self.env.get_wrapper_attr("halls")
            figures["halls_reached"] = halls_reached(episodes, halls.num_halls)
        if VALVE in told:
            figures |= valve_figures(episodes)
        walls = getattr(getattr(self.env.unwrapped, "halls", None), "outline", None)
        folder = self.runs.folder
        return RunResult(
            folder, seed, policy, figures, episodes, marginal, found, walls, self.log_target
        )

    def _of_all_runs(
        self, policy: str, episodes: list[list[Episode]]
    ) -> dict[str, NDArray[np.float64]]:
        """Measure what a learner of several runs computes for all at once."""
        figures: dict[str, NDArray[np.float64]] = {}
        learner = self.runs.learner
        if policy != RANDOM and HALLS in self._told_in(episodes[0][0].info):
            halls = self.env.get_wrapper_attr("halls")
            figures["halls_reached_in_training"] = halls_reached_in_training(
                learner, halls.reached, halls.num_halls
            )
            kept, all_steps = learner.replay.capacity, learner.steps
            if all_steps > kept:
                self._note(
                    f"halls reached in training are those of the newest {kept} of {all_steps} "
                    f"steps of {self.runs.folder}: its replay keeps no more (replay_capacity)"
                )
        nll = held_out_nll(learner, episodes) if policy == AVERAGE and self._wants(NLL) else None
        return figures if nll is None else figures | {"nll": nll}

    def _has_goals(self) -> bool:
        """Return whether goals are looked for, in as many episodes of each skill as it takes."""
        config, skills = self.config, self.runs.learner.layout.num_skills
        if not self._offers(GOALS, bool(self.goal.entries), _NO_GOALS):
            return False
        needed = config.goal_episodes * skills
        return self._offers(
            GOALS,
            config.episodes >= needed,
            f"goal_episodes is {config.goal_episodes}, but each of the {skills} skills of "
            f"{self.runs.label} plays {config.episodes // skills}; give --episodes {needed} or "
            "more, or a smaller --goal_episodes",
        )

    def _search(self, episodes: list[Episode], seed: int) -> Search:
        config = self.config
        # The goals are the same for all runs, which order they draw their episodes in is not.
        goals = sample_goals(self.goal, config.goals, np.random.default_rng(config.seed))
        reaches = reached_goals(episodes, goals, self.goal)
        skill = np.array([episode.skill for episode in episodes])
        pools = [reaches[skill == z] for z in range(self.runs.learner.layout.num_skills)]
        rng = np.random.default_rng((config.seed, seed))
        prior = config.pseudo_rollouts if config.adapt else None
        success = search(pools, config.goal_episodes, prior, rng)
        return Search(goals, self.goal.entries, success)

    def _target(self, bins: Bins) -> NDArray[np.float64] | None:
        told = getattr(self.env.unwrapped, "log_target", None)
        density, what = log_density_of(self.runs.learner, told)
        if what:
            self._note(what)
        found = None if density is None else bins.log_target(density)
        reason = "no target density over the bins is known"
        if density is not None:
            reason = (
                f"the target is not normalised over {bins.size} bins, at most {MOST_BINS}; count "
                "fewer coordinates (--coordinates) or in wider bins (--bins.bin_width)"
                if bins.size > MOST_BINS
                else "the target also depends on entries that are not counted in bins; count "
                "those too (--coordinates, --bins.entries)"
            )
        self._offers(TARGET, found is not None, reason)
        return found

    def _tell_untrained(self, policy: str) -> None:
        learner = self.runs.learner
        kept = learner.history.weights
        # Version 1 is kept when learning begins.
        is_first_alone = policy == AVERAGE and list(kept) == [1]
        if policy == RANDOM or (learner.updates and kept and not is_first_alone):
            return
        played = "the policy that learning begins with" if kept else "uniformly random actions"
        learnt = (
            f"{learner.steps} steps of which the first {learner.config.random_steps} are random "
            "(random_steps)"
        )
        if learner.off_line_updates and not learner.steps:
            learnt = (
                f"{learner.updates} updates on fixed data; others are kept each snapshot_period "
                "updates"
            )
        self._note(
            f"policy {policy!r} of {self.runs.folder} is untrained: it plays {played}, after "
            f"{learnt}"
        )

    def _describe_target(self) -> None:
        """Say how good a fitted target is, and where log p* is known up to a constant only."""
        target, demonstrations = self.runs.learner.target, self.runs.learner.config.target
        if isinstance(target.reference, DemonstrationTarget):
            self._note(
                f"target fitted to {demonstrations.demonstrations.file}, held-out NLL "
                f"{target.reference.held_out_nll:.3f} nats"
                + ("" if target.reference.is_normalised else " at most")
            )
        if not target.is_normalised:
            self._note(
                "target not normalised: log p* is known up to a constant, and so is training's "
                "kl_to_target; divergences here are to p* normalised over the bins"
            )

    def _check_told(self) -> None:
        """Raise ConfigError where the environment does not tell, by one step, what was named."""
        self.env.reset(seed=0)
        self._told_in(self.env.step(np.zeros(self.env.action_space.shape or (), np.float32))[-1])

    def _told_in(self, info: Mapping[str, Any]) -> list[str]:
        """Return the figures of TOLD that are wanted and told."""
        reason = "the environment tells no {!r}".format
        return [f for f, name in TOLD.items() if self._offers(f, name in info, reason(name))]

    def _wants(self, figure: str) -> bool:
        return not self.config.figures or figure in self.config.figures

    def _offers(self, figure: str, possible: bool, reason: str) -> bool:
        """Return whether a figure is wanted and possible; says why not, or raises if named."""
        if self._wants(figure) and not possible:
            if self.config.figures:
                raise ConfigError(f"{self.runs.folder}: no figure {figure!r}: {reason}")
            self._note(f"no figure {figure!r}: {reason}")
        return self._wants(figure) and possible

    def _note(self, text: str) -> None:
        if text not in self.runs.notes:
            self.runs.notes.append(text)


def bins_of(env: Env, learner: Learner, config: EvaluateConfig) -> Bins | None:
    """Return the bins that options or the environment's metadata["evaluation"] name, or None."""
    bins = config.bins.over(env.unwrapped.metadata.get("evaluation", {}), "evaluation")
    if config.coordinates:
        bins = bins.only(config.coordinates)
    return Bins(bins, learner.layout.obs_size) if bins.names else None


def goals_of(env: Env, config: EvaluateConfig) -> GoalConfig:
    """Return where goals are by options or by the environment's metadata["goals"]."""
    return config.goal.over(env.unwrapped.metadata.get("goals", {}), "goals")


def _seed(seed: int, run: int) -> int:
    """Return the seed of the evaluation `seed` of a run trained with the seed `run`."""
    return int(np.random.SeedSequence((seed, run)).generate_state(1)[0])
