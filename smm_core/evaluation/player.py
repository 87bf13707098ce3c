"""Learnt policies, or none, played for whole episodes and written down."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from smm_core.acting import ActingPolicy
from smm_core.config import ConfigError
from smm_core.environments import Environments, Info, make_envs
from smm_core.evaluation.episode import Episode
from smm_core.history import PolicyHistory, Snapshot
from smm_core.learner import Learner
from smm_core.rollout import Rollout
from smm_core.transitions import Floats, Layout

AVERAGE, LAST, RANDOM = "average", "last", "random"
POLICIES = (AVERAGE, LAST, RANDOM)

LONGEST_EPISODE = 100_000
"""Steps after which an environment is taken for one whose episodes never end."""

_NUMBERS = (int, float, np.number, np.bool_)
_BEYOND_TRAINING = 2**32
"""Added to the seeds of acting, so that no seed of a training is among them."""

_ENV_STREAM = 1
"""Spawn key of the environments' seeds, which stay below 2^32: numpy's older generators, and the
environments that use them, take no larger ones."""


class Recorder:
    """Environments that remember the episodes played in them."""

    def __init__(self, envs: Environments) -> None:
        self.envs, self.metadata = envs, envs.metadata
        self.episodes: list[list[Episode]] = [[] for _ in range(len(envs))]
        """The episodes of each environment that have ended; every skill is 0."""
        self._obs: list[list[Floats]] = [[] for _ in range(len(envs))]
        self._reward: list[list[float]] = [[] for _ in range(len(envs))]
        self._info: list[list[Info]] = [[] for _ in range(len(envs))]

    def __len__(self) -> int:
        return len(self.envs)

    @property
    def infos(self) -> list[Info]:
        """What each environment told last."""
        return self.envs.infos

    def reset(self, runs: Sequence[int], seeds: Sequence[int | None]) -> Floats:
        """Begin an episode in the runs named."""
        obs = self.envs.reset(runs, seeds)
        for row, run in enumerate(runs):
            self._obs[run], self._reward[run] = [obs[row]], []
            self._info[run] = [dict(self.infos[run])]
        return obs

    def step(self, action: Floats) -> tuple[Floats, Floats, NDArray[np.bool_], NDArray[np.bool_]]:
        """Step all environments and write down what they return."""
        obs, reward, terminated, truncated = self.envs.step(action)
        for run in range(len(self)):
            self._obs[run].append(obs[run].copy())
            self._reward[run].append(float(reward[run]))
            # A copy: an environment may tell all its steps in one and the same dict.
            self._info[run].append(dict(self.infos[run]))
            if terminated[run] or truncated[run]:
                self.episodes[run].append(self._episode(run, bool(terminated[run])))
            elif len(self._reward[run]) >= LONGEST_EPISODE:
                raise ConfigError(
                    f"an episode goes on after {LONGEST_EPISODE} steps, expected one that ends; "
                    "register the environment with max_episode_steps"
                )
        return obs, reward, terminated, truncated

    def close(self) -> None:
        """Close the environments."""
        self.envs.close()

    def _episode(self, run: int, terminated: bool) -> Episode:
        first, *later = self._info[run]
        info = {}
        for name in later[0]:
            if all(isinstance(told.get(name), _NUMBERS) for told in later):
                start = first[name] if isinstance(first.get(name), _NUMBERS) else np.nan
                info[name] = np.array([start, *(told[name] for told in later)], np.float64)
        reward = np.array(self._reward[run], np.float32)
        return Episode(0, np.stack(self._obs[run]), reward, terminated, info)


class SkillsInTurn(ActingPolicy):
    """Plays each skill in the same number of episodes: p(z) is uniform without chance.

    The environments of a run share its skills out.
    """

    def __init__(
        self,
        layout: Layout,
        hidden: Sequence[int],
        history: PolicyHistory,
        seeds: Sequence[int],
        activation: str,
        copies: int,
    ) -> None:
        super().__init__(layout, hidden, history, seeds, activation, copies)
        self._begun = [0] * len(seeds)

    def begin_episode(self, run: int = 0) -> None:
        """Draw the snapshot by the averaging rule; the skill is the next one."""
        super().begin_episode(run)
        number = run % self._copies + self._begun[run] * self._copies
        self.skill[run] = number % self.layout.num_skills
        self._begun[run] += 1


def policy_of(learner: Learner, name: str, on_policy: float = 0.0) -> PolicyHistory:
    """Return one of POLICIES to be played: what a run has learnt, by what an episode draws.

    'average' draws from the kept snapshots by the run's averaging rule (Definition 3.1), the
    newest with probability `on_policy` besides; 'last' is the policy as training left it;
    'random' takes uniformly random actions, and so does a run that has not begun to learn.
    """
    config = dataclasses.replace(learner.config.history, on_policy=on_policy)
    if name == AVERAGE:
        average = learner.history.averaged()
        average.config = config
        return average
    played = PolicyHistory(dataclasses.replace(config, on_policy=1.0))
    if name == LAST and learner.history.weights:
        weights = {n: t.clone() for n, t in learner.sac.actor.state_dict().items()}
        played.add(Snapshot(learner.history.newest, learner.layout, weights))
    return played


def play(
    learner: Learner,
    history: PolicyHistory,
    make: Callable[[int], Environments],
    seeds: Sequence[int],
    episodes: int,
    copies: int = 4,
) -> list[list[Episode]]:
    """Play `episodes` episodes of every run's policy; return them by run.

    `make` makes so many environments; each run plays in `copies` of them side by side. The runs'
    `seeds` decide the episodes together with `copies`; whatever else is played beside does not.
    The skills are played in turn.
    """
    copies = min(copies, episodes)
    acting_seeds, env_seeds = zip(
        *(_seeds(seed, copy) for seed in seeds for copy in range(copies)), strict=True
    )
    recorder = Recorder(make(len(env_seeds)))
    acting = SkillsInTurn(
        learner.layout,
        learner.config.sac.hidden,
        history,
        acting_seeds,
        learner.config.sac.policy_activation,
        copies,
    )
    rollout = Rollout(recorder, acting, env_seeds)
    try:
        wanted = [len(range(copy, episodes, copies)) for copy in range(copies)] * len(seeds)
        while any(len(e) < n for e, n in zip(recorder.episodes, wanted, strict=True)):
            rollout.step()
    finally:
        rollout.close()
    parts = [recorder.episodes[i : i + copies] for i in range(0, len(env_seeds), copies)]
    return [_in_turn(p, episodes, learner.layout.num_skills) for p in parts]


def _in_turn(copies: Sequence[list[Episode]], episodes: int, num_skills: int) -> list[Episode]:
    """Return a run's episodes in the order of their numbers, with the skills of `SkillsInTurn`."""
    numbered = [(n, copies[n % len(copies)][n // len(copies)]) for n in range(episodes)]
    return [dataclasses.replace(episode, skill=n % num_skills) for n, episode in numbered]


def visit(
    learner: Learner, env_id: str, history: PolicyHistory, seeds: Sequence[int], steps: int
) -> NDArray[np.float32]:
    """Play `steps` steps in one environment for each seed; return the states s, (R, steps, size).

    Each episode draws its policy from `history`; an empty one plays uniformly random actions.
    A learner of several runs is represented by its first.
    """
    sac, count = learner.config.sac, len(seeds)
    acting = ActingPolicy(
        learner.layout, sac.hidden, history, seeds, sac.policy_activation, copies=count
    )
    rollout = Rollout(make_envs(env_id, count), acting, seeds)
    next_obs = np.stack([rollout.step().next_obs for _ in range(steps)], axis=1)
    rollout.close()
    states: NDArray[np.float32] = learner.space.select(torch.from_numpy(next_obs)).numpy()
    return states


def _seeds(seed: int, copy: int) -> tuple[int, int]:
    """Return the seeds of acting and environment for one copy of a run."""
    acting = np.random.SeedSequence((seed, copy))
    env = np.random.SeedSequence((seed, copy), spawn_key=(_ENV_STREAM,))
    return int(acting.generate_state(1)[0]) + _BEYOND_TRAINING, int(env.generate_state(1)[0])
