"""The `smm bag` command: every command that is written about is there, and the other way round."""

import importlib
import re
from pathlib import Path

import pytest

from smm_ros.bag import cli

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name, capsys):
    assert callable(importlib.import_module(cli.COMMANDS[name][0]).main)
    with pytest.raises(SystemExit) as end:
        cli.main([name, "--help"])
    assert end.value.code == 0
    assert f"usage: smm bag {name}" in capsys.readouterr().out


def test_the_commands_written_about_are_those_there_are():
    text = "".join(page.read_text() for page in PAGES)
    assert set(re.findall(r"\bsmm bag ([a-z]+)\b", text)) == set(cli.COMMANDS)


@pytest.mark.parametrize("words", [["infos"], []])
def test_another_command_is_named_with_those_there_are(words, capsys):
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert all(name in error for name in (*words, *cli.COMMANDS))
