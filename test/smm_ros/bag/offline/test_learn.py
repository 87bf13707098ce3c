"""`smm bag learn`: from bags to a run folder that is evaluated like any other."""

import dataclasses
import json
import re

import numpy as np
import pytest

from smm_core import checkpoint
from smm_core.config import from_mapping
from smm_core.evaluation import cli as evaluation
from smm_core.learner import Learner, LearnerConfig
from smm_core.transitions import Layout
from smm_ros.bag.offline import learn
from smm_ros.parameter_file import read_parameter_file
from smm_ros.share import share_path

FAST = [
    "--updates", "6", "--report_period", "3", "--snapshot_period", "3",
    "--learner.batch_size", "8", "--learner.sac.hidden", "8",
]  # fmt: skip


@pytest.fixture
def bag(make_record, bag_of):
    """Return the bag of a short run."""
    return bag_of("bag", [make_record(sequence) for sequence in range(30)])


def test_it_learns_runs_from_all_bags_and_they_are_evaluated(
    bag, make_record, bag_of, tmp_path, capsys
):
    other = bag_of("other", [make_record(sequence) for sequence in range(40, 60)])
    folder = tmp_path / "run"
    words = [str(bag), str(other), "--out", str(folder), "--runs", "2", *FAST, "--json"]
    assert learn.main(words) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert (metrics["updates"], metrics["transitions"]) == (6, 50)
    assert len(metrics["q_policy"]) == 2
    found = checkpoint.open_learner(checkpoint.newest(folder / "checkpoints"))
    assert (found.prefilled, found.updates) == (50, 6)
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["data"] == [str(bag), str(other)]
    assert evaluation.main([str(folder), "--episodes", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_its_defaults_are_what_explores_the_hand_and_options_go_before(bag, tmp_path):
    words = [str(bag), "--out", str(tmp_path / "run"), *FAST]
    assert learn.main([*words, "--learner.sac.conservative", "2"]) == 0
    learner = json.loads((tmp_path / "run" / "settings.json").read_text())["learner"]
    assert (learner["sac"]["learning_rate"], learner["density"]["model"]) == (1e-3, "histogram")
    assert (learner["sac"]["conservative"], learner["sac"]["hidden"]) == (2.0, [8])
    assert learner["target"]["name"] == "uniform_circle"


def test_the_graph_goes_on_with_it_by_its_own_settings(bag, tmp_path):
    """A checkpoint is refused where a setting differs: the command's are those of the graph."""
    folder = tmp_path / "run"
    assert learn.main([str(bag), "--out", str(folder), "--updates", "1"]) == 0
    nodes = ("recorder", "trainer", "hand", "policy_server")
    settings = read_parameter_file(share_path("config", "dclaw.yaml"), nodes)["trainer"]
    config = from_mapping(LearnerConfig, settings["learner"])
    learner = Learner(Layout(12, 9), config, [0])
    checkpoint.load(checkpoint.newest(folder / "checkpoints"), learner)
    assert (learner.updates, learner.prefilled, learner.steps) == (1, 30, 0)


@pytest.mark.parametrize(
    ("change", "words", "error"),
    [
        ({"skill": 2}, [], "transition 3 of dclaw .*skill"),
        ({"observation": np.full(12, np.nan, np.float32)}, [], "transition 3 of dclaw .*obs"),
        ({}, ["--env", "smm_ros/Navigation-v0"], "transition 0 of dclaw"),
        ({}, ["--learner.batch_size", "0"], "batch_size is 0, expected at least 1"),
        ({}, ["--env", "Nothing-v0"], "Nothing-v0"),
        ({}, ["--out", "."], "exists"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    make_record, bag_of, tmp_path, capsys, change, words, error
):
    records = [make_record(sequence) for sequence in range(5)]
    records[3] = dataclasses.replace(records[3], **change)
    folder = tmp_path / "run"
    bag = str(bag_of("bag", records))
    assert learn.main([bag, *FAST, "--out", str(folder), *words]) == 1
    said = capsys.readouterr().err
    assert "error: " in said
    assert re.search(error, said.replace("\n", " "))
    assert not folder.exists()


def test_a_bag_that_is_missing_is_named_before_any_is_read(bag, tmp_path, capsys):
    folder = tmp_path / "run"
    assert learn.main([str(bag), str(tmp_path / "absent"), "--out", str(folder), *FAST]) == 1
    said = capsys.readouterr().err
    assert "absent" in said
    assert "transitions" not in said
    assert not folder.exists()


def test_what_was_not_read_is_told_and_other_topics_can_be_named(
    make_record, bag_of, recorded_run, tmp_path, capsys
):
    bag = bag_of("torn", [make_record(sequence) for sequence in range(4000)])
    (file,) = bag.glob("*.mcap")
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size * 3 // 4)
    assert learn.main([str(bag), "--out", str(tmp_path / "run"), *FAST]) == 0
    assert f"note: not read: {file}: " in capsys.readouterr().err
    words = ["--from", "joint_states", "--learner.num_skills", "2"]
    words += ["--joint_states", "/dclaw/joint_states", "--joint_command", "/dclaw/joint_command"]
    folder = str(tmp_path / "joints")
    assert learn.main([str(recorded_run.path), "--out", folder, *FAST, *words]) == 0
    assert "200 transitions" in capsys.readouterr().err


def test_a_bag_named_twice_is_refused(bag, tmp_path, capsys):
    assert learn.main([str(bag), str(bag), "--out", str(tmp_path / "run"), *FAST]) == 1
    assert "name each file once" in capsys.readouterr().err


def test_a_wrong_command_line_ends_with_status_2(capsys):
    for words in ([], ["bag", "--nothing"]):
        with pytest.raises(SystemExit) as ended:
            learn.main(words)
        assert ended.value.code == 2
