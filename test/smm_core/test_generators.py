"""Each run has a stream of its own: what others draw, and how many there are, changes nothing."""

import numpy as np
import pytest
import torch

from smm_core.counter_generators import CounterGenerators, generators_on
from smm_core.generators import Generators

SEEDS = (3, 11, 7)
KINDS = [Generators, CounterGenerators]

each_kind = pytest.mark.parametrize("kind", KINDS)


def draws(generators):
    return (
        generators.normal(4, 2),
        generators.uniform(5, low=-2.0, high=3.0),
        generators.integers(10, 6),
    )


@each_kind
@pytest.mark.parametrize("run", range(len(SEEDS)))
def test_a_run_draws_the_same_alone_and_beside_others(kind, run):
    together, alone = draws(kind(SEEDS)), draws(kind(SEEDS[run : run + 1]))
    for many, one in zip(together, alone, strict=True):
        assert torch.equal(many[run], one[0])


@each_kind
def test_runs_of_different_seeds_differ(kind):
    normal, _, _ = draws(kind(SEEDS))
    assert not torch.equal(normal[0], normal[1])
    assert not torch.equal(normal[1], normal[2])


@each_kind
def test_each_draw_gives_new_numbers(kind):
    generators = kind(SEEDS)
    assert not (draws(generators)[0] == draws(generators)[0]).any()


@each_kind
def test_a_restored_state_continues_the_stream(kind):
    generators, other = kind(SEEDS), kind((0, 1, 2))
    draws(generators)
    other.load_state(generators.state())
    for a, b in zip(draws(generators), draws(other), strict=True):
        assert torch.equal(a, b)


@each_kind
def test_a_state_is_a_copy(kind):
    generators = kind(SEEDS)
    state = generators.state()
    first = draws(generators)
    draws(generators)
    generators.load_state(state)
    assert torch.equal(draws(generators)[0], first[0])


@each_kind
@pytest.mark.parametrize("saved", KINDS)
def test_a_state_of_another_number_of_runs_is_refused(kind, saved):
    with pytest.raises(ValueError):
        kind(SEEDS).load_state(saved((0,)).state())


@each_kind
def test_a_state_of_the_other_kind_is_gone_on_from_each_run_for_itself(kind):
    (other,) = set(KINDS) - {kind}

    def gone_on(seeds):
        generators = kind(range(len(seeds)))
        generators.load_state(other(seeds).state())
        return generators.normal(3)

    together = gone_on(SEEDS)
    for run, seed in enumerate(SEEDS):
        assert torch.equal(gone_on([seed])[0], together[run])
    assert together.unique().numel() == together.numel()


@each_kind
def test_twins_draw_the_same_numbers_and_the_next_twins_others(kind):
    generators = kind(SEEDS)
    first, second = generators.twins()
    found = draws(first)
    for a, b in zip(found, draws(second), strict=True):
        assert torch.equal(a, b)
    other, _ = generators.twins()
    assert not torch.equal(draws(other)[0], found[0])


@each_kind
def test_draws_stay_in_their_range_and_fill_it(kind):
    generators = kind((0,))
    uniform = generators.uniform(10_000, low=-2.0, high=3.0)
    assert uniform.min() >= -2.0
    assert uniform.max() < 3.0
    assert uniform.max() - uniform.min() > 4.9
    assert generators.integers(4, 1000).unique().tolist() == [0, 1, 2, 3]
    normal = generators.normal(10_000)
    assert abs(normal.mean()) < 0.05
    assert abs(normal.std() - 1) < 0.05


def test_the_numbers_of_a_device_are_those_of_splitmix64():
    # The first numbers that the reference gives for the state 1234567 (rosettacode.org,
    # Pseudo-random numbers/Splitmix64).
    known = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    generators = CounterGenerators((0,))
    generators.load_state(torch.tensor([[1234567]]))
    two, three = generators.integers(2**63 - 1, 2), generators.integers(2**63 - 1, 3)
    assert torch.cat((two, three), 1)[0].tolist() == [number % 2**63 for number in known]


def test_the_numbers_of_a_device_are_distributed_as_they_should_be():
    generators, count = CounterGenerators(range(50)), 100_000
    cells = (generators.uniform(count) * 100).long() + 100 * torch.arange(50).unsqueeze(1)
    seen = cells.flatten().bincount(minlength=5000).double().view(50, 100)
    # Chi-square of 99 degrees of freedom: mean 99, deviation 14 for each run.
    squares = ((seen - count / 100).square() / (count / 100)).sum(1)
    assert abs(squares.mean() - 99) < 10
    assert squares.max() < 180
    normal = generators.normal(count).double()
    for power, moment in enumerate((0.0, 1.0, 0.0, 3.0, 0.0, 15.0), start=1):
        assert normal.pow(power).mean() == pytest.approx(moment, abs=0.06), power


def test_the_runs_of_a_device_do_not_go_together():
    normal = CounterGenerators(range(40)).normal(20_000).double()
    together = np.corrcoef(normal.numpy()) - np.eye(40)
    assert np.abs(together).max() < 6 / np.sqrt(20_000)
    later = np.corrcoef(normal[0, :-1].numpy(), normal[0, 1:].numpy())[0, 1]
    assert abs(later) < 6 / np.sqrt(20_000)


def test_a_limit_may_be_a_number_on_the_device():
    wanted = CounterGenerators(SEEDS).integers(7, 100)
    assert torch.equal(CounterGenerators(SEEDS).integers(torch.tensor(7), 100), wanted)


def test_a_cpu_has_one_generator_for_each_run_and_another_device_a_counter():
    assert type(generators_on(torch.device("cpu"), SEEDS)) is Generators
    assert type(generators_on(torch.device("meta"), SEEDS)) is CounterGenerators
