"""The launch file on a ROS installation; `smm up`, which is tested everywhere, is its twin."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

WHERE = "is part of a ROS installation and not on PyPI"
launch_pytest = pytest.importorskip("launch_pytest", reason=f"launch_pytest {WHERE}")
pytest.importorskip("launch_ros", reason=f"launch_ros {WHERE}")

from launch import LaunchDescription, LaunchService  # noqa: E402
from launch.actions import IncludeLaunchDescription, RegisterEventHandler  # noqa: E402
from launch.event_handlers import OnProcessExit  # noqa: E402
from launch.launch_description_sources import PythonLaunchDescriptionSource  # noqa: E402
from launch_pytest.actions import ReadyToTest  # noqa: E402

from smm_ros.graph import arguments  # noqa: E402

LAUNCH_FILE = Path(__file__).parents[2] / "launch" / "dclaw_hardware.launch.py"
NODES = ("recorder", "trainer", "hand", "policy_server")


def include(**values: str) -> IncludeLaunchDescription:
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(LAUNCH_FILE)), launch_arguments=values.items()
    )


def run_launch(run_dir: Path, log: Path, **values: str) -> subprocess.Popen[bytes]:
    """Start the launch file in a process of its own, as `ros2 launch` does."""
    words = {"run_dir": str(run_dir), **values}
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import test_dclaw_hardware_launch as tests\n"
        f"sys.exit(tests.serve({words!r}))"
    )
    with log.open("w") as output:
        return subprocess.Popen(
            [sys.executable, "-c", script, str(Path(__file__).parent)],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def serve(values: dict[str, str]) -> int:
    service = LaunchService()
    service.include_launch_description(LaunchDescription([include(**values)]))
    return service.run()


def pids(run_dir: Path) -> dict[str, int]:
    """Return the nodes' processes by their parameter files."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        for name in NODES:
            if str(run_dir / "params" / f"{name}.yaml") in words:
                found[name] = int(folder.name)
    return found


def wait_for(condition, timeout: float, log: Path) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


EXITS: dict[str, int] = {}


@launch_pytest.fixture
def dclaw(ros_domain, tmp_path):
    """Launch a short run and note how each node ends."""
    EXITS.clear()
    note = RegisterEventHandler(
        OnProcessExit(
            on_exit=lambda event, context: EXITS.update({event.process_name: event.returncode})
        )
    )
    graph = include(
        sim="true", real_time_factor="0", total_steps="60", run_dir=str(tmp_path / "run")
    )
    return LaunchDescription([note, graph, ReadyToTest()])


@pytest.mark.launch(fixture=dclaw)
def test_every_node_ends_well_once_the_trainer_is_done(dclaw, tmp_path):
    deadline = time.monotonic() + 60
    while len(EXITS) < len(NODES):
        assert time.monotonic() < deadline, EXITS
        time.sleep(0.1)
    assert {name.rpartition("-")[0] for name in EXITS} == set(NODES)
    assert set(EXITS.values()) == {0}
    assert list((tmp_path / "run" / "checkpoints").iterdir())


def test_arguments_are_those_of_the_graph_with_their_descriptions():
    source = PythonLaunchDescriptionSource(str(LAUNCH_FILE))
    service = LaunchService()
    declared = source.get_launch_description(service.context).get_launch_arguments()
    shown = {argument.name: argument.description for argument in declared}
    assert shown == {a.name: a.description for a in arguments("dclaw_hardware")}


def test_node_that_dies_ends_the_launch_with_its_name_signal_and_status_one(ros_domain, tmp_path):
    run_dir, log = tmp_path / "run", tmp_path / "launch.log"
    launch = run_launch(run_dir, log, sim="true", real_time_factor="0")
    try:
        wait_for(lambda: (run_dir / "dclaw.sequence").exists(), 60, log)
        os.kill(pids(run_dir)["hand"], signal.SIGKILL)
        begin = time.monotonic()
        assert launch.wait(10) == 1
        assert time.monotonic() - begin < 5
    finally:
        for pid in pids(run_dir).values():
            os.kill(pid, signal.SIGKILL)
        launch.kill()
        launch.wait()
    assert "hand died: killed by SIGKILL; its last lines" in log.read_text()


def test_hand_without_a_driver_is_an_error_that_names_the_twin(ros_domain, tmp_path):
    log = tmp_path / "launch.log"
    assert run_launch(tmp_path / "run", log).wait(30) == 1
    assert "sim:=true" in log.read_text()
