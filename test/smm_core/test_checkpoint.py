"""A restored learner goes on bit for bit, and no crash costs more than the newest checkpoint."""

import contextlib
import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from smm_core import checkpoint
from smm_core.checkpoint import CheckpointError
from smm_core.generators import Generators
from smm_core.learner import Learner
from smm_core.transitions import Layout

LAYOUT = Layout(obs_size=3, action_size=2)
SKILLED = Layout(obs_size=3, action_size=2, num_skills=3)


@pytest.fixture
def make(small_config, play):
    """Return a function that makes a small learner after so many steps."""

    def build(steps=0, layout=LAYOUT, seeds=(0,), **settings):
        config = small_config(num_skills=layout.num_skills, replay_capacity=16, **settings)
        learner = Learner(layout, config, seeds)
        play(learner, steps, tuple(range(len(seeds))), len(seeds))
        return learner

    return build


def everything(learner, folder):
    """Return all tensors and numbers of a learner, as a checkpoint holds them."""
    tensors, numbers = checkpoint.read(checkpoint.save(folder, learner))
    return tensors, {name: value for name, value in numbers.items() if name != "extra"}


@pytest.mark.parametrize(
    ("layout", "seeds"), [(LAYOUT, (0,)), (SKILLED, (0,)), (LAYOUT, (4, 2)), (SKILLED, (4, 2, 9))]
)
@pytest.mark.parametrize("steps", [2, 6, 25])
def test_a_restored_learner_goes_on_bit_for_bit(make, play, tmp_path, layout, seeds, steps):
    """Before the first update, soon after it, and when replay and history have overflowed."""
    runs = len(seeds)
    first = make(steps, layout, seeds)
    second = make(0, layout, tuple(seed + 100 for seed in seeds))
    assert checkpoint.load(checkpoint.save(tmp_path, first), second) == {}
    for learner in (first, second):
        play(learner, 12, tuple(range(runs)), runs)
    (tensors, numbers), (others, found) = (
        everything(learner, tmp_path / name)
        for learner, name in ((first, "first"), (second, "second"))
    )
    assert found == numbers
    assert set(others) == set(tensors)
    different = [name for name in tensors if not torch.equal(tensors[name], others[name])]
    assert not different
    assert (second.steps, second.updates) == (steps + 12, steps + 8)
    for coin in (0.0, 0.3, 0.9):
        assert first.history.sample(1.0, coin).version == second.history.sample(1.0, coin).version


@pytest.mark.parametrize("own", [0, 3, 20])
def test_a_learner_that_was_prefilled_goes_on_bit_for_bit(
    make, play, make_transition, tmp_path, own
):
    """Also when its steps have begun to overwrite what came before them."""
    first, second = make(), make()
    for seed in range(60):
        first.prefill(make_transition(LAYOUT, seed=1000 + seed))
    first.warm_up()
    for _ in range(2):
        first.update_off_line()
        first.snapshot_off_line()
    play(first, own)
    checkpoint.load(checkpoint.save(tmp_path, first), second)
    for learner in (first, second):
        play(learner, 12)
    (tensors, numbers), (others, found) = (
        everything(learner, tmp_path / name)
        for learner, name in ((first, "first"), (second, "second"))
    )
    assert found == numbers
    assert not [name for name in tensors if not torch.equal(tensors[name], others[name])]
    assert (second.prefilled, second.steps) == (60, own + 12)
    assert second.updates == 2 + max(0, own + 12 - 4)
    assert torch.equal(second.reached(), first.reached())


def test_a_checkpoint_of_the_format_before_is_gone_on_from(make, play, tmp_path):
    first, second = make(8), make()
    path = checkpoint.save(tmp_path, first)
    added = ("prefilled", "off_line_updates", "off_line_versions")
    with safe_open(path, "pt") as file:
        config = json.loads(file.metadata()["numbers"])["config"]
    for name in ("conservative", "conservative_actions"):
        del config["sac"][name]
    rewrite(path, format=2, config=config, **dict.fromkeys(added))
    checkpoint.load(path, second)
    for learner in (first, second, opened := checkpoint.open_learner(path)):
        play(learner, 5)
    for name, tensor in first.sac.state_dict().items():
        assert torch.equal(tensor, second.sac.state_dict()[name])
        assert torch.equal(tensor, opened.sac.state_dict()[name])
    assert (second.steps, second.prefilled, second.updates) == (13, 0, 9)


def test_a_checkpoint_from_before_a_setting_came_is_gone_on_from(make, tmp_path):
    path = checkpoint.save(tmp_path, make(8))
    with safe_open(path, "pt") as file:
        config = json.loads(file.metadata()["numbers"])["config"]
    del config["sac"]["layer_norm"]
    rewrite(path, config=config)
    checkpoint.load(path, second := make())
    assert (second.steps, second.updates) == (8, 4)


def test_what_was_learnt_conservatively_may_be_gone_on_with_without(make, tmp_path):
    sac = {"hidden": [16, 16]}
    first = make(6, sac=sac | {"conservative": 5.0, "conservative_actions": 2})
    second = make(sac=sac)
    checkpoint.load(checkpoint.save(tmp_path, first), second)
    assert second.updates == first.updates
    assert "conservative_gap" not in second.update()


def test_a_checkpoint_holds_every_part_that_learns(make, tmp_path):
    tensors, _ = everything(make(10, SKILLED), tmp_path)
    groups = {name.split("/")[0] for name in tensors}
    parts = {"sac", "objective", "replay", "random", "history", "skill_prior"}
    optimizers = {"sac.actor", "sac.critic", "sac.temperature"}
    optimizers |= {"objective.vae", "objective.discriminator"}
    assert groups == parts | {f"optimizer.{name}" for name in optimizers}


def test_saving_changes_nothing(make, play, tmp_path):
    saved, plain = make(8), make(8)
    checkpoint.save(tmp_path, saved)
    for learner in (saved, plain):
        play(learner, 5)
    pairs = zip(saved.sac.parameters(), plain.sac.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_extra_data_come_back(make, tmp_path):
    extra = {"sequences": {"left": 12}, "text": "ö"}
    path = checkpoint.save(tmp_path, make(3), extra)
    assert checkpoint.load(path, make()) == extra


def test_random_streams_survive_as_text(tmp_path):
    first, second = Generators((3, 4)), Generators((0, 0))
    first.normal(7)
    text = json.loads(json.dumps(checkpoint.random_state(first)))
    checkpoint.load_random_state(second, text)
    assert torch.equal(first.normal(5), second.normal(5))


def test_the_newest_checkpoints_are_kept(make, play, tmp_path):
    learner = make(1)
    for steps in range(1, 6):
        path = checkpoint.save(tmp_path, learner, keep=3)
        assert checkpoint.newest(tmp_path) == path
        assert len(list(tmp_path.iterdir())) == min(steps, 3)
        play(learner, 1)
    assert sorted(p.stem[-1] for p in tmp_path.iterdir()) == ["3", "4", "5"]


def test_there_is_no_newest_checkpoint_in_an_empty_or_missing_folder(tmp_path):
    assert checkpoint.newest(tmp_path) is None
    assert checkpoint.newest(tmp_path / "absent") is None


def fail(*_args, **_kwargs):
    raise OSError("power lost")


def write_half(tensors, path, metadata):
    Path(path).write_bytes(b"half of it")
    raise OSError("power lost")


@pytest.mark.parametrize(
    ("owner", "name", "crash"),
    [
        (checkpoint, "save_file", fail),
        (checkpoint, "save_file", write_half),
        (os, "fsync", fail),
        (Path, "replace", fail),
        (Path, "unlink", fail),
    ],
)
@pytest.mark.parametrize("later", [0, 1])
@pytest.mark.parametrize("before", [1, 2])
def test_a_crash_while_saving_leaves_a_whole_checkpoint(
    make, play, tmp_path, monkeypatch, owner, name, crash, later, before
):
    """`later` 0 saves twice at one step, as a training does that is interrupted just then."""
    learner = make(5)
    for _ in range(before):
        play(learner, 1)
        checkpoint.save(tmp_path, learner)
    play(learner, later)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, crash)
        with contextlib.suppress(OSError):
            checkpoint.save(tmp_path, learner, {"new": True})
    found = make()
    checkpoint.load(checkpoint.newest(tmp_path), found)
    assert found.steps in (learner.steps, learner.steps - later)
    play(learner, 1)
    again = checkpoint.save(tmp_path, learner, {"new": True})
    assert checkpoint.load(again, make()) == {"new": True}
    assert len(list(tmp_path.iterdir())) <= 2


def test_a_checkpoint_is_on_disk_before_it_has_its_name(make, tmp_path, monkeypatch):
    events = []

    def sync(descriptor):
        events.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)

    def replace(self, target):
        events.append(f"{self.name} is {target.name}")
        os.rename(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    path = checkpoint.save(tmp_path, make(4))
    partial = events[0]
    assert events == [partial, f"{partial} is {path.name}", tmp_path.name]


def test_saving_twice_at_one_step_keeps_the_second(make, tmp_path):
    learner = make(4)
    checkpoint.save(tmp_path, learner, {"number": 1})
    learner.update()
    checkpoint.save(tmp_path, learner, {"number": 2})
    found = make()
    assert checkpoint.load(checkpoint.newest(tmp_path), found) == {"number": 2}
    assert found.updates == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"layout": SKILLED}, ("layout.num_skills = 1", "has 3")),
        ({"layout": Layout(4, 2)}, ("layout.obs_size = 3", "has 4")),
        ({"seeds": (0, 1)}, ("runs = 1", "has 2")),
        ({"batch_size": 8}, ("config.batch_size = 16", "has 8")),
        ({"sac": {"hidden": [16, 8]}}, ("config.sac.hidden = [16, 16]", "has [16, 8]")),
        ({"reward": {"target": 2.0}}, ("config.reward.target = 1.0", "has 2.0")),
        ({"state": {"linear": [0]}}, ("config.state.linear = []", "has [0]")),
    ],
)
def test_other_settings_are_refused_by_name(make, tmp_path, other, words):
    path = checkpoint.save(tmp_path, make(3))
    with pytest.raises(CheckpointError) as error:
        checkpoint.load(path, make(**other))
    assert all(word in str(error.value) for word in (*words, path.name)), str(error.value)


def rewrite(path, tensors=None, **changed):
    """Write a checkpoint again with other tensors, or numbers changed (None: left out)."""
    with safe_open(path, "pt") as file:
        numbers = json.loads(file.metadata()["numbers"]) | changed
    numbers = {name: value for name, value in numbers.items() if value is not None}
    tensors = load_file(path) if tensors is None else tensors
    save_file(tensors, path, metadata={"numbers": json.dumps(numbers)})


def without_replay(path):
    rewrite(path, {n: t for n, t in load_file(path).items() if not n.startswith("replay")})


def with_tensor(name, tensor):
    return lambda path: rewrite(path, load_file(path) | {name: tensor})


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-7]),
        lambda path: path.write_bytes(path.read_bytes()[:100]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(pickle.dumps({"weights": 1})),
        lambda path: save_file({"a": torch.zeros(1)}, path),
        lambda path: save_file({"a": torch.zeros(1)}, path, metadata={"numbers": "[1, 2]"}),
        lambda path: save_file({"a": torch.zeros(1)}, path, metadata={"numbers": "{"}),
        without_replay,
        with_tensor("sac/log_alpha", torch.zeros(3, 3)),
        with_tensor("replay/rows", torch.zeros(1, 2, 3)),
        with_tensor("random/streams", torch.zeros(1, 7, dtype=torch.uint8)),
        with_tensor("history/what", torch.zeros(1)),
        lambda path: rewrite(path, history=None),
        lambda path: rewrite(path, updates=None),
        lambda path: rewrite(path, prefilled=None),
        lambda path: rewrite(path, format=1),
        lambda path: rewrite(path, format=2, config=None),
        lambda path: rewrite(path, format=2, config={"sac": {"what": 1}}),
        lambda path: rewrite(path, format=99),
        lambda path: rewrite(path, format=None),
    ],
)
def test_a_damaged_or_foreign_checkpoint_is_refused_by_its_path(make, tmp_path, damage):
    path = checkpoint.save(tmp_path, make(6))
    damage(path)
    with pytest.raises(CheckpointError, match=path.name):
        checkpoint.load(path, make())


def test_a_folder_is_no_checkpoint(make, tmp_path):
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        checkpoint.load(tmp_path, make())


def test_the_skill_prior_is_restored(make, tmp_path):
    learner = make(8, SKILLED)
    learner.skill_prior.record(1, success=False)
    path = checkpoint.save(tmp_path, learner)
    found = checkpoint.open_learner(path).skill_prior.probabilities
    assert torch.equal(found, learner.skill_prior.probabilities)
    assert found[1] < found[0]
