"""smm bag import: what was exported comes back as it was, byte for byte."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import Reader

from smm_ros.bag.datasets.export import FORMATS, export
from smm_ros.bag.datasets.import_ import main
from smm_ros.bag.reading import read_messages
from smm_ros.records import TransitionRecord
from smm_ros.transition_wire import serialize_transition

uint32, uint64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
hand_names = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,5}(/[a-z_][a-z0-9]{0,3})?", fullmatch=True)


def floats(size):
    return st.lists(finite, min_size=size, max_size=size).map(lambda v: np.array(v, np.float32))


@st.composite
def hand_records(draw, hand, obs_size, action_size):
    """Draw transitions of a hand that mostly follow one another, with every kind of break."""
    records, before = [], None
    for _ in range(draw(st.integers(1, 8))):
        follows = before is not None and draw(st.integers(0, 3)) > 0
        record = TransitionRecord(
            stamp_ns=draw(st.integers(0, 2**31 * 10**9 - 10**12)),
            hand=hand,
            sequence=draw(st.integers(0, 2**60)),
            episode=draw(uint64),
            step=draw(uint32),
            skill=draw(uint32),
            policy_version=draw(uint64),
            observation=draw(floats(obs_size)),
            action=draw(floats(action_size)),
            next_observation=draw(floats(obs_size)),
            log_p_shaping=draw(finite),
            terminated=draw(st.booleans()) and draw(st.booleans()),
            truncated=draw(st.booleans()) and draw(st.booleans()),
        )
        if before is not None:
            record = replace(record, sequence=before.sequence + draw(st.integers(1, 3)))
        if follows:
            record = replace(
                record,
                stamp_ns=before.stamp_ns + 10**8 + draw(st.integers(-(10**6), 10**6)),
                sequence=before.sequence + 1,
                episode=before.episode,
                step=min(before.step + 1, 2**32 - 1),
                skill=before.skill,
                observation=before.next_observation,
            )
        records.append(record)
        before = record
    return records


@st.composite
def recordings(draw):
    """Draw the transitions of some hands, in turns."""
    sizes = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    hands = draw(st.lists(hand_names, min_size=1, max_size=3, unique=True))
    of_each = {hand: draw(hand_records(hand, *sizes)) for hand in hands}
    turns = draw(st.permutations([hand for hand in hands for _ in of_each[hand]]))
    iterators = {hand: iter(records) for hand, records in of_each.items()}
    return [next(iterators[hand]) for hand in turns]


def by_hand(bag):
    """Return the bytes of every hand's transitions in their order, with their log times."""
    found = {}
    for message in read_messages(bag):
        hand = message.topic.name.removesuffix("/transitions").strip("/")
        found.setdefault(hand, []).append((message.log_time_ns, message.data))
    return found


@pytest.mark.parametrize("to", FORMATS)
@settings(deadline=None, max_examples=15)
@given(records=recordings())
def test_a_bag_comes_back_byte_for_byte(write_bag, to, records):
    hands = sorted({record.hand for record in records})
    with tempfile.TemporaryDirectory() as name:
        bag = write_bag(Path(name, "bag"), records, hands)
        export([bag], to, Path(name, "set-v0"))
        assert main([f"{name}/set-v0", "--out", f"{name}/back"]) == 0
        assert by_hand(f"{name}/back") == {
            hand: [(r.stamp_ns, serialize_transition(r)) for r in records if r.hand == hand]
            for hand in hands
        }


@pytest.fixture
def dataset(tmp_path, explore, write_bag):
    bag = write_bag(tmp_path / "bag", explore(episodes=3))
    export([bag], "parquet", tmp_path / "set")
    return tmp_path / "set"


def test_other_tools_open_the_bag(tmp_path, dataset, capsys):
    assert main([str(dataset), "--out", str(tmp_path / "back")]) == 0
    assert "wrote 15 transitions to" in capsys.readouterr().out
    with Reader(tmp_path / "back") as reader:
        assert {c.topic: c.msgtype for c in reader.connections} == {
            "/dclaw/transitions": "smm_ros/msg/Transition"
        }
        assert reader.message_count == 15


def test_nothing_is_overwritten(tmp_path, dataset, capsys):
    assert main([str(dataset), "--out", str(tmp_path / "bag")]) == 1
    assert "exists; name another folder" in capsys.readouterr().err


def test_one_run_of_several_is_chosen(tmp_path, explore, write_bag, capsys):
    bags = [write_bag(tmp_path / str(n), explore(episodes=n + 1)) for n in range(2)]
    for to in FORMATS:
        export(bags, to, tmp_path / f"{to}-v0")
        assert main([str(tmp_path / f"{to}-v0"), "--out", str(tmp_path / "back")]) == 1
        assert "several runs; choose one with --run from: 0, 1" in capsys.readouterr().err
        out = tmp_path / f"{to}-back"
        assert main([str(tmp_path / f"{to}-v0"), "--run", "1", "--out", str(out)]) == 0
        assert by_hand(out) == by_hand(bags[1])
        assert main([str(tmp_path / f"{to}-v0"), "--run", "2", "--out", str(tmp_path / "x")]) == 1
        assert "no run 2" in capsys.readouterr().err


def edited(dataset, edit):
    """Write the dataset's table anew, as a user may with any other library."""
    path = dataset / "transitions.parquet"
    pq.write_table(edit(pq.read_table(path)), path)
    return str(dataset)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda t: t.take([0, 2, 1, 3]), "transition 1 of dclaw comes after 2; sort"),
        (lambda t: t.take([0, 1, 1]), "transition 1 of dclaw comes after 1"),
        (lambda t: t.set_column(2, "hand", [["no hand"] * len(t)]), "'no hand' is no name"),
        (lambda t: t.slice(0, 0), "the dataset is empty"),
    ],
)
def test_a_dataset_that_makes_no_recording_is_refused(tmp_path, dataset, capsys, edit, said):
    assert main([edited(dataset, edit), "--out", str(tmp_path / "back")]) == 1
    assert said in capsys.readouterr().err
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bag", "set"]


def test_a_stamp_before_zero_is_refused(tmp_path, dataset, capsys):
    stamps = [[-1] + [10**8 * n for n in range(14)]]
    changed = edited(dataset, lambda table: table.set_column(3, "stamp_ns", stamps))
    assert main([changed, "--out", str(tmp_path / "back")]) == 1
    assert "has the stamp -1 ns" in capsys.readouterr().err


def test_part_of_a_dataset_can_be_imported(tmp_path, dataset, explore):
    path = edited(dataset, lambda table: table.slice(5, 5))
    assert main([path, "--out", str(tmp_path / "back")]) == 0
    expected = [(r.stamp_ns, serialize_transition(r)) for r in explore(episodes=3)[5:10]]
    assert by_hand(tmp_path / "back") == {"dclaw": expected}


def test_what_is_no_dataset_is_said(tmp_path, dataset, capsys):
    (tmp_path / "notes").mkdir()
    for path, said in (("notes", "holds no dataset"), ("missing", "does not exist")):
        assert main([str(tmp_path / path), "--out", str(tmp_path / "back")]) == 1
        assert said in capsys.readouterr().err
    (tmp_path / "file.parquet").write_text("no such thing")
    assert main([str(tmp_path / "file.parquet"), "--out", str(tmp_path / "back")]) == 1
    assert "can not read" in capsys.readouterr().err


def test_options_for_another_s_dataset_are_refused_with_an_own_one(tmp_path, dataset, capsys):
    assert main([str(dataset), "--out", str(tmp_path / "back"), "--hand", "left"]) == 1
    assert "says itself whose it is" in capsys.readouterr().err
