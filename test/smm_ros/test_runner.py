"""`smm up` with the real nodes, as a user starts it."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smm_ros.bag.reading import read_transitions
from smm_ros.runner import describe_arguments, main

NODES = ("recorder", "trainer", "hand", "policy_server")
ARGUMENTS = ("sim:=true", "real_time_factor:=0")


class Run:
    """A graph started with `smm up`, its output in a file."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.run_dir = folder / "run"
        self._log = folder / "output.log"
        command = [
            sys.executable, "-m", "smm_ros.runner", "dclaw_hardware", *ARGUMENTS,
            f"run_dir:={self.run_dir}", *arguments,
        ]  # fmt: skip
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def output(self) -> str:
        return self._log.read_text()

    def wait(self, timeout: float = 60) -> int:
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s:\n{self.output}") from None

    def wait_until_it_plays(self) -> None:
        """Wait until transitions have been learnt from."""
        deadline = time.monotonic() + 60
        while not re.search(r"step [1-9]", self.output):
            assert time.monotonic() < deadline, self.output
            assert self.process.poll() is None, self.output
            time.sleep(0.1)

    def pids(self) -> dict[str, int]:
        """Return the process of each node."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            for name in NODES:
                mine = str(self.run_dir / "params" / f"{name}.yaml")
                if mine in words:
                    found[name] = int(folder.name)
        return found

    def clean_up(self) -> None:
        for pid in [*self.pids().values(), *([self.process.pid] if self.running else [])]:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        print(self.output)

    @property
    def running(self) -> bool:
        return self.process.poll() is None


@pytest.fixture
def up(ros_environment, tmp_path):
    """Return a function that runs `smm up` with arguments."""
    runs = []

    def up(*arguments):
        runs.append(Run(tmp_path, *arguments))
        return runs[-1]

    yield up
    for run in runs:
        run.clean_up()


def shared_memory_of(pid: int) -> list[str]:
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return [line for line in maps if "/dev/shm/fastdds" in line]


def test_graph_learns_and_ends_well_after_its_steps(up):
    run = up("total_steps:=120")
    assert run.wait() == 0, run.output
    assert "trainer has finished" in run.output
    assert list((run.run_dir / "checkpoints").iterdir())
    sequences = [record.sequence for record in read_transitions(run.run_dir / "bag")]
    assert sequences == list(range(120))
    assert not run.pids()


def test_node_that_is_killed_ends_the_graph_and_leaves_no_shared_memory(up):
    run = up()
    run.wait_until_it_plays()
    pids = run.pids()
    assert set(pids) == set(NODES)
    assert not [line for pid in pids.values() for line in shared_memory_of(pid)]
    os.kill(pids["hand"], signal.SIGKILL)
    begin = time.monotonic()
    assert run.wait() == 1
    assert time.monotonic() - begin < 4
    assert "hand died: killed by SIGKILL" in run.output
    assert not run.pids()


def test_ctrl_c_ends_everything_within_three_seconds_checkpoint_and_bag_closed(up):
    run = up()
    run.wait_until_it_plays()
    run.process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    assert run.wait() == 0, run.output
    assert time.monotonic() - begin < 3.5
    assert not run.pids()
    assert run.output.index("torque off") < run.output.index("closed")
    assert list((run.run_dir / "checkpoints").iterdir())
    assert (run.run_dir / "bag" / "metadata.yaml").is_file()


def test_nodes_do_not_outlive_a_runner_that_is_killed(up):
    run = up()
    run.wait_until_it_plays()
    os.kill(run.process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 4
    while run.pids():
        assert time.monotonic() < deadline, f"left running: {run.pids()}"
        time.sleep(0.05)


def test_arguments_are_shown_with_description_and_default(capsys):
    assert main(["--show-args", "dclaw_hardware"]) == 0
    shown = capsys.readouterr().out
    assert shown.strip() == describe_arguments("dclaw_hardware")
    for name in ("sim", "real_time_factor", "bag_dir", "log_level"):
        assert f"'{name}':" in shown
    assert "(default: 'dclaw.yaml')" in shown


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["dclaw_hardware", "sm:=true"], "did you mean 'sim'"),
        (["dclaw_hardware", "sim=true"], "write NAME:=VALUE"),
        (["dclaw"], "did you mean 'dclaw_hardware'"),
        (["dclaw_hardware", "--no-watch", "sm:=true"], "did you mean 'sim'"),
    ],
)
def test_what_can_not_be_started_is_one_line_and_status_two(capsys, words, error):
    assert main(words) == 2
    shown = capsys.readouterr().err
    assert error in shown
    assert len(shown.splitlines()) == 1


def test_a_hand_that_is_not_there_ends_the_graph_and_the_twin_is_pointed_to(
    ros_environment, capsys, tmp_path
):
    words = ["dclaw_hardware", "port:=/dev/none", f"run_dir:={tmp_path / 'run'}", "record:=false"]
    assert main(words) == 1
    shown = capsys.readouterr().err
    assert "/dev/none can not be opened" in shown
    assert "sim:=true" in shown
