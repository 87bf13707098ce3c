"""Minari datasets that no bag was exported to, read as the transitions of a hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import minari
import numpy as np
from gymnasium.spaces import Box, Space
from numpy.typing import NDArray

from smm_core.transitions import Floats
from smm_ros.bag.datasets.dataset import DatasetError, DatasetReading
from smm_ros.bag.datasets.segment import records_of
from smm_ros.dclaw.spec import PERIOD_NS
from smm_ros.records import TransitionRecord

HAND = "imported"
"""Name of the hand where none is chosen."""


class ForeignReading(DatasetReading):
    """The episodes of a dataset as one run of one hand.

    Observations become float32; actions are clipped to their bounds, as environments do, and
    scaled from them to [-1, 1]; rewards are taken for log p_shaping. Sequence and episode count
    from 0, the skill is 0, the policy version 0. Stamps are one control period apart, and begin
    at 0.
    """

    def __init__(self, dataset: minari.MinariDataset) -> None:
        """Take a dataset; raises DatasetError where its spaces do not fit."""
        self._dataset = dataset
        _check_vector("observation", dataset.observation_space)
        space = _check_vector("action", dataset.action_space)
        if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
            raise DatasetError(
                f"actions of {dataset.id} are without bounds ({space}); expected a Box with a "
                "finite low and high, from which they are scaled to [-1, 1]"
            )
        self._low, self._high = space.low.astype(np.float64), space.high.astype(np.float64)
        self.notes = []
        self._hand, self._ignore_rewards, self._clipped = HAND, False, 0

    def choose(self, hand: str | None, ignore_rewards: bool) -> None:
        """Set the name of the hand, and whether log p_shaping is 0 in place of the rewards."""
        self._hand = HAND if hand is None else hand
        self._ignore_rewards = ignore_rewards

    def hands(self) -> dict[int, set[str]]:
        """Return the one hand of the one run."""
        return {0: {self._hand}}

    def records(self, run: int) -> Iterator[TransitionRecord]:
        """Yield the transitions.

        Raises DatasetError for values that are not finite, for rewards above 0, and where the
        dataset can not be read.
        """
        sequence = 0
        try:
            for number, episode in enumerate(self._dataset):
                steps = len(episode)
                columns = self._columns(number, episode)
                counts = np.arange(sequence, sequence + steps)
                columns["sequence"] = counts.astype(np.uint64)
                # One more period each episode: the final observation has a time of its own.
                columns["stamp_ns"] = (counts + number) * PERIOD_NS
                yield from records_of([self._hand] * steps, columns)
                sequence += steps
        except (OSError, KeyError) as error:
            raise DatasetError(f"can not read {self._dataset.id}: {error}") from error
        if self._clipped:
            self.notes.append(f"{self._clipped} actions were clipped to the bounds of their space")

    def _columns(self, number: int, episode: minari.EpisodeData) -> dict[str, NDArray[Any]]:
        where = f"episode {number} of {self._dataset.id}"
        steps = len(episode)
        observations = _finite(f"observations of {where}", episode.observations)
        rewards = _finite(f"rewards of {where}", episode.rewards)
        if self._ignore_rewards:
            rewards = np.zeros_like(rewards)
        elif (rewards > 0).any():
            raise DatasetError(
                f"{where} has rewards up to {rewards.max()}, which are no log p_shaping, at most "
                "0 nats; leave them out with --ignore_rewards"
            )
        return {
            "episode": np.full(steps, number, np.uint64),
            "step": np.arange(steps, dtype=np.uint32),
            "skill": np.zeros(steps, np.uint32),
            "policy_version": np.zeros(steps, np.uint64),
            "log_p_shaping": rewards,
            "terminated": np.asarray(episode.terminations, np.bool_),
            "truncated": np.asarray(episode.truncations, np.bool_),
            "observation": observations[:-1],
            "action": self._scaled(_finite(f"actions of {where}", episode.actions)),
            "next_observation": observations[1:],
        }

    def _scaled(self, actions: Floats) -> Floats:
        wide = actions.astype(np.float64)
        clipped = np.clip(wide, self._low, self._high)
        self._clipped += int((clipped != wide).any(axis=1).sum())
        # A bound that is one value leaves nothing to choose: the middle.
        width = np.where(self._high > self._low, self._high - self._low, np.inf)
        scaled = 2 * (clipped - self._low) / width - np.isfinite(width)
        return scaled.astype(np.float32)


def _check_vector(what: str, space: Space[Any]) -> Box:
    if not (isinstance(space, Box) and len(space.shape) == 1 and space.dtype.kind == "f"):
        raise DatasetError(
            f"the {what} space is {space}, expected a Box of one row of floats; images, "
            "dictionaries and discrete choices do not fit into a transition"
        )
    return space


def _finite(what: str, values: Any) -> Floats:
    array = np.asarray(values, np.float32)
    if not np.isfinite(array).all():
        raise DatasetError(f"{what} hold {array[~np.isfinite(array)][0]}, expected finite numbers")
    return array
