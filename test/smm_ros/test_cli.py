"""The `smm` command: every command that is written about is there, and the other way round."""

import importlib
import re
from pathlib import Path

import pytest

from smm_ros import cli

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CHANGELOG.rst"]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_a_command_has_a_main(name):
    assert callable(importlib.import_module(cli.COMMANDS[name][0]).main)


def test_the_commands_written_about_are_those_there_are():
    words = {
        w for page in PAGES for w in re.findall(r"\bsmm ([a-z]+(?:-[a-z]+)*)\b", page.read_text())
    }
    assert words == set(cli.COMMANDS)


def test_another_command_is_named_with_those_there_are(capsys):
    assert cli.main(["wach"]) == 2
    error = capsys.readouterr().err
    assert all(name in error for name in ("wach", *cli.COMMANDS))


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([name, "--help"])
    assert end.value.code == 0
    assert f"usage: smm {name}" in capsys.readouterr().out
