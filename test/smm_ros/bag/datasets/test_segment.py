"""Segments: parts of an episode in which each step begins where the last one ended."""

from dataclasses import replace

import numpy as np
import pytest

from smm_ros.bag.datasets import segment as module
from smm_ros.bag.datasets.segment import SCALARS, Layout, split


def steps(segments):
    return [segment.columns["step"].tolist() for segment in segments]


def broken_at(records, position, **fields):
    return [*records[:position], replace(records[position], **fields), *records[position + 1 :]]


def test_batches_are_handed_on_as_soon_as_they_are_full(explore, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 12)
    taken = []

    def segments():
        for segment in split(explore(episodes=1)) * 7:
            taken.append(segment)
            yield segment

    sizes = [(len(batch), len(taken)) for batch in module.batches(segments())]
    assert sizes == [(3, 3), (3, 6), (1, 7)]


@pytest.mark.parametrize(
    ("position", "fields"),
    [
        (3, {"observation": np.zeros(12, np.float32)}),  # not what the step before led to
        (3, {"stamp_ns": 10**9}),  # a state was missed
        (2, {"terminated": True}),
        (3, {"step": 4}),
    ],
)
def test_a_break_within_an_episode_ends_a_segment(explore, position, fields):
    records = explore(episodes=1, steps=6)
    assert [len(s) for s in split(records)] == [6]
    parts = split(broken_at(records, position, **fields))
    assert len(parts) > 1
    assert len(parts[0]) == 3


def test_an_observation_that_differs_by_the_sign_of_zero_is_another_one(explore):
    # Else what it was could not be told from what the step before led to.
    records = explore(episodes=1, steps=2, obs_size=1)
    zero = np.zeros(1, np.float32)
    records[0] = replace(records[0], next_observation=zero)
    assert steps(split([records[0], replace(records[1], observation=zero)])) == [[0, 1]]
    assert steps(split([records[0], replace(records[1], observation=-zero)])) == [[0], [1]]


def test_columns_have_the_types_of_the_message(explore):
    (segment,) = split(explore(episodes=1))
    assert {name: segment.columns[name].dtype.type for name in SCALARS} == SCALARS
    assert segment.columns["next_observation"].shape == (5, 12)


def test_a_dclaw_is_known_by_its_sizes_and_its_entries_have_names():
    about = Layout(12, 9).describe()
    assert about["observation_names"][-1] == "valve_velocity"
    assert about["observation_units"][-1] == "rad/s"
    assert about["action_names"][0] == "joint_10"
    other = Layout(2, 1).describe()
    assert other["observation_names"] == ["observation_0", "observation_1"]
    assert other["observation_units"] is None
