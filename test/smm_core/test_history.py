"""The kept policies stand for all policies there were, and damaged ones are never taken."""

import json
import pickle
import random
from collections import Counter

import pytest
import torch

from smm_core.history import (
    HistoryConfig,
    PolicyHistory,
    Snapshot,
    SnapshotError,
    checksum,
)
from smm_core.transitions import Layout

LAYOUT = Layout(obs_size=3, action_size=2)


def snapshot(version):
    return Snapshot(version, LAYOUT, {"net.0.weight": torch.full((1, 2, 3), float(version))})


def history(versions, seed=None, **settings):
    kept = PolicyHistory(HistoryConfig(**settings))
    if seed is not None:
        tensors, numbers = kept.state()
        version, words, gauss = random.Random(seed).getstate()
        kept.load_state(tensors, numbers | {"random": [version, list(words), gauss]}, LAYOUT)
    for version in versions:
        kept.add(snapshot(version))
    return kept


def shares(kept):
    total = sum(kept.weights.values())
    return {version: weight / total for version, weight in kept.weights.items()}


def test_below_capacity_uniform_gives_each_policy_the_same_chance():
    assert shares(history(range(1, 6), capacity=5)) == pytest.approx(
        dict.fromkeys(range(1, 6), 0.2)
    )


def test_exponential_multiplies_the_chance_by_growth_from_policy_to_policy():
    kept = shares(history(range(1, 6), capacity=5, rule="exponential", growth=1.5))
    for version in range(1, 5):
        assert kept[version + 1] / kept[version] == pytest.approx(1.5)


def test_linear_gives_each_policy_a_chance_like_its_number():
    kept = shares(history(range(10, 60, 10), capacity=5, rule="linear"))
    assert kept == pytest.approx({10 * i: i / 15 for i in range(1, 6)})


def test_last_gives_the_newest_policies_the_same_chance():
    kept = shares(history(range(1, 10), capacity=4, rule="last"))
    assert kept == pytest.approx(dict.fromkeys(range(6, 10), 0.25))


@pytest.mark.parametrize("rule", ["uniform", "linear", "exponential"])
@pytest.mark.parametrize("capacity", [2, 5])
def test_the_thinned_history_gives_every_policy_its_chance_on_average(rule, capacity):
    """Definition 3.1: which policies are kept is chance, what an episode plays is not biased."""
    count, trials = 20, 1500
    full = shares(history(range(count), capacity=count, rule=rule))
    mean = Counter()
    for seed in range(trials):
        thinned = history(range(count), seed, rule=rule, capacity=capacity)
        for version, share in shares(thinned).items():
            mean[version] += share / trials
    assert all(abs(mean[v] - full[v]) < 0.025 for v in full), (mean, full)
    # The half of the history that a ring of the newest would have lost.
    old = sum(mean[v] for v in range(count // 2))
    assert old == pytest.approx(sum(full[v] for v in range(count // 2)), abs=0.04)


@pytest.mark.parametrize("rule", ["uniform", "linear", "exponential", "last"])
@pytest.mark.parametrize("capacity", [1, 2, 4])
def test_the_newest_policy_is_always_kept_and_the_capacity_never_passed(rule, capacity):
    kept = history((), capacity=capacity, rule=rule)
    for version in range(1, 30):
        kept.add(snapshot(version))
        assert kept.newest == version
        assert kept.weights[version] == (version if rule == "linear" else 1.0)
        assert len(kept.weights) == min(version, capacity)
        assert set(kept.snapshots) == set(kept.weights)


def test_episodes_draw_policies_by_their_chance():
    kept = history(range(1, 4), capacity=5, rule="exponential", growth=2.0, on_policy=0.0)
    drawn = Counter(kept.sample(0.5, (i + 0.5) / 700).version for i in range(700))
    assert drawn == {1: 100, 2: 200, 3: 400}
    assert kept.sample(0.0, 1 - 1e-16).version == 3


def test_the_coin_chooses_between_the_newest_policy_and_the_average():
    kept = history(range(1, 4), on_policy=0.1)
    assert kept.sample(0.05, 0.0).version == 3
    assert kept.sample(0.1, 0.0).version == 1
    assert history(range(1, 4), on_policy=1.0).sample(1 - 1e-9, 0.0).version == 3


@pytest.mark.parametrize("version", [2, 3])
def test_a_policy_that_is_not_newer_is_refused(version):
    kept = history((1, 3))
    with pytest.raises(ValueError, match=f"{version} is not newer than 3"):
        kept.add(snapshot(version))


def test_an_empty_history_has_no_newest():
    with pytest.raises(ValueError, match="empty"):
        _ = history(()).newest


def test_keep_mirrors_another_history():
    source, mirror = history((), capacity=3), history(())
    for version in range(1, 20):
        source.add(snapshot(version))
        mirror.keep(snapshot(version), dict(source.weights))
        assert mirror.weights == source.weights
        assert set(mirror.snapshots) == set(source.snapshots)


def test_a_mirror_that_came_late_leaves_out_what_it_never_saw():
    mirror = history(())
    mirror.keep(snapshot(5), {3: 2.0, 4: 1.0, 5: 1.0})
    assert mirror.weights == {5: 1.0}


@pytest.mark.parametrize("capacity", [3, 5])
def test_a_restored_history_goes_on_as_the_first(capacity):
    first = history(range(1, 9), capacity=capacity)
    tensors, numbers = first.state()
    second = history((), capacity=capacity)
    second.load_state(tensors, json.loads(json.dumps(numbers)), LAYOUT)
    for version in range(9, 40):
        for kept in (first, second):
            kept.add(snapshot(version))
    assert second.weights == first.weights
    for version, found in second.snapshots.items():
        assert (found.version, found.layout) == (version, LAYOUT)
        assert (found.weights["net.0.weight"] == version).all()


def test_a_snapshot_survives_the_wire():
    sent = Snapshot(4, LAYOUT, {"a": torch.randn(2, 3).T, "b": torch.zeros(1, 0)})
    data = sent.to_bytes()
    found = Snapshot.from_bytes(4, LAYOUT, data, checksum(data))
    assert (found.version, found.layout) == (4, LAYOUT)
    assert {n: t.tolist() for n, t in found.weights.items()} == {
        n: t.tolist() for n, t in sent.weights.items()
    }


@pytest.mark.parametrize(
    "damage",
    [lambda d: d[:-1], lambda d: d + b"x", lambda d: d[:40] + b"\xff" + d[41:], lambda d: b""],
)
def test_damaged_bytes_are_refused(damage):
    data = snapshot(4).to_bytes()
    with pytest.raises(SnapshotError, match="policy 4 has checksum"):
        Snapshot.from_bytes(4, LAYOUT, damage(data), checksum(data))


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle was read",)


@pytest.mark.parametrize("data", [b"", b"{}", b"\x00" * 64, pickle.dumps(Bomb())])
def test_bytes_that_are_no_safetensors_are_refused_and_never_unpickled(data):
    with pytest.raises(SnapshotError, match="policy 4 is not safetensors"):
        Snapshot.from_bytes(4, LAYOUT, data, checksum(data))


def test_weights_too_small_for_a_float_are_still_merged():
    config = HistoryConfig(rule="exponential", growth=2.0, capacity=1200, period=1)
    history = PolicyHistory(config)
    for version in range(1, 1300):
        history.add(Snapshot(version, Layout(1, 1), {}))
    assert len(history.weights) == 1200
    assert history.newest == 1299
