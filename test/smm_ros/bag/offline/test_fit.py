"""`smm bag fit`: what bags hold is fitted, measured and written, and what is wrong is said."""

import json
import shutil

import numpy as np
import pytest
import torch
from rosbags.rosbag2 import StoragePlugin, Writer

from smm_core.offline.fitted_models import load_models
from smm_ros.bag.cli import main
from smm_ros.bag.reading import read_messages
from smm_ros.dclaw.task import VALVE_COS, VALVE_SIN

QUICK = ["--density.model", "histogram", "--steps", "20", "--discriminator.hidden", "8"]
FILES = {"fit.json", "marginals.png", "models.safetensors"}


@pytest.fixture
def fit(tmp_path, capfd):
    """Return a function that runs the command and returns its status, folder and words."""

    def run(*words, name="fit", options=QUICK):
        folder = tmp_path / name
        status = main(["fit", *map(str, words), "--out", str(folder), *options])
        return status, folder, " ".join("".join(capfd.readouterr()).split())

    return run


def told(folder):
    return json.loads((folder / "fit.json").read_text())


def test_models_figures_and_picture_are_written(fit, recorded_run):
    status, folder, said = fit(recorded_run.path)
    assert status == 0, said
    assert {path.name for path in folder.iterdir()} == FILES
    found = told(folder)
    assert found["coordinates"] == ["valve angle"]
    counts = {"transitions": 200, "gaps": 0, "recordings": 1, "doubles": 0}
    assert found["hands"]["dclaw"] == counts
    assert found["figures"]["train_states"] + found["figures"]["held_out_states"] == 200
    assert found["num_skills"] == 2
    assert found["settings"]["target"]["name"] == "uniform_circle"
    assert found["settings"]["state"]["circular"] == [VALVE_COS, VALVE_SIN]
    assert "KL(rho || p*) over bins" in said
    models = load_models(folder)
    obs = torch.tensor(np.array([r.next_observation for r in recorded_run.transitions]))
    kept = models.log_prob(obs, 0)
    assert kept.isfinite().all()
    assert models.discriminator is not None


def test_joint_states_and_commands_alone_give_the_same_states(fit, recorded_run):
    figures = []
    for source in ("transitions", "joint_states"):
        status, folder, said = fit(recorded_run.path, "--from", source, name=source)
        assert status == 0, said
        figures.append(told(folder)["figures"])
    for name in ("train_states", "held_out_states", "state_entropy", "kl_rho_target", "shaping"):
        assert figures[0][name] == pytest.approx(figures[1][name]), name


def test_the_same_bag_and_seed_give_the_same_file(fit, recorded_run):
    files = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        words = [*QUICK, "--density.model", "gaussian_mixture", "--seed", str(seed)]
        _, folder, _ = fit(recorded_run.path, name=name, options=words)
        files.append((folder / "models.safetensors").read_bytes())
    assert files[0] == files[1] != files[2]


def test_several_bags_are_one_stream_each_read_as_it_can_be(
    fit, recorded_run, explore, write_bag, tmp_path
):
    other = write_bag(tmp_path / "other", explore(episodes=10, steps=20))
    status, folder, said = fit(recorded_run.path, other)
    assert status == 0, said
    # The numbers of the second begin anew: another recording, and nothing is missing.
    counts = {"transitions": 400, "gaps": 0, "recordings": 2, "doubles": 0}
    assert told(folder)["hands"] == {"dclaw": counts}
    assert [bag["from"] for bag in told(folder)["origin"]["bags"]] == ["transitions"] * 2


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_joint_topics_alone_are_assembled_by_themselves_from_either_storage(
    fit, recorded_run, tmp_path, storage
):
    with Writer(tmp_path / "joints", version=9, storage_plugin=storage) as writer:
        connections = {}
        for message in read_messages(recorded_run.path):
            topic = message.topic
            if "joint" not in topic.name:
                continue
            if topic.name not in connections:
                connections[topic.name] = writer.add_connection(
                    topic.name, topic.type, msgdef=topic.definition, rihs01=topic.type_hash
                )
            writer.write(connections[topic.name], message.log_time_ns, message.data)
    status, folder, said = fit(tmp_path / "joints")
    assert status == 0, said
    assert told(folder)["origin"]["bags"][0]["from"] == "joint_states"
    assert told(folder)["hands"]["dclaw"]["transitions"] == 200
    status, expected, said = fit(recorded_run.path, "--from", "joint_states", name="direct")
    assert status == 0, said
    models = [(path / "models.safetensors").read_bytes() for path in (folder, expected)]
    assert models[0] == models[1]


def test_missing_transitions_are_told(fit, explore, write_bag, tmp_path):
    records = explore(episodes=20, steps=10)
    bag = write_bag(tmp_path / "gaps", records[:50] + records[53:])
    status, folder, said = fit(bag)
    assert status == 0
    assert "3 transitions of dclaw are missing between those that came" in said
    assert told(folder)["hands"]["dclaw"]["gaps"] == 3


def test_both_runs_of_a_bag_are_fitted_to(fit, explore, write_bag, tmp_path):
    """The numbers begin again, as those of a twin that is started anew do, with its stamps."""
    first, second = explore(episodes=20), explore(episodes=30, steps=7)
    status, folder, said = fit(write_bag(tmp_path / "runs", first[:97] + second))
    assert status == 0, said
    counts = {"transitions": 97 + 210, "gaps": 0, "recordings": 2, "doubles": 0}
    assert told(folder)["hands"]["dclaw"] == counts


def test_nothing_is_missing_between_bags_of_different_runs(fit, explore, write_bag, tmp_path):
    bags = [
        write_bag(tmp_path / name, explore(episodes=20, first_sequence=first))
        for name, first in (("a", 0), ("b", 15_000))
    ]
    status, folder, said = fit(*bags)
    assert status == 0, said
    assert told(folder)["hands"]["dclaw"]["gaps"] == 0
    assert "are missing" not in said


def test_what_is_not_read_or_passed_over_is_told(fit, explore, write_bag, tmp_path):
    records = explore(episodes=800)
    bag = write_bag(tmp_path / "torn", records[:30] + records[20:])
    (file,) = bag.glob("*.mcap")
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size * 3 // 4)
    status, folder, said = fit(bag)
    assert status == 0, said
    unread, passed = f"not read: {file}: ", "10 transitions of dclaw came more than once"
    assert unread in said
    assert passed in said
    assert [any(text in note for note in told(folder)["notes"]) for text in (unread, passed)]


def test_a_bag_is_fitted_to_once_however_it_is_named(fit, recorded_run, tmp_path):
    (file, *_) = recorded_run.path.glob("*.mcap")
    (tmp_path / "other_name").symlink_to(file)
    for again in (recorded_run.path, file, tmp_path / "other_name"):
        status, folder, said = fit(recorded_run.path, again)
        assert (status, folder.exists()) == (1, False)
        assert "name each file once" in said
    # A copy is another file, whose transitions are those that were there.
    shutil.copytree(recorded_run.path, tmp_path / "copy")
    status, folder, said = fit(recorded_run.path, tmp_path / "copy")
    assert status == 0, said
    counts = {"transitions": 200, "gaps": 0, "recordings": 1, "doubles": 200}
    assert told(folder)["hands"]["dclaw"] == counts
    assert "200 transitions of dclaw came more than once" in said


def test_one_of_the_hands_is_chosen_and_figures_are_told_as_json(
    fit, explore, write_bag, tmp_path
):
    records = explore("left", episodes=20) + explore("right", episodes=20)
    bag = write_bag(tmp_path / "bag", records, ["left", "right"])
    status, folder, said = fit(bag, "--hand", "/left", "--json")
    assert status == 0, said
    found = told(folder)
    assert list(found["hands"]) == ["left"]
    assert json.loads(said)["train_nll"] == found["figures"]["train_nll"]
    status, folder, said = fit(bag, "--hand", "other", name="none")
    assert (status, folder.exists()) == (1, False)
    assert "no transitions of other in" in said
    assert "there are some of left, right" in said


def test_other_observations_are_matched_whole_unless_a_state_is_named(
    fit, explore, write_bag, tmp_path
):
    bag = write_bag(tmp_path / "other", explore(episodes=20, steps=10, obs_size=3))
    words = ["--density.model", "gaussian_mixture", "--steps", "5", "--num_skills", "2"]
    status, folder, said = fit(bag, options=words)
    assert status == 0, said
    assert told(folder)["coordinates"] == ["entry 0", "entry 1", "entry 2"]
    assert "no target is named" in said
    words += ["--state.linear", "1", "--target.name", "uniform_box", "--target.box.low", "-1"]
    status, folder, said = fit(bag, options=[*words, "--target.box.high", "1"], name="named")
    assert status == 0, said
    assert told(folder)["coordinates"] == ["entry 1"]
    assert "kl_rho_target" in told(folder)["figures"]


def test_settings_come_from_a_file_and_the_command_line_goes_before(fit, recorded_run, tmp_path):
    (tmp_path / "fit.yaml").write_text("seed: 3\nbins: 12\ndensity: {model: histogram}\n")
    words = ["--config", str(tmp_path / "fit.yaml"), "--bins", "18"]
    status, folder, said = fit(recorded_run.path, options=[*words, *QUICK[2:]])
    assert status == 0, said
    settings = told(folder)["settings"]
    assert (settings["seed"], settings["bins"]) == (3, 18)
    assert settings["density"]["model"] == "histogram"


def test_nothing_is_written_over(fit, recorded_run, tmp_path):
    (tmp_path / "fit").mkdir()
    status, folder, said = fit(recorded_run.path)
    assert status == 1
    assert "exists; name another folder as out" in said
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--density.vae.samples", "0"], "density.vae.samples is 0, expected at least 1"),
        (["--state.linear", "12"], "matched state entry 12 is outside the observation of 12"),
        (["--num_skills", "1"], "skill 1, expected 0 .. 0; set num_skills to 2"),
        (["--held_out", "0.001"], "whole episodes are; give more of them, another --held_out"),
        (["--joint_states", "/a/b"], "expected two names that begin with a slash, or none"),
    ],
)
def test_what_can_not_be_is_said_and_nothing_is_left(fit, recorded_run, words, message):
    status, folder, said = fit(recorded_run.path, *words)
    assert status == 1
    assert message in said
    assert not folder.exists()
    assert not list(folder.parent.glob("*.partial"))


def test_a_path_without_a_bag_and_a_bag_without_transitions_are_named(
    fit, recorded_run, write_bag, tmp_path
):
    status, folder, said = fit(tmp_path / "none")
    assert (status, folder.exists()) == (1, False)
    assert "no bag at" in said
    empty = write_bag(tmp_path / "empty", [])
    status, folder, said = fit(empty, "--from", "transitions")
    assert (status, folder.exists()) == (1, False)
    assert "holds no transitions; take them from its joint_states" in said


def test_a_misspelt_option_is_a_wrong_command_line(fit, recorded_run):
    with pytest.raises(SystemExit) as ended:
        fit(recorded_run.path, "--stepps", "3")
    assert ended.value.code == 2
