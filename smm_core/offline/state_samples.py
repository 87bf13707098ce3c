"""The states of recorded transitions, taken in one by one and kept in bounded memory."""

from __future__ import annotations

import copy
import hashlib
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smm_core.densities.density import Density, make_density
from smm_core.generators import Generators
from smm_core.networks import skill_onehot
from smm_core.offline.fit_config import FitConfig
from smm_core.offline.reservoir import Reservoir
from smm_core.state_space import StateSpace
from smm_core.targets.target import Target
from smm_core.transitions import LARGEST, Layout

BLOCK = 4096
"""Transitions that are looked at together."""


class FitError(ValueError):
    """Transitions that nothing can be fitted to."""


class Part(NamedTuple):
    """The states kept of one part, as the models take them."""

    state: Tensor
    """(1, N, size)"""
    onehot: Tensor
    """(1, N, skill_size)"""
    skill: Tensor
    """(1, N) int64"""
    shaping: Tensor
    """(1, N) nats"""


class StateSamples:
    """Collects what a fit needs of a stream of transitions of any length.

    Whole episodes are held out, or stretches of them, by a hash of their names; what lies where
    such stretches meet is left out, so that no state to test by is the neighbour of one that was
    learnt. Of each part an even sample is kept; a density that counts
    has seen every training state. All of it depends on the transitions and their order, the
    settings and the seed: not on the pace, nor on who looked in between.
    """

    def __init__(self, config: FitConfig, obs_size: int) -> None:
        """Start empty; raises ConfigError where settings do not fit the observation."""
        self.config, self.obs_size = config, obs_size
        self.space = StateSpace(config.state, obs_size)
        self.target = Target(config.target, self.space)
        # Whatever does not fit together is to be known before a long recording is read.
        make_density(Generators([config.seed]), self.space, config.num_skills, config.density)
        width = self.space.size + 2  # the state, its skill, its shaping
        self.train = Reservoir(config.capacity, width, (config.seed, 0))
        self.held_out = Reservoir(config.capacity, width, (config.seed, 1))
        self.num_skills = config.num_skills
        """Skills; 0 as long as that is not settled."""
        self.refused = 0
        """Transitions left out because a number in them was not finite."""
        self.beside = 0
        """Transitions left out because they were next to some of the other part."""
        self._density: Density | None = None
        self._largest_skill = 0
        self._obs = np.empty((BLOCK, obs_size), np.float32)
        self._others = np.empty((BLOCK, 2), np.float32)
        self._is_held_out = np.empty(BLOCK, bool)
        self._waiting = 0

    def add(
        self,
        next_obs: NDArray[np.floating],
        skill: int,
        log_p_shaping: float,
        episode: str,
        before: str = "",
    ) -> None:
        """Take in one transition: the observation reached, (obs_size,), and log p* shaping, nats.

        `episode` names the stretch that is held out as one, `before` the one that the transition
        is next to, if any: where one of them is held out and the other is not, it is in neither
        part. Raises FitError where the observation has another size, or the skill is beyond
        `num_skills`.
        """
        if next_obs.shape != (self.obs_size,):
            raise FitError(
                f"an observation of episode {episode} has shape {next_obs.shape}, expected "
                f"({self.obs_size},) as before; fit recordings of one kind together"
            )
        if skill > self._largest_skill:
            self._check_skill(skill)
        is_test = self._is_test(episode)
        if before and self._is_test(before) != is_test:
            self.beside += 1
            return
        place = self._waiting
        self._obs[place] = next_obs
        self._others[place] = skill, log_p_shaping
        self._is_held_out[place] = is_test
        self._waiting += 1
        if self._waiting == BLOCK:
            self._take_waiting()

    def _is_test(self, episode: str) -> bool:
        return is_held_out(self.config.seed, episode, self.config.held_out)

    def copy(self) -> StateSamples:
        """Return all that came so far, whole; what comes later does not change it."""
        other = copy.deepcopy(self)
        other._take_waiting()
        return other

    def density(self) -> Density:
        """Return the density, which has seen every training state if it is one that counts."""
        self._settle()
        assert self._density is not None
        return self._density

    def _check_skill(self, skill: int) -> None:
        if self.num_skills and skill >= self.num_skills:
            raise FitError(
                f"a transition has skill {skill}, expected 0 .. {self.num_skills - 1}; set "
                f"num_skills to {skill + 1} or more"
            )
        self._largest_skill = skill

    def _take_waiting(self) -> None:
        """Sort the transitions of a block into both parts."""
        obs, others = self._obs[: self._waiting], self._others[: self._waiting]
        is_held_out, self._waiting = self._is_held_out[: self._waiting], 0
        good = (np.abs(obs) <= LARGEST).all(1) & (np.abs(others) <= LARGEST).all(1)
        self.refused += int(np.count_nonzero(~good))
        state = self.space.select(torch.from_numpy(obs[good])).numpy()
        rows, is_test = np.concatenate((state, others[good]), 1), is_held_out[good]
        self.held_out.add(rows[is_test])
        self._add_training(rows[~is_test])

    def _add_training(self, rows: NDArray[np.float32]) -> None:
        # As long as all are kept they can be counted later, when the number of skills is known.
        if self._density is None and self.train.seen + len(rows) > self.train.capacity:
            self._settle()
        if self._density is not None:
            self._observe(rows)
        self.train.add(rows)

    def _settle(self) -> None:
        """Make the density, for the skills there are by now, and let it see what came so far."""
        if self._density is not None:
            return
        self.num_skills = self.num_skills or self._largest_skill + 1
        skill_size = Layout(self.obs_size, 0, self.num_skills).skill_size
        generators = Generators([self.config.seed])
        self._density = make_density(generators, self.space, skill_size, self.config.density)
        for start in range(0, len(self.train.rows), BLOCK):
            self._observe(self.train.rows[start : start + BLOCK])

    def _observe(self, rows: NDArray[np.float32]) -> None:
        assert self._density is not None
        if len(rows):
            part = self._columns(rows)
            self._density.observe(part.state, part.onehot)

    def part(self, reservoir: Reservoir) -> Part:
        """Return the states that a reservoir of this has kept."""
        return self._columns(reservoir.rows)

    def _columns(self, rows: NDArray[np.float32]) -> Part:
        layout = Layout(self.obs_size, 0, self.num_skills)
        state, skill, shaping = (
            torch.from_numpy(rows).unsqueeze(0).split((self.space.size, 1, 1), -1)
        )
        number = skill.squeeze(-1).long()
        return Part(state, skill_onehot(number, layout), number, shaping.squeeze(-1))


@lru_cache(maxsize=4096)
def is_held_out(seed: int, episode: str, share: float) -> bool:
    """Tell whether an episode belongs to the share that is held out: by a hash of its name."""
    digest = hashlib.blake2b(f"{seed} {episode}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2.0**64
