"""The check before the set-up, with the machine's tools replaced by small stand-ins."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "preflight.sh"
NEEDED = ("sh", "sed", "sort", "head")


class Machine:
    """A machine that has the tools in one folder and no others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in NEEDED:
            self.add(name, f'exec {shutil.which(name)} "$@"')
        self.add("uname", "test $1 = -s && echo Linux || echo x86_64")
        self.add("cc")
        self.add("c++")
        self.add("cmake", "echo cmake version 3.25.1")
        self.add_python("3.11")

    def add(self, name: str, body: str = "exit 0") -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def add_python(self, version: str, lacks: str = "nothing") -> None:
        """Add a python3 that tells this version and fails at code that names what it lacks."""
        self.add(
            "python3",
            f'case "$2" in *{lacks}*) exit 1 ;; *version_info*) echo {version} ;; esac',
        )

    def remove(self, name: str) -> None:
        self.folder.joinpath(name).unlink()

    def check(self) -> tuple[int, list[str]]:
        """Run the script; return its exit status and the lines it printed."""
        environment = {"PATH": str(self.folder), "LC_ALL": os.environ.get("LC_ALL", "C")}
        done = subprocess.run(
            ["/bin/sh", str(SCRIPT), "python3"], env=environment, capture_output=True, text=True
        )
        assert not done.stdout
        return done.returncode, done.stderr.splitlines()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.mark.parametrize("version", ["3.10", "3.14"])
def test_a_complete_machine_passes_in_silence(machine, version):
    machine.add_python(version)
    assert machine.check() == (0, [])


@pytest.mark.parametrize(
    ("tool", "package"),
    [
        ("python3", "python3 python3-venv python3-dev"),
        ("cc", "build-essential"),
        ("c++", "build-essential"),
        ("cmake", "cmake"),
    ],
)
def test_a_missing_tool_gets_one_line_that_says_what_to_install(machine, tool, package):
    machine.remove(tool)
    status, lines = machine.check()
    assert status == 1
    assert len(lines) == 1
    assert tool in lines[0]
    assert lines[0].endswith(f"sudo apt install {package}")


@pytest.mark.parametrize("version", ["2.7", "3.9", "3.15"])
def test_a_python_without_wheels_gets_one_line_with_the_range(machine, version):
    machine.add_python(version)
    status, lines = machine.check()
    assert status == 1
    assert len(lines) == 1
    assert f"Python {version}, but 3.10 to 3.14" in lines[0]


@pytest.mark.parametrize(
    ("lacks", "package"), [("ensurepip", "python3.11-venv"), ("Python.h", "python3.11-dev")]
)
def test_a_part_that_debian_splits_off_gets_one_line(machine, lacks, package):
    machine.add_python("3.11", lacks)
    status, lines = machine.check()
    assert status == 1
    assert len(lines) == 1
    assert lines[0].endswith(f"sudo apt install {package}")


def test_an_old_cmake_gets_one_line_with_both_versions(machine):
    machine.add("cmake", "echo cmake version 3.18.4")
    status, lines = machine.check()
    assert status == 1
    assert len(lines) == 1
    assert "cmake is 3.18.4, but 3.21 or newer is needed" in lines[0]


def test_another_architecture_is_sent_to_a_ros_installation(machine):
    machine.add("uname", "test $1 = -s && echo Linux || echo aarch64")
    status, lines = machine.check()
    assert status == 1
    assert len(lines) == 1
    assert "Linux aarch64" in lines[0]
    assert "colcon" in lines[0]
