import json
import os
import signal
import subprocess
import sys
import time

import pytest

from smm_core import checkpoint, cli

SMALL = [
    "--learner.random_steps", "50", "--learner.batch_size", "8",
    "--learner.replay_capacity", "500",
    "--learner.sac.hidden", "8", "--learner.density.vae.hidden", "8", "--report_period", "50",
]  # fmt: skip


def test_json_is_one_object_in_the_last_line(tmp_path, capsys):
    arguments = ["Pendulum-v1", "--folder", str(tmp_path / "run"), "--json", *SMALL]
    assert cli.main([*arguments, "--steps", "100"]) == 0
    metrics = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (metrics["steps"], metrics["updates"]) == (100, 50)
    assert metrics["checkpoint"].startswith(str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["NoSuchEnv-v0"], "NoSuchEnv"),
        (["CartPole-v1"], "bounded Box"),
        (["Pendulum-v1", "--steps", "0"], "error: steps is 0, expected at least 1"),
        (["Pendulum-v1", "--learner.sac.hidden", "0"], "error: learner.sac.hidden is 0, expected"),
        (["Pendulum-v1", "--env_options", "mass=3"], "unexpected keyword argument 'mass'"),
    ],
)
def test_a_mistake_is_one_clear_line(tmp_path, capsys, arguments, message):
    assert cli.main([*arguments, "--folder", str(tmp_path / "run")]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert error.startswith("error: ")
    assert message in error


def test_a_misspelt_option_is_one_line_and_status_2(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["Pendulum-v1", "--stpes", "100"])
    error = capsys.readouterr().err
    assert error.startswith("error: unknown option --stpes; did you mean --steps?")
    assert error.count("\n") == 1


def test_an_interrupt_saves_the_run(tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "smm_core.cli", "Pendulum-v1", "--folder", str(folder)]
    process = subprocess.Popen(
        [*command, *SMALL, "--steps", "1000000"], stderr=subprocess.PIPE, text=True
    )
    while "steps/s" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    assert "interrupted" in process.communicate(timeout=30)[1]
    assert process.returncode == 130
    learner = checkpoint.open_learner(checkpoint.newest(folder / "checkpoints"))
    assert learner.updates == learner.steps - 50 > 0


def test_a_run_is_resumed_from_its_folder(tmp_path, capsys):
    folder = str(tmp_path / "run")
    assert cli.main(["Pendulum-v1", "--folder", folder, *SMALL, "--steps", "60"]) == 0
    assert cli.main(["--resume", folder, "--steps", "90", "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (metrics["steps"], metrics["updates"]) == (90, 40)
    assert cli.main(["--resume", folder, "--steps", "99", "--seed", "1"]) == 1
    assert "keeps its seed" in capsys.readouterr().err
    assert cli.main(["Pendulum-v1", "--resume", folder]) == 1
    assert "no ENV, --config or --folder" in capsys.readouterr().err


def test_a_settings_file_names_the_environment_too(tmp_path, capsys):
    file = tmp_path / "run.yaml"
    file.write_text("env: Pendulum-v1\nenv_options: [g=3]\nsteps: 60\n")
    folder = tmp_path / "run"
    arguments = ["--config", str(file), "--folder", str(folder), *SMALL]
    assert cli.main(arguments) == 0
    settings = json.loads((folder / "settings.json").read_text())
    assert (settings["env"], settings["env_options"]) == ("Pendulum-v1", ["g=3"])
    assert cli.main(["--folder", str(tmp_path / "other")]) == 1
    assert "no environment is named" in capsys.readouterr().err


def test_a_run_that_only_took_random_steps_says_so(tmp_path, capsys):
    arguments = ["Pendulum-v1", "--folder", str(tmp_path / "run"), *SMALL, "--steps", "40"]
    assert cli.main(arguments) == 0
    assert "nothing was learnt" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("reward", ("reward[0] is nan", "first index is the environment")),
        ("error", ("cable came off",)),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_error_of_the_environment_says_where_the_run_is(tmp_path, capsys, faulty, fault, words):
    folder = tmp_path / "run"
    given = [faulty, "--folder", str(folder), *SMALL, "--env_options", "at=20", f"fault={fault}"]
    assert cli.main(given) == 1
    error = capsys.readouterr().err
    assert all(word in error for word in (*words, f"up to 19 steps is in {folder}", "--resume"))
    assert checkpoint.open_learner(checkpoint.newest(folder / "checkpoints")).steps == 19
