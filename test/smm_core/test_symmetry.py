"""Turned transitions are those that the turned robot would have made, and nothing else changes."""

import math

import pytest
import torch

from smm_core.config import ConfigError
from smm_core.generators import Generators
from smm_core.replay import Batch
from smm_core.symmetry import Symmetry, SymmetryConfig
from smm_core.transitions import Layout

LAYOUT = Layout(obs_size=7, action_size=4)
# Three parts with two entries each but for the action, of which entry 0 is of no part.
RING = SymmetryConfig(order=3, obs=(0, 4, 6), action=(1, 3, 2), angles=(2, 5))


def batch(rows=400, layout=LAYOUT, runs=1):
    draw = Generators(range(runs))
    return Batch(
        obs=draw.normal(rows, layout.obs_size),
        action=draw.normal(rows, layout.action_size),
        next_obs=draw.normal(rows, layout.obs_size),
        reward=draw.normal(rows),
        skill=torch.zeros(runs, rows, dtype=torch.int64),
        terminated=draw.uniform(rows),
    )


def equals(row):
    """Return the nine transitions that RING makes of one, each as (obs, action, next_obs)."""
    found = []
    for parts in range(3):
        for turn in range(3):
            rotation = torch.polar(torch.ones(()), torch.tensor(2 * math.pi * turn / 3))
            states = []
            for obs in (row.obs, row.next_obs):
                state = obs.clone()
                state[[0, 4, 6]] = obs[[0, 4, 6]].roll(parts)
                place = torch.complex(obs[2], obs[5]) * rotation
                state[2], state[5] = place.real, place.imag
                states.append(state)
            action = row.action.clone()
            action[[1, 3, 2]] = row.action[[1, 3, 2]].roll(parts)
            found.append(torch.cat((states[0], action, states[1])))
    return torch.stack(found)


def test_a_row_becomes_one_of_its_equals_and_each_of_them_as_often():
    rows = batch()
    turned = Symmetry(RING, LAYOUT).turned(rows, Generators((1,)))
    hits = torch.zeros(9)
    for index in range(400):
        one = Batch(**{name: values[0, index] for name, values in vars(rows).items()})
        mine = torch.cat([getattr(turned, n)[0, index] for n in ("obs", "action", "next_obs")])
        near = (equals(one) - mine).abs().amax(1)
        assert near.min() < 1e-5
        hits[near.argmin()] += 1
    assert hits.min() > 400 / 9 / 2
    for name in ("reward", "skill", "terminated"):
        assert torch.equal(getattr(turned, name), getattr(rows, name))


def test_a_run_is_turned_as_if_it_were_alone():
    rows, symmetry = batch(runs=2), Symmetry(RING, LAYOUT)
    alone = Batch(**{name: values[1:] for name, values in vars(rows).items()})
    together = symmetry.turned(rows, Generators((4, 5)))
    one = symmetry.turned(alone, Generators((5,)))
    assert torch.equal(together.obs[1], one.obs[0])
    assert torch.equal(together.action[1], one.action[0])


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"obs": (0, 1, 7)}, r"symmetry.obs is \(0, 1, 7\), expected different entries below 7"),
        ({"action": (0, 1, 1)}, "expected different entries below 4"),
        ({"obs": (0, 1)}, "symmetry.obs has 2 entries, expected a multiple of 3"),
        ({"angles": (0, 1, 2)}, "symmetry.angles has 3 entries, expected a multiple of 2"),
        ({"obs": (0, 1, 2), "angles": (2, 5)}, "entry 2 in obs and in angles"),
    ],
)
def test_entries_that_do_not_fit_are_named(settings, error):
    with pytest.raises(ConfigError, match=error):
        Symmetry(SymmetryConfig(order=3, **settings), LAYOUT)
