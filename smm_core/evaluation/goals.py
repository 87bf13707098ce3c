"""Goals unknown to the policy: how many episodes until one is found (figures 3b, 5b, 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smm_core.config import ConfigError, option
from smm_core.evaluation.episode import Episode
from smm_core.evaluation.marginals import Overrides
from smm_core.skill_prior import SkillPrior

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class GoalConfig(Overrides):
    """Where goals are and when one is reached; what is not named the environment says."""

    entries: tuple[int, ...] = option((), "observation entries that a goal is about", low=0)
    low: tuple[float, ...] = option((), "lower bound of goals in each entry")
    high: tuple[float, ...] = option((), "upper bound of goals in each entry")
    radius: float = option(0.1, "distance at which a goal is reached", low=1e-9)

    def __post_init__(self) -> None:
        """Check that every entry has its bounds."""
        super().__post_init__()
        for name in ("low", "high"):
            found = len(getattr(self, name))
            # Without entries these are only changes to what the environment says.
            if self.entries and found != len(self.entries):
                raise ConfigError(
                    f"goal.{name} has {found} values, expected one for each of entries "
                    f"{self.entries}"
                )
        if any(a > b for a, b in zip(self.low, self.high, strict=False)):
            raise ConfigError(f"goal.low is {self.low}, expected none above high {self.high}")


def sample_goals(config: GoalConfig, count: int, rng: np.random.Generator) -> Array:
    """Draw goals uniform on the box, (count, entries)."""
    return rng.uniform(config.low, config.high, (count, len(config.entries)))


def reached_goals(episodes: Sequence[Episode], goals: Array, config: GoalConfig) -> Bools:
    """Return which episodes come within the radius of which goals, (episodes, goals)."""
    found = np.zeros((len(episodes), len(goals)), bool)
    for row, episode in enumerate(episodes):
        states = episode.reached[:, list(config.entries)].astype(np.float64)
        squared = ((states[:, None] - goals) ** 2).sum(-1)
        found[row] = squared.min(0) < config.radius**2
    return found


@dataclass(frozen=True)
class Search:
    """What came of looking for each goal in episode after episode."""

    goals: Array
    """(G, entries)"""
    entries: tuple[int, ...]
    """The observation entries that goals are about."""
    success: Bools
    """(G, N): whether the n-th episode reached the goal"""

    @property
    def found_in(self) -> NDArray[np.int64]:
        """In which episode each goal was found first, (G,), from 1; N + 1 where in none."""
        horizon = self.success.shape[1]
        return np.where(self.success.any(1), self.success.argmax(1) + 1, horizon + 1)

    @property
    def found_within(self) -> Array:
        """Share of the goals found within 1 .. N episodes, (N,)."""
        share: Array = np.maximum.accumulate(self.success, axis=1).mean(0)
        return share

    @property
    def episodes_needed(self) -> float:
        """Mean number of episodes until a goal is found; N where it never is."""
        return float(np.minimum(self.found_in, self.success.shape[1]).mean())


def search(
    success_of: Sequence[Bools],
    horizon: int,
    pseudo_rollouts: float | None,
    rng: np.random.Generator,
) -> Bools:
    """Look for each goal for `horizon` episodes; return which reach it, (goals, horizon).

    Each episode's skill is drawn from p(z). `success_of[z]` tells which of skill z's episodes
    reach which goal, (episodes, goals). The policy does not know the goal, so what a skill would
    have done for it is one of the episodes that the skill has played: each goal draws its own,
    none twice, and one set of episodes serves for all goals. p(z) begins uniform for every goal
    and is re-estimated after each episode with so many pseudo-rollouts (`SkillPrior`); None
    leaves it uniform.

    Raises ConfigError where a skill has played fewer than `horizon` episodes.
    """
    fewest = min(len(episodes) for episodes in success_of)
    if fewest < horizon:
        raise ConfigError(
            f"goals are looked for in {horizon} episodes, but a skill has played only {fewest}; "
            f"play at least {horizon * len(success_of)} episodes, or look for goals in fewer"
        )
    rows = []
    for goal in range(success_of[0].shape[1]):
        outcomes = [rng.permutation(episodes[:, goal]) for episodes in success_of]
        rows.append(_search_one(outcomes, rng.random(horizon), pseudo_rollouts))
    return np.array(rows, bool)


def _search_one(
    outcomes: Sequence[Bools], draws: Array, pseudo_rollouts: float | None
) -> list[bool]:
    prior = SkillPrior(len(outcomes), pseudo_rollouts or 1.0)
    played, success = [0] * len(outcomes), []
    for draw in draws.tolist():
        skill = prior.draw(draw)
        success.append(bool(outcomes[skill][played[skill]]))
        played[skill] += 1
        if pseudo_rollouts is not None:
            prior.record(skill, success[-1])
    return success
