"""Every comparison but that of the graph is made once, as short as it gets."""

import math
import os

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from smm_core.learner import LearnerConfig
from smm_core.transitions import Layout
from smm_ros.bench import bounds, cli, gpu, graph, player, profile, replay, runs
from smm_ros.bench.comparison import Setting
from smm_ros.bench.outcome import DONE
from smm_ros.bench.turns import compare

SHORT = tuple(name for name in cli.COMPARISONS if name not in ("graph", "gpu"))


@pytest.fixture
def outcome_of(monkeypatch):
    """Return a function that makes a comparison with the smallest of each of its sizes."""
    monkeypatch.setattr(player, "RANDOM_STEPS", 10)
    monkeypatch.setattr(player, "WARM_UP", 2)
    monkeypatch.setattr(replay, "SIZES", (500,))
    monkeypatch.setattr(runs, "QUICK_COUNTS", (2,))

    def make(name):
        return compare(cli.load(name), Setting(quick=True, threads=1), turns=1)

    return make


@pytest.mark.parametrize("name", SHORT)
def test_a_comparison_comes_to_figures_and_ratios(name, outcome_of):
    outcome = outcome_of(name)
    assert outcome.state == DONE
    assert outcome.lines
    for measured in outcome.lines:
        assert math.isfinite(measured.median)
        assert measured.median > 0
        assert (measured.ratio == 1.0) or not measured.is_base
    for group in outcome.groups:
        assert len({measured.line.unit for measured in outcome.of_group(group)}) == 1


def test_a_gpu_is_compared_with_the_processor_or_said_to_be_missing(outcome_of, monkeypatch):
    outcome = outcome_of("gpu")
    if not torch.cuda.is_available():
        assert outcome.state.startswith("skipped: there is no GPU: device is 'cuda'")
        assert not outcome.failed
        # Another processor in its place: what is measured is the same on both.
        monkeypatch.setattr(gpu, "open_device", lambda name: torch.device("cpu"))
        monkeypatch.setattr(gpu, "QUICK_COUNTS", (1, 3))
        outcome = outcome_of("gpu")
    assert outcome.state == DONE
    assert all(measured.median > 0 for measured in outcome.lines)


def test_the_parts_of_a_step_are_all_found_and_add_up(outcome_of):
    for group in (outcome := outcome_of("profile")).groups:
        time = {measured.line.name: measured.median for measured in outcome.of_group(group)}
        assert set(time) == {profile.WHOLE, *profile.PARTS}
        assert all(time[part] > 0 for part in profile.PARTS)
        assert sum(time[part] for part in profile.PARTS) == pytest.approx(time[profile.WHOLE])


def passes(layout, hidden, batch):
    """Make the passes of one twin-Q SAC update with torch's own layers."""

    def net(*sizes):
        pairs = zip(sizes, sizes[1:], strict=False)
        return nn.Sequential(*(nn.Linear(a, b) for a, b in pairs))

    obs = torch.randn(batch, layout.obs_size)
    action = torch.randn(batch, layout.action_size)
    both = layout.obs_size + layout.action_size
    actor = net(layout.obs_size, *hidden, 2 * layout.action_size)
    critics = [net(both, *hidden, 1) for _ in range(2)]
    with torch.no_grad():
        actor(obs)
        for target in critics:
            target(torch.cat((obs, action), -1))
    sum(critic(torch.cat((obs, action), -1)).sum() for critic in critics).backward()
    drawn = actor(obs)[:, : layout.action_size]
    for critic in critics:
        critic.requires_grad_(False)
    sum(critic(torch.cat((obs, drawn), -1)).sum() for critic in critics).backward()


def test_the_operations_of_an_update_are_those_that_torch_counts():
    layout, config = Layout(12, 9), LearnerConfig(batch_size=32)
    with FlopCounterMode(display=False) as counter:
        passes(layout, config.sac.hidden, config.batch_size)
    assert bounds.update_flops(layout, config) == counter.get_total_flops()


def test_a_graph_is_heard_and_ended(ros_domain, monkeypatch):
    before = dict(os.environ)
    monkeypatch.setattr(graph, "DOMAIN", str(ros_domain))
    with graph._variables():
        p50, p99, longest = graph._latency(graph.IDLE, duration=0.5)
    assert 0 < p50 <= p99 <= longest
    assert dict(os.environ) == before
