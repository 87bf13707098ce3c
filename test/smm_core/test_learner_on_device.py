"""A learner on a device, as far as it can be told without one.

It is made of torch's fake tensors, which have a device and no content: an operation on tensors of
two devices is an error, and so is a decision from what a tensor holds.
"""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from smm_core import checkpoint
from smm_core.acting import ActingPolicy
from smm_core.config import from_mapping
from smm_core.counter_generators import CounterGenerators
from smm_core.replay import ReplayBuffer
from smm_core.state_space import StateConfig, StateSpace
from smm_core.targets.target import Target, TargetConfig
from smm_core.transitions import Layout

FAKE, RUNS = torch.device("meta"), (0, 1)

each_number_of_skills = pytest.mark.parametrize("skills", [1, 3])


class Fakes(FakeTensorMode):
    """The fake device; a copied network's tensors stay on it."""

    def __deepcopy__(self, memo):
        return self


class NothingOfTheHost(TorchDispatchMode):
    """Refuses operations on tensors that are not on the fake device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, out)):
            assert not isinstance(leaf, Tensor) or leaf.device == FAKE, func
        return out


class NothingMadeOfPython(TorchFunctionMode):
    """Refuses tensors made of Python's or numpy's numbers."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        assert func not in (torch.tensor, torch.as_tensor, torch.from_numpy), func
        if func is Tensor.__getitem__:
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            assert not any(isinstance(part, list) for part in index), index
        return func(*args, **(kwargs or {}))


@pytest.fixture
def fake():
    """Let tensors be fake ones."""
    with Fakes(allow_non_fake_inputs=True):
        yield


@contextmanager
def as_in_a_graph():
    """Refuse what a CUDA graph could not do again by itself: take numbers from the processor."""
    with NothingOfTheHost(), NothingMadeOfPython():
        yield


@each_number_of_skills
def test_an_update_on_a_device_is_made_there_from_nothing_else(
    fake, make, feed, monkeypatch, kind, skills
):
    learner = make(Layout(3, 2, skills), RUNS, FAKE, **kind)
    if kind.get("method") == "count":
        # How many states are new it can not know of fake ones.
        monkeypatch.setattr(learner.objective, "observe", lambda state, onehot: None)
    feed(learner)
    if "gaussian_mixture" in str(kind.get("density")):
        # Only the very first update looks at what the device holds: whether it is the first.
        with pytest.raises(DataDependentOutputException):
            learner.update()
        learner.objective.density._is_placed = True
    with as_in_a_graph():
        metrics = learner.update()
    for name, values in metrics.items():
        assert (values.device, values.shape, values.requires_grad) == (FAKE, (2,), False), name
    weights = learner.snapshot().weights
    assert all(tensor.device.type == "cpu" for tensor in weights.values())


@pytest.mark.parametrize(
    "look",
    [
        lambda there, here: there + here,
        lambda there, here: here[there.long()],
        lambda there, here: there[[0, 1]],
        lambda there, here: there + torch.tensor([0.0, 1.0], device=FAKE),
        lambda there, here: bool(there.any()),
    ],
)
def test_what_a_graph_can_not_do_is_noticed(fake, look):
    there, here = torch.zeros(2, device=FAKE), torch.zeros(2)
    with pytest.raises((AssertionError, RuntimeError)), as_in_a_graph():
        look(there, here)


def test_the_policy_acts_on_the_device_and_what_it_does_comes_back(fake, make):
    learner = make(seeds=RUNS, device=FAKE)
    hidden = learner.config.sac.hidden
    acting = ActingPolicy(learner.layout, hidden, learner.history, (5, 6), device=FAKE)
    assert {tensor.device for tensor in acting._actor.parameters()} == {FAKE}
    found = acting._learnt(torch.zeros(2, 1, 3), torch.zeros(2, 1, 2))
    assert found.device.type == "cpu"
    assert found.shape == (2, 1, 2)


@pytest.mark.parametrize("run", RUNS)
def test_with_a_devices_numbers_a_run_learns_beside_others_as_alone(make, feed, kind, run):
    together, alone = make(seeds=RUNS, **kind), make(seeds=(run,), **kind)
    for learner, seeds in ((together, RUNS), (alone, (run,))):
        learner.generators = CounterGenerators(seeds)
    feed(together)
    feed(alone, runs=[run])
    for _ in range(3):
        many, one = together.update(), alone.update()
    for name, values in one.items():
        torch.testing.assert_close(many[name][run], values[0], rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("saved_on_device", [True, False])
def test_a_checkpoint_goes_on_with_random_numbers_of_either_kind(
    make, feed, tmp_path, saved_on_device
):
    saved, gone_on = make(seeds=RUNS), make(seeds=RUNS)
    (saved if saved_on_device else gone_on).generators = CounterGenerators(RUNS)
    feed(saved)
    saved.update()
    checkpoint.load(checkpoint.save(tmp_path, saved), gone_on)
    for name, tensor in saved.sac.state_dict().items():
        assert torch.equal(gone_on.sac.state_dict()[name], tensor), name
    gone_on.update()
    assert gone_on.updates == 2


@pytest.mark.parametrize("model", ["vae", "gaussian_mixture"])
def test_a_target_fitted_to_demonstrations_is_brought_to_the_device(tmp_path, model):
    file, small = tmp_path / "states.npy", {"vae": {"hidden": [8], "code_size": 2}}
    np.save(file, np.random.default_rng(0).normal(size=(40, 3)))
    demonstrations = {"file": str(file), "updates": 2, "density": {"model": model, **small}}
    settings = {"name": "demonstrations", "demonstrations": demonstrations}
    target = Target(from_mapping(TargetConfig, settings), StateSpace(StateConfig(), 3)).to(FAKE)
    with Fakes(allow_non_fake_inputs=True):
        state, reward = torch.zeros(2, 5, 3, device=FAKE), torch.zeros(2, 5, device=FAKE)
        with as_in_a_graph():
            found = target.log_prob(state, reward)
    assert (found.device, found.shape) == (FAKE, (2, 5))


def test_what_a_device_draws_from_is_known_there(make_transition):
    layout, asked = Layout(3, 2), []
    with torch.device(FAKE):
        replay = ReplayBuffer(layout, 50, 1)
    replay.add(make_transition(layout))

    class Asked(CounterGenerators):
        def integers(self, high, *shape):
            asked.append(high)
            return torch.zeros(1, *shape, dtype=torch.int64, device=FAKE)

    replay.sample(8, Asked([0]))
    # Not a number that a captured update would keep while there become more.
    assert [high.device for high in asked] == [FAKE]


def test_what_an_update_learns_in_stays_in_its_place_until_it_is_told_to_be_elsewhere(
    make, feed, tmp_path
):
    learner = make(seeds=RUNS, method="count", replay_capacity=2000)

    def places():
        return [tensor.data_ptr() for tensor in learner._replaceable()]

    feed(learner)
    learner.update()
    before = places()
    learner.update()
    feed(learner)
    learner.snapshot()
    assert places() == before
    feed(learner, steps=1500)  # more than the table of counts has places for
    larger = places()
    assert larger != before
    checkpoint.load(checkpoint.save(tmp_path, learner), learner)
    assert places() != larger
