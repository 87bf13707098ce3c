"""Each run has a stream of its own: what others draw, and how many there are, changes nothing."""

import pytest
import torch

from smm_core.generators import Generators

SEEDS = (3, 11, 7)


def draws(generators):
    return (
        generators.normal(4, 2),
        generators.uniform(5, low=-2.0, high=3.0),
        generators.integers(10, 6),
    )


@pytest.mark.parametrize("run", range(len(SEEDS)))
def test_a_run_draws_the_same_alone_and_beside_others(run):
    together, alone = draws(Generators(SEEDS)), draws(Generators(SEEDS[run : run + 1]))
    for many, one in zip(together, alone, strict=True):
        assert torch.equal(many[run], one[0])


def test_runs_of_different_seeds_differ():
    normal, _, _ = draws(Generators(SEEDS))
    assert not torch.equal(normal[0], normal[1])
    assert not torch.equal(normal[1], normal[2])


def test_a_restored_state_continues_the_stream():
    generators, other = Generators(SEEDS), Generators((0, 1, 2))
    draws(generators)
    other.load_state(generators.state())
    for a, b in zip(draws(generators), draws(other), strict=True):
        assert torch.equal(a, b)


def test_a_state_is_a_copy():
    generators = Generators(SEEDS)
    state = generators.state()
    first = draws(generators)
    draws(generators)
    generators.load_state(state)
    assert torch.equal(draws(generators)[0], first[0])


def test_a_state_of_another_number_of_runs_is_refused():
    with pytest.raises(ValueError):
        Generators(SEEDS).load_state(Generators((0,)).state())


def test_draws_stay_in_their_range_and_fill_it():
    generators = Generators((0,))
    uniform = generators.uniform(10_000, low=-2.0, high=3.0)
    assert uniform.min() >= -2.0
    assert uniform.max() < 3.0
    assert uniform.max() - uniform.min() > 4.9
    assert generators.integers(4, 1000).unique().tolist() == [0, 1, 2, 3]
    normal = generators.normal(10_000)
    assert abs(normal.mean()) < 0.05
    assert abs(normal.std() - 1) < 0.05
