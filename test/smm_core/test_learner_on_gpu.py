"""A learner on a GPU learns what it learns on the processor; skipped where there is none."""

import logging

import pytest
import torch

from smm_core.acting import ActingPolicy, acting_seed
from smm_core.counter_generators import CounterGenerators
from smm_core.device import CPU
from smm_core.train import TrainConfig, Training
from smm_core.transitions import Layout
from smm_core.update_graph import WARM_UP

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")

CUDA, RUNS = torch.device("cuda", 0), (0, 1)

each_number_of_skills = pytest.mark.parametrize("skills", [1, 3])


def equal_states(learner, other, **tolerance):
    """Assert that two learners hold the same, wherever they are."""
    for part in ("sac", "objective"):
        wanted = getattr(other, part).state_dict()
        for name, tensor in getattr(learner, part).state_dict().items():
            if tensor.is_floating_point():
                torch.testing.assert_close(tensor.cpu(), wanted[name].cpu(), **tolerance, msg=name)


def test_a_run_begins_with_the_same_weights_on_a_gpu(make, kind):
    equal_states(make(device=CUDA, **kind), make(**kind), rtol=0, atol=0)


@each_number_of_skills
def test_a_gpu_learns_what_the_processor_learns_from_the_same_numbers(make, feed, kind, skills):
    here, there = (make(Layout(3, 2, skills), RUNS, device, **kind) for device in (CPU, CUDA))
    here.generators = CounterGenerators(RUNS)
    for learner in (here, there):
        feed(learner)
    for _ in range(3):
        wanted, found = here.update(), there.update()
    for name, values in wanted.items():
        torch.testing.assert_close(found[name].cpu(), values, rtol=1e-2, atol=1e-3, msg=name)


@each_number_of_skills
def test_updates_of_a_graph_are_those_made_as_they_come(make, feed, kind, skills, caplog):
    captured, eager = (make(Layout(3, 2, skills), RUNS, CUDA, **kind) for _ in range(2))
    eager._learn = eager._learn_eagerly
    with caplog.at_level(logging.WARNING):
        for learner in (captured, eager):
            feed(learner)
            for _ in range(WARM_UP + 5):
                metrics = learner.update()
            kept = {name: values.clone() for name, values in metrics.items()}
            # What comes after the capture is drawn from, too, and counted in larger tables.
            feed(learner, steps=40)
            for _ in range(5):
                learner.update()
            for name, values in kept.items():
                assert torch.equal(metrics[name], values), f"{name} was written over"
    assert not caplog.records
    equal_states(captured, eager, rtol=1e-2, atol=1e-3)
    assert torch.equal(captured.generators.state(), eager.generators.state())


def test_a_graph_goes_on_where_a_table_of_counts_was_made_larger(make, feed):
    settings = {"method": "count", "replay_capacity": 4000}
    captured, eager = (make(seeds=RUNS, device=CUDA, **settings) for _ in range(2))
    eager._learn = eager._learn_eagerly
    for learner in (captured, eager):
        feed(learner)
        for _ in range(WARM_UP + 2):
            learner.update()
    place = captured.objective.visits.keys.data_ptr()
    for learner in (captured, eager):
        feed(learner, steps=1500)
    assert captured.objective.visits.keys.data_ptr() != place
    wanted, found = eager.update(), captured.update()
    torch.testing.assert_close(found["reward_bonus"], wanted["reward_bonus"])


def test_two_hundred_runs_learn_on_a_gpu_as_alone(make, feed):
    together = make(seeds=range(200), device=CUDA)
    feed(together, runs=range(200), of=200)
    for _ in range(3):
        many = together.update()
    for run in (0, 77, 199):
        alone = make(seeds=(run,), device=CUDA)
        feed(alone, runs=[run], of=200)
        for _ in range(3):
            one = alone.update()
        for name, values in one.items():
            torch.testing.assert_close(many[name][run], values[0], rtol=1e-2, atol=1e-3, msg=name)


def test_a_run_on_a_gpu_is_gone_on_with_on_the_processor_and_back(ring, tmp_path, small_config):
    learner = small_config(replay_capacity=200)
    values = {"report_period": 20, "checkpoint_period": 25, "runs": 3, "learner": learner}
    config = TrainConfig(env=ring, device="cuda", steps=40, **values)
    Training(config, tmp_path / "run").run(lambda metrics: None)
    for device, steps in (("cpu", 60), ("cuda", 80)):
        changes = {"device": device, "steps": steps}
        training = Training.resumed(tmp_path / "run", changes)
        metrics = training.run(lambda metrics: None)
        assert metrics["steps"] == steps
        assert len(metrics["critic_loss"]) == 3


def test_acting_on_a_gpu_is_acting_on_the_processor(make, feed):
    learner = make(seeds=RUNS, device=CUDA)
    feed(learner)
    learner.snapshot()
    hidden = learner.config.sac.hidden
    actions = []
    for device in (CPU, CUDA):
        seeds = [acting_seed(seed) for seed in (0, 1)]
        acting = ActingPolicy(learner.layout, hidden, learner.history, seeds, device=device)
        for run in range(2):
            acting.begin_episode(run)
        obs = torch.linspace(-1, 1, 6).view(2, 3).numpy()
        actions.append(torch.from_numpy(acting.act(obs)))
    torch.testing.assert_close(*actions, rtol=1e-4, atol=1e-5)
