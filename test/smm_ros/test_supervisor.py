"""The supervisor with small scripts in place of nodes; test_runner has the real ones."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from smm_ros import node_process
from smm_ros.graph import Graph, NodeSpec
from smm_ros.node_process import TAIL_LINES
from smm_ros.supervisor import STOP_TIMEOUT, Supervisor

WAITS = "import time; time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAITS
# Notes when it is asked to end, and ends only a little later.
ORDERLY = """
import signal, sys, time
def leave(*_):
    with open("order", "a") as file:
        file.write(sys.argv[1] + "\\n")
    time.sleep(0.2)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("ready", flush=True)
time.sleep(60)
"""


class Listener:
    """Keeps what the supervisor tells."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.beats = 0

    def show_line(self, node: str, line: str) -> None:
        self.lines.append((node, line))

    def beat(self) -> None:
        self.beats += 1

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *error: object) -> None:
        pass


def make_graph(folder: Path, names: tuple[str, ...]) -> Graph:
    return Graph(
        name="test",
        nodes=tuple(NodeSpec(name, "/test", ends_graph=name == "trainer") for name in names),
        stop_order=(("hand",), ("policy_server", "trainer"), ("recorder",)),
        run_dir=folder,
        log_level="info",
    )


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs nodes given as name=script; outcome, listener and seconds."""
    monkeypatch.chdir(tmp_path)

    def run(environment=None, signal_after=None, **scripts):
        monkeypatch.setattr(
            node_process,
            "command",
            lambda graph, node: [sys.executable, "-c", scripts[node.name], node.name],
        )
        listener = Listener()
        supervisor = Supervisor(make_graph(tmp_path, tuple(scripts)), lambda: listener)
        if signal_after is not None:
            timer = threading.Timer(signal_after, os.kill, (os.getpid(), signal.SIGINT))
            timer.start()
        begin = time.monotonic()
        outcome = supervisor.run(environment)
        return outcome, listener, time.monotonic() - begin

    return run


def test_node_that_dies_ends_the_graph_with_its_name_code_and_last_lines(run):
    dying = "import sys\nfor i in range(100): print('line', i)\nsys.exit(3)"
    outcome, _, seconds = run(hand=WAITS, recorder=dying)
    assert not outcome.ok
    assert outcome.message.startswith("recorder died: exit code 3; its last lines:")
    shown = [line for line in outcome.message.splitlines() if "| line" in line]
    assert shown == [f"  | line {i}" for i in range(100 - TAIL_LINES, 100)]
    assert seconds < STOP_TIMEOUT + 1


def test_node_that_is_killed_is_reported_with_the_signal(run):
    outcome, _, _ = run(hand="import os; os.kill(os.getpid(), 9)", trainer=WAITS)
    assert not outcome.ok
    assert "hand died: killed by SIGKILL" in outcome.message


def test_trainer_that_has_finished_ends_the_graph_well(run):
    outcome, _, _ = run(hand=WAITS, trainer="print('done')")
    assert outcome.ok
    assert "trainer has finished" in outcome.message


def test_any_other_node_has_to_stay(run):
    outcome, _, _ = run(hand="pass", trainer=WAITS)
    assert not outcome.ok
    assert "hand died: exit code 0" in outcome.message


def test_nodes_end_in_order_torque_first_recorder_last(run, tmp_path):
    names = ("recorder", "trainer", "hand", "policy_server")
    outcome, _, seconds = run(signal_after=1.0, **dict.fromkeys(names, ORDERLY))
    assert outcome.ok, outcome.message
    order = (tmp_path / "order").read_text().split()
    assert (order[0], order[-1]) == ("hand", "recorder")
    assert sorted(order) == sorted(names)
    assert seconds < 1.0 + STOP_TIMEOUT


def test_node_that_does_not_end_is_killed_in_time_and_named(run, tmp_path):
    outcome, _, seconds = run(signal_after=1.0, hand=STUBBORN, trainer=ORDERLY, recorder=ORDERLY)
    assert not outcome.ok
    assert "hand did not end in time and was killed" in outcome.message
    assert seconds < 1.0 + STOP_TIMEOUT + 0.2
    assert (tmp_path / "order").read_text().split() == ["trainer", "recorder"]


def test_node_that_ends_badly_when_asked_is_reported(run):
    script = ORDERLY.replace("sys.exit(0)", "sys.exit('the bag was not closed')")
    outcome, _, _ = run(signal_after=1.0, hand=ORDERLY, recorder=script)
    assert not outcome.ok
    assert "recorder died: exit code 1" in outcome.message
    assert "the bag was not closed" in outcome.message


def test_lines_are_passed_on_with_the_name_and_logged(run, tmp_path):
    script = "import sys\nprint('one\\r')\nprint('two', file=sys.stderr)\nprint('end', end='')"
    _, listener, _ = run(trainer=script)
    assert [node for node, _ in listener.lines] == ["trainer"] * 3
    assert {line for _, line in listener.lines} == {"one", "two", "end"}
    assert "two" in (tmp_path / "log" / "trainer.log").read_text()


def test_environment_of_the_graph_gives_way_to_the_users(run):
    name = "ROS_AUTOMATIC_DISCOVERY_RANGE"
    script = f"import os; print(os.environ['{name}'])"
    for given, expected in (({}, "SYSTEM_DEFAULT"), ({name: "OFF"}, "OFF")):
        _, listener, _ = run(environment=given, trainer=script)
        assert listener.lines == [("trainer", expected)]


def test_nodes_do_not_outlive_a_supervisor_that_is_killed(tmp_path):
    script = textwrap.dedent(
        f"""
        import sys
        from contextlib import nullcontext
        from pathlib import Path
        from smm_ros import node_process
        from smm_ros.graph import Graph, NodeSpec
        from smm_ros.supervisor import Supervisor

        class Printer:
            def show_line(self, node, line): print(line, flush=True)
            def beat(self): pass

        node_process.command = lambda graph, node: [
            sys.executable, "-c",
            "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
        ]
        nodes = (NodeSpec("hand", "/test"), NodeSpec("trainer", "/test"))
        graph = Graph("test", nodes, (("hand", "trainer"),), Path({str(tmp_path)!r}), "info")
        Supervisor(graph, lambda: nullcontext(Printer())).run()
        """
    )
    supervisor = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    )
    assert supervisor.stdout is not None
    pids = [int(supervisor.stdout.readline()) for _ in range(2)]
    supervisor.kill()
    supervisor.wait()
    supervisor.stdout.close()
    deadline = time.monotonic() + 3
    while any(map(is_alive, pids)):
        assert time.monotonic() < deadline, f"some of {pids} are still running"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
