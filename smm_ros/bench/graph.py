"""The ROS graph: how soon a state is answered, and its updates against the in-process loop's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor

from smm_core.options import read_yaml
from smm_core.train import TrainConfig
from smm_ros.bench.comparison import Aim, Comparison, Contestant, Line, Setting
from smm_ros.bench.player import RANDOM_STEPS, WARM_UP, Player, seconds
from smm_ros.conversions import status_from_msg
from smm_ros.dclaw import ENV_ID
from smm_ros.guest import Guest
from smm_ros.hand_report import ANSWER_LONGEST, ANSWER_MEDIAN, ANSWER_P99
from smm_ros.interfaces import (
    DIAGNOSTICS,
    DIAGNOSTICS_QOS,
    HAND_NODE,
    TRAINING_STATUS,
    TRAINING_STATUS_QOS,
)
from smm_ros.msg import TrainingStatus
from smm_ros.parameter_file import put_setting, read_parameter_file
from smm_ros.ros_environment import missing_variables
from smm_ros.share import share_path

DOMAIN = "78"
"""Of DDS, where these graphs meet no other."""
PATIENCE = 90.0
"""Time after which a graph that does not come to what it is started for is given up, s."""
SPEED, LATENCY = "one update a step, as fast as it goes", "from a state to its command"
IN_PROCESS, GRAPH = "in process", "in the graph"
FACTOR = 5.0
"""Simulated seconds per second: 50 states/s, so that a p99 takes seconds and not minutes."""
BUSY = {"learner.updates_per_step": 100.0, "window": 100_000}
"""The trainer owes ever more updates and the hand never waits for it."""
IDLE = {"learner.updates_per_step": 0.0, "window": 100_000}
LOADS: dict[str, dict[str, Any]] = {"trainer idle": IDLE, "trainer at full load": BUSY}


@contextmanager
def _prepare(setting: Setting) -> Iterator[list[Contestant]]:
    with ExitStack() as stack:
        stack.enter_context(_variables())
        player = Player(ENV_ID, _settings(), [0])
        stack.callback(player.close)
        player.warm_up()
        steps = setting.pick(500, 200)
        contestants = [
            Contestant((_speed(IN_PROCESS),), partial(_in_process, player, steps)),
            Contestant((_speed(GRAPH, Aim(0.9)),), partial(_graph_speed, steps)),
        ]
        for load, parameters in LOADS.items():
            lines = _latency_lines(load, is_base=load == next(iter(LOADS)))
            turn = partial(_latency, parameters, setting.pick(12.0, 6.0))
            contestants.append(Contestant(lines, turn))
        yield contestants


def _settings() -> dict[str, Any]:
    """Return the learner's settings of the graph, which are those of train_dclaw.yaml."""
    found: dict[str, Any] = read_yaml(share_path("config", "train_dclaw.yaml"))["learner"]
    return found


def _speed(name: str, aim: Aim | None = None) -> Line:
    return Line(name, "updates/s", IN_PROCESS, SPEED, aim)


def _latency_lines(load: str, is_base: bool) -> tuple[Line, ...]:
    aim = None if is_base else Aim(5.0, is_most=True, of_ratio=False)
    idle = next(iter(LOADS))
    names = {"p50": None, "p99": aim, "longest": None}
    return tuple(
        Line(f"{name}, {load}", "ms", f"{name}, {idle}", LATENCY, own)
        for name, own in names.items()
    )


def _in_process(player: Player, steps: int) -> Sequence[float]:
    """Return updates/s of the in-process loop, with as many threads as `smm train` takes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(TrainConfig().threads)
    try:
        return [steps / seconds(lambda: player.play(steps))]
    finally:
        torch.set_num_threads(threads)


def _graph_speed(steps: int) -> Sequence[float]:
    """Return updates/s of the graph between the first updates and the end."""
    first = WARM_UP
    with RunningGraph(0.0, {"total_steps": RANDOM_STEPS + first + steps}) as graph:
        graph.wait(lambda: graph.updates >= first, "its first updates")
        begin, before = time.perf_counter(), graph.updates
        graph.wait(lambda: graph.updates >= first + steps - 1, "its last updates")
        return [(graph.updates - before) / (time.perf_counter() - begin)]


def _latency(parameters: dict[str, Any], duration: float) -> Sequence[float]:
    """Return p50, p99 and the longest time in which states are answered, ms."""
    with RunningGraph(FACTOR, parameters) as graph:
        # The first policies and answers are slow: they are not of the window that is told.
        graph.wait(lambda: graph.version > 0, "its first policy")
        graph.listen(2.0 + duration)
        answers = graph.answers
        names = (ANSWER_MEDIAN, ANSWER_P99, ANSWER_LONGEST)
        return [float(answers[name]) * 1e3 for name in names]


class RunningGraph:
    """`smm up` of the simulated hand, bag and all, in a temporary folder, and what it tells."""

    def __init__(self, factor: float, parameters: dict[str, Any]) -> None:
        """Start it with some of the trainer's parameters; `factor` is its real_time_factor."""
        self.updates = self.version = 0
        self.answers: dict[str, str] = {}
        self._stack = ExitStack()
        try:
            self._start(factor, parameters)
        except BaseException:
            self._stack.close()
            raise

    def _start(self, factor: float, parameters: dict[str, Any]) -> None:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="smm_bench_")))
        config = folder / "graph.yaml"
        config.write_text(yaml.safe_dump(_parameter_file(parameters)))
        namespace = f"bench_{os.getpid()}"
        command = [
            sys.executable, "-m", "smm_ros.cli", "up", "dclaw_hardware", "sim:=true", "--no-watch",
            f"real_time_factor:={factor}", f"namespace:={namespace}", f"config:={config}",
            f"run_dir:={folder / 'run'}",
        ]  # fmt: skip
        self._log = self._stack.enter_context((folder / "log").open("w+"))
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for this process, which then ends that one
        )
        self._stack.callback(self._end)
        self._hand = f"{namespace}: {HAND_NODE}"
        self._node = Guest("bench", f"/{namespace}")
        self._stack.callback(self._node.destroy_node)
        self._node.create_subscription(
            TrainingStatus, TRAINING_STATUS, self._on_status, TRAINING_STATUS_QOS
        )
        self._node.create_subscription(
            DiagnosticArray, DIAGNOSTICS, self._on_diagnostics, DIAGNOSTICS_QOS
        )
        self._executor = SingleThreadedExecutor(context=self._node.context)
        self._executor.add_node(self._node)
        self._stack.callback(self._executor.shutdown)

    def __enter__(self) -> RunningGraph:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Listen until the condition holds; raises RuntimeError where the graph fails."""
        end = time.monotonic() + PATIENCE
        while not condition():
            if self._process.poll() is not None or time.monotonic() > end:
                self._log.seek(0)
                raise RuntimeError(f"the graph did not come to {what}:\n{self._log.read()}")
            self._executor.spin_once(timeout_sec=0.1)

    def listen(self, duration: float) -> None:
        """Take in what it tells for a while, s."""
        end = time.monotonic() + duration
        self.wait(lambda: time.monotonic() >= end and bool(self.answers), "tell of its answers")

    def _end(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def _on_status(self, message: TrainingStatus) -> None:
        status = status_from_msg(message)
        self.updates, self.version = status.updates, status.policy_version

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == self._hand:
                self.answers = {pair.key: pair.value for pair in status.values}


def _parameter_file(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the graph's own parameters with some of the trainer's changed."""
    nodes = ("hand", "policy_server", "trainer", "recorder")
    settings = read_parameter_file(share_path("config", "dclaw.yaml"), nodes)
    trainer = settings["trainer"]
    for name, value in {"learner.random_steps": RANDOM_STEPS, **parameters}.items():
        put_setting(trainer, name, value)
    return {f"/**/{node}": {"ros__parameters": own} for node, own in settings.items()}


@contextmanager
def _variables() -> Iterator[None]:
    """Set what the graphs and this process need to find each other, and no one else."""
    before = dict(os.environ)
    os.environ["ROS_DOMAIN_ID"] = DOMAIN
    os.environ.update(missing_variables(os.environ))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


COMPARISON = Comparison(
    "graph",
    "the ROS graph of the simulated hand (hand, policy server, trainer, recorder) with the "
    "settings of config/dclaw.yaml: its updates against those of smm train's loop, and the time "
    "from a state's showing to its command's coming, at 50 states/s",
    _prepare,
    turns=5,
    quick_turns=1,
)
