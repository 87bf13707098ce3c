"""What docs/commands.md shows to be done can be done as it is written."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "commands.md"

# The command as it is installed: it does not look into the present folder by itself.
COMMAND = """#!{python}
import sys
from smm_ros.cli import main
few = {{
    "train": "--steps 60 --learner.random_steps 20 --report_period 30",
    "evaluate": "--episodes 8 --csv figures.csv",
}}
sys.exit(main(sys.argv[1:] + few[sys.argv[1]].split()))
"""


def block(language):
    """Return the page's only block of code in a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return found


@pytest.fixture
def run(tmp_path):
    """Return a function that runs lines of the shell in an empty folder, with few steps."""
    for name in ("bin", "empty"):
        (tmp_path / name).mkdir()
    command = tmp_path / "bin" / "smm"
    command.write_text(COMMAND.format(python=sys.executable))
    command.chmod(0o755)
    path = f"{command.parent}:{os.environ['PATH']}"

    def run(lines, **files):
        for name, text in files.items():
            (tmp_path / "empty" / f"{name}.py").write_text(text)
        shell = ["sh", "-e", "-c", lines]
        environment = os.environ | {"PATH": path}
        subprocess.run(shell, cwd=tmp_path / "empty", env=environment, check=True)
        return tmp_path / "empty"

    return run


def test_an_environment_of_ones_own_is_trained_on_and_evaluated_as_shown(run):
    folder = run(block("sh"), room=block("python"))
    settings = json.loads((folder / "runs" / "room" / "settings.json").read_text())
    assert settings["learner"]["state"]["linear"] == [0, 1]
    assert settings["learner"]["target"]["name"] == "uniform_box"
    figures = (folder / "figures.csv").read_text()
    assert all(name in figures for name in ("state_entropy", "kl_policy_target"))
    assert (folder / "runs" / "room" / "plots" / "marginals.png").is_file()
