"""The matched state: angles without a seam, and entries that are there."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smm_core.config import ConfigError
from smm_core.state_space import StateConfig, StateSpace

MIXED = StateSpace(StateConfig(linear=(4, 0), circular=(1, 2)), obs_size=5)


def observation(angle):
    return torch.tensor([7.0, math.cos(angle), math.sin(angle), 8.0, 9.0])


@given(st.floats(-math.pi, math.pi))
def test_the_angle_is_read_from_its_cosine_and_sine(angle):
    state = MIXED.select(observation(angle))
    assert state[:2].tolist() == [9.0, 7.0]
    error = math.remainder(float(state[2]) - angle, 2 * math.pi)
    assert abs(error) < 1e-5


def test_an_angle_is_read_at_the_seam_and_whatever_the_length_of_the_pair():
    obs = torch.tensor([[0, -1.0, 0.0, 0, 0], [0, -0.2, 0.0, 0, 0], [0, -3.0, -0.0, 0, 0]])
    angles = MIXED.split(MIXED.select(obs))[1].squeeze(-1)
    torch.testing.assert_close(angles.abs(), torch.full((3,), math.pi))


@given(st.floats(0, 1e-3))
def test_features_do_not_jump_at_the_seam(gap):
    below, above = (torch.tensor([1.0, 2.0, side * (math.pi - gap)]) for side in (1, -1))
    jump = (MIXED.features(below) - MIXED.features(above)).abs().max()
    assert jump <= 2 * gap + 1e-5


def test_features_keep_what_tells_two_states_apart():
    states = torch.tensor([[1.0, 2.0, 0.5], [1.0, 3.0, 0.5], [1.0, 2.0, -0.5]])
    expected = [[1.0, 2.0, math.cos(0.5), math.sin(0.5)]]
    torch.testing.assert_close(MIXED.features(states[:1]), torch.tensor(expected))
    assert len(MIXED.features(states).unique(dim=0)) == 3
    assert MIXED.features(states).shape[-1] == MIXED.feature_size == 4


def test_nothing_named_matches_the_whole_observation():
    space = StateSpace(StateConfig(), obs_size=3)
    obs = torch.arange(12.0).view(2, 2, 3)
    assert torch.equal(space.select(obs), obs)
    assert (space.size, space.feature_size) == (3, 3)


def test_angles_alone_leave_out_the_rest():
    space = StateSpace(StateConfig(circular=(1, 2, 3, 4)), obs_size=5)
    assert space.select(torch.ones(3, 2, 5)).shape == (3, 2, 2)
    assert (space.num_linear, space.num_circular) == (0, 2)


@pytest.mark.parametrize(
    ("state", "hint"),
    [
        (lambda: StateConfig(circular=(1, 2, 3)), r"\(1, 2, 3\).*pairs"),
        (lambda: StateConfig(circular=(4, 5)), "5 is outside the observation of 5"),
        (lambda: StateConfig(linear=(5,)), "5 is outside the observation of 5"),
        (lambda: StateConfig(linear=(-1,)), "-1, expected at least 0"),
    ],
)
def test_entries_that_are_no_state_are_refused(state, hint):
    with pytest.raises(ConfigError, match=hint):
        StateSpace(state(), obs_size=5)
