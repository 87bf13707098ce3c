"""`smm evaluate`: from a run folder to a table, JSON, CSV and pictures; mistakes are one line."""

import csv
import json
import math
import os
from pathlib import Path

import pytest

from smm_core.evaluation import cli as evaluate_cli

SMALL = [
    "--episodes", "6", "--bins.names", "angle", "--bins.circular", "0", "1",
    "--bins.bin_width", "0.1745",
]  # fmt: skip


def test_json_is_one_object_in_the_last_line_and_the_same_again(trained, capsys):
    folder = str(trained(runs=2))
    found = []
    for _ in range(2):
        assert evaluate_cli.main([folder, "--json", *SMALL]) == 0
        found.append(json.loads(capsys.readouterr().out.splitlines()[-1]))
    assert found[0] == found[1]
    figures = found[0]["groups"]["smm"]["figures"]
    assert len(figures["state_entropy"]["values"]) == 2
    assert 0 < figures["state_entropy"]["mean"] < math.log(36)
    assert figures["nll"]["mean"] is not None
    assert any("plug-in" in note for note in found[0]["notes"])
    assert any("never visited counts as 1/36 of one state" in n for n in found[0]["notes"])


def test_the_table_has_a_column_for_each_group_and_a_p_value(trained, capsys, tmp_path):
    ours = str(trained("ours", runs=2))
    theirs = str(trained("theirs", runs=2, learner={"method": "sac"}))
    lines = [f"mine={ours}", theirs, "--baseline", "sac", "--csv", str(tmp_path / "all.csv")]
    assert evaluate_cli.main([*lines, *SMALL, "--plots", str(tmp_path / "plots")]) == 0
    shown = capsys.readouterr().out
    assert "mine" in shown
    assert "2 runs" in shown
    assert "entropy of the state marginal" in shown
    assert "p = " in shown
    rows = list(csv.DictReader((tmp_path / "all.csv").open()))
    assert {row["group"] for row in rows} == {"mine", "sac"}
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    assert names == {"figures.png", "angles.png"}


def test_settings_can_come_from_a_file(trained, capsys, tmp_path):
    file = tmp_path / "evaluation.yaml"
    file.write_text("episodes: 4\nfigures: [nll]\npolicies: [average]\n")
    assert evaluate_cli.main([str(trained()), "--config", str(file), "--json"]) == 0
    data = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(data["groups"]["smm"]["figures"]) == ["nll"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--episodes", "0"], "episodes is 0, expected at least 1"),
        (["--figures", "goals"], "no figure 'goals': the environment names no goals"),
        (["--baseline", "icm"], "baseline is 'icm', expected one of: smm"),
        (["--coordinates", "x"], "no coordinate 'x' to count in bins; known: none"),
        (["--plane", "x", "y"], "no coordinate 'x' to draw; linear ones counted: none"),
    ],
)
def test_a_mistake_is_one_clear_line_before_anything_is_played(
    trained, capsys, arguments, message
):
    assert evaluate_cli.main([str(trained()), "--episodes", "2", *arguments]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "error: " in error
    assert message in error
    assert "playing" not in error


def test_the_plane_is_of_two_coordinates_that_are_counted(trained, square, capsys):
    folder = str(trained(env=square))
    for plane, message in (("y z", "no coordinate 'z'"), ("x x", "x, x, expected two")):
        assert evaluate_cli.main([folder, "--plane", *plane.split()]) == 1
        error = " ".join(capsys.readouterr().err.split())
        assert message in error
        assert "playing" not in error


@pytest.mark.parametrize("option", ["--csv", "--plots"])
def test_what_was_measured_is_printed_where_a_file_can_not_be_written_after_all(
    trained, capsys, tmp_path, monkeypatch, option
):
    def full(*arguments):
        raise OSError("no space left on device")

    monkeypatch.setattr(evaluate_cli, "draw", full)
    monkeypatch.setattr(evaluate_cli.Comparison, "write_csv", full)
    assert evaluate_cli.main([str(trained()), option, str(tmp_path / "new"), *SMALL]) == 1
    shown = capsys.readouterr()
    assert "entropy of the state marginal" in shown.out
    assert "error: no space left" in shown.err


@pytest.mark.parametrize(
    ("option", "path", "message"),
    [
        ("--csv", "old.csv", "old.csv exists; name a new file"),
        ("--csv", "old.csv/new/figures.csv", "old.csv is a file, expected a folder"),
        ("--csv", "pictures", "pictures exists; name a new file"),
        ("--plots", "old.csv", "old.csv is a file, expected a folder"),
        ("--plots", "old.csv/new", "old.csv is a file, expected a folder"),
        ("--plots", "pictures", "pictures holds PNGs already; name a new folder"),
        ("--plots", "closed/new", "closed can not be written to"),
        ("--csv", "closed/new/figures.csv", "closed can not be written to"),
    ],
)
def test_files_that_could_not_be_written_or_would_be_lost_are_told_of_before_playing(
    trained, capsys, tmp_path, monkeypatch, option, path, message
):
    (tmp_path / "old.csv").touch()
    for folder in ("pictures", "closed"):
        (tmp_path / folder).mkdir()
    (tmp_path / "pictures" / "marginals.png").touch()
    monkeypatch.setattr(os, "access", lambda where, mode: Path(where).name != "closed")
    before = sorted(tmp_path.rglob("*"))
    assert evaluate_cli.main([str(trained()), option, str(tmp_path / path), *SMALL]) == 1
    error = "".join(capsys.readouterr().err.split())  # lines are broken wherever a path is long
    assert "".join(message.split()) in error
    assert "playing" not in error
    assert {p for p in tmp_path.rglob("*") if "run" not in p.parts} == set(before)


def test_files_go_into_new_folders_and_into_one_without_pictures(
    trained, capsys, tmp_path, monkeypatch
):
    folder = trained()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "notes.txt").touch()
    for plots, csv_file in (("plots", "figures.csv"), ("new/plots", "a/b/figures.csv")):
        assert evaluate_cli.main([str(folder), "--plots", plots, "--csv", csv_file, *SMALL]) == 0
        assert Path(csv_file).read_text()
        assert Path(plots, "figures.png").exists()


def test_a_folder_given_twice_is_refused(trained, capsys):
    folder = trained()
    again = f"again={folder.parent / '.' / folder.name}"
    assert evaluate_cli.main([str(folder), again, "--episodes", "2"]) == 1
    assert "given twice" in " ".join(capsys.readouterr().err.split())


def test_a_folder_without_a_run_is_named(tmp_path, capsys):
    assert evaluate_cli.main([str(tmp_path / "nowhere")]) == 1
    assert "is no run folder" in " ".join(capsys.readouterr().err.split())


def test_a_misspelt_option_is_one_line_with_the_nearest(capsys):
    with pytest.raises(SystemExit, match="2"):
        evaluate_cli.main(["runs/a", "--episods", "5"])
    error = capsys.readouterr().err
    assert error.startswith("error: unknown option --episods; did you mean --episodes")
    assert error.count("\n") == 1
