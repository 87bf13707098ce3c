"""Real processes under test: start a node, talk to it over ROS, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import rclpy
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from smm_ros.action import ResetHand
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.conversions import reset_goal, reset_outcome_from_msg, stamp_ns, target_to_msg
from smm_ros.dclaw.spec import RESET_POSE
from smm_ros.interfaces import (
    DIAGNOSTICS,
    JOINT_COMMAND,
    JOINT_COMMAND_QOS,
    JOINT_STATES,
    JOINT_STATES_QOS,
    RESET_HAND,
)
from smm_ros.records import JointTarget, TransitionRecord
from smm_ros.ros_environment import missing_variables
from smm_ros.transition_wire import serialize_transition

NAMESPACE = "dclaw"
PATIENCE = 60.0
"""Time after which a test no longer waits, s; a busy machine may take ten to start a node."""


class NodeProcess:
    """One node as a process of its own, its output in a file."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.log = log
        self._file = log.open("ab")
        self.process = subprocess.Popen(
            command, stdout=self._file, stderr=subprocess.STDOUT, start_new_session=True
        )

    @property
    def output(self) -> str:
        """Everything it has printed so far."""
        return self.log.read_text(errors="replace")

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def terminate(self, timeout: float = PATIENCE) -> int:
        """Ask it to end with SIGTERM; return its exit status (minus the signal if killed)."""
        self.process.terminate()
        return self.wait(timeout)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()
        self.process.wait()

    def wait(self, timeout: float = PATIENCE) -> int:
        """Return its exit status once it has ended; fails after the timeout, in s."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s:\n{self.output}") from None

    def clean_up(self) -> None:
        if self.running:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._file.close()
        print(f"--- {self.log.name}\n{self.output}")


class RosClient:
    """A node in the test itself; everything that waits spins it and fails after a timeout in s."""

    def __init__(self) -> None:
        self.context = Context()
        rclpy.init(args=[], context=self.context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = Node("test_client", namespace=NAMESPACE, context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self._clients: dict[str, Any] = {}

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()

    def spin(self, seconds: float) -> None:
        """Take in what arrives for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.executor.spin_once(timeout_sec=left)

    def wait_for(
        self, condition: Callable[[], Any], timeout: float = PATIENCE, what: str = ""
    ) -> Any:
        """Spin until the condition is true; return what it returned."""
        end = time.monotonic() + timeout
        while not (value := condition()):
            assert time.monotonic() < end, f"waited {timeout} s in vain for {what or condition}"
            self.executor.spin_once(timeout_sec=0.05)
        return value

    def result(self, future: Future, timeout: float = PATIENCE) -> Any:
        """Return what the future comes to."""
        self.wait_for(future.done, timeout, "the answer")
        return future.result()

    def collect(self, message_type: type, topic: str, qos: QoSProfile | int = 10) -> list[Any]:
        """Return a list that fills with what arrives on the topic."""
        messages: list[Any] = []
        self.node.create_subscription(message_type, topic, messages.append, qos)
        return messages

    def call(
        self, service_type: type, name: str, request: Any = None, timeout: float = PATIENCE
    ) -> Any:
        """Return the answer of a service, once it is there."""
        if name not in self._clients:
            client = self.node.create_client(service_type, name)
            self.wait_for(client.service_is_ready, timeout, f"service {name}")
            self._clients[name] = self._settled(client)
        future = self._clients[name].call_async(request or service_type.Request())
        return self.result(future, timeout)

    def send_goal(
        self, action_type: type, name: str, goal: Any, feedback: list[Any] | None = None
    ) -> Any:
        """Return the handle of a goal, accepted or not; feedback is added to the list."""
        if name not in self._clients:
            client = ActionClient(self.node, action_type, name)
            self.wait_for(client.server_is_ready, what=f"action {name}")
            self._clients[name] = self._settled(client)
        note = None if feedback is None else lambda message: feedback.append(message.feedback)
        return self.result(self._clients[name].send_goal_async(goal, feedback_callback=note))

    def _settled(self, client: Any) -> Any:
        # This side knows the server; an answer sent before the server knows this side is lost.
        self.spin(0.2)
        return client


class Report(NamedTuple):
    """What a node said on /diagnostics."""

    level: int
    message: str
    values: dict[str, str]


class Reports:
    """Hears /diagnostics."""

    def __init__(self, ros: RosClient) -> None:
        self._ros = ros
        self._arrays = ros.collect(DiagnosticArray, "/diagnostics")

    def of(self, node: str) -> list[Report]:
        """Return all that a node of the hand has said so far."""
        statuses = (status for array in self._arrays for status in array.status)
        return [
            Report(s.level[0], s.message, {pair.key: pair.value for pair in s.values})
            for s in statuses
            if s.name == f"{NAMESPACE}: {node}"
        ]

    def wait_for(
        self, node: str, condition: Callable[[Report], Any], timeout: float = PATIENCE
    ) -> Report:
        """Return the first report of a node, from now on, that meets the condition."""
        seen = len(self.of(node))

        def found() -> Report | None:
            return next((r for r in self.of(node)[seen:] if condition(r)), None)

        try:
            return self._ros.wait_for(found, timeout, f"a report of {node}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it said {self.of(node)[-1:]}") from None


@pytest.fixture
def make_record() -> Callable[..., TransitionRecord]:
    """Return a function that makes the transition of a sequence number; fields are as given."""
    return _record


def _record(
    sequence: int, obs_size: int = 12, action_size: int = 9, **fields: Any
) -> TransitionRecord:
    rng = np.random.default_rng(sequence)
    numbers = {"stamp_ns": sequence, "sequence": sequence, "step": sequence}
    numbers |= dict.fromkeys(("episode", "skill", "policy_version"), 0)
    values = {
        "hand": NAMESPACE,
        "observation": rng.normal(size=obs_size).astype(np.float32),
        "action": rng.uniform(-1, 1, action_size).astype(np.float32),
        "next_observation": rng.normal(size=obs_size).astype(np.float32),
        "log_p_shaping": -0.1,
        **dict.fromkeys(("terminated", "truncated"), False),
    }
    return TransitionRecord(**values | numbers | fields)


@pytest.fixture
def ros_environment(ros_domain: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> int:
    """Give the test and what it starts a domain of their own, and nothing that outlives them."""
    monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE")
    for name, value in missing_variables(os.environ).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "ros_log"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return ros_domain


@pytest.fixture
def ros(ros_environment: int) -> Iterator[RosClient]:
    """Return a node in the test itself, in the hand's namespace."""
    client = RosClient()
    yield client
    client.close()


@pytest.fixture
def reports(ros: RosClient) -> Reports:
    """Return what the nodes say on /diagnostics."""
    return Reports(ros)


class HandUser:
    """Sends commands and sees what the hand answers."""

    def __init__(self, ros: Any, process: Any) -> None:
        self.ros, self.process = ros, process
        self.states = ros.collect(JointState, JOINT_STATES, JOINT_STATES_QOS)
        self.diagnostics = ros.collect(DiagnosticArray, DIAGNOSTICS)
        self._commands = ros.node.create_publisher(
            JointTrajectory, JOINT_COMMAND, JOINT_COMMAND_QOS
        )

    @property
    def stamp_ns(self) -> int:
        return stamp_ns(self.states[-1])

    def wait(self) -> None:
        """Wait until the hand speaks and listens."""
        self.ros.wait_for(lambda: self.states, what="joint states")
        self.ros.wait_for(self._commands.get_subscription_count, what="the command topic")

    def reset(self, angle: float = 0.0, feedback: list[Any] | None = None) -> Any:
        """Reset, see the state that the result names, and return the result."""
        handle = self.ros.send_goal(ResetHand, RESET_HAND, reset_goal(angle), feedback)
        assert handle.accepted
        outcome = reset_outcome_from_msg(self.ros.result(handle.get_result_async()).result)
        if outcome.success:
            self.ros.wait_for(lambda: self.stamp_ns == outcome.stamp_ns, what="the reset state")
        return outcome

    def command(self, target: Any = RESET_POSE, stamp: int | None = None) -> None:
        stamp = self.stamp_ns if stamp is None else stamp
        self._commands.publish(target_to_msg(JointTarget(stamp, np.broadcast_to(target, 9))))

    def step(self, target: Any = RESET_POSE) -> None:
        """Command and wait for the next state."""
        seen = len(self.states)
        self.command(target)
        self.ros.wait_for(lambda: len(self.states) > seen, what="the next state")

    def report(self, key: str, expected: str) -> None:
        """Wait until /diagnostics shows the value."""

        def shown() -> bool:
            values = [v for message in self.diagnostics[-1:] for v in message.status[0].values]
            return any(v.key == key and v.value == expected for v in values)

        self.ros.wait_for(shown, what=f"{key} = {expected} on /diagnostics")


@pytest.fixture
def use_hand(ros: RosClient, start_node: Callable[..., NodeProcess]) -> Callable[..., HandUser]:
    """Return a function that starts a hand with parameters, or takes one, and returns its user."""

    def use(process: NodeProcess | None = None, **parameters: Any) -> HandUser:
        user = HandUser(ros, process or start_node("hand", **parameters))
        user.wait()
        return user

    return use


@pytest.fixture
def start_node(ros_environment: int, tmp_path: Path) -> Iterator[Callable[..., NodeProcess]]:
    """Return a function that starts `smm_ros.<executable>_node` with parameters as a process.

    The same executable may be started again, as after a crash; its output goes on in one file.
    """
    started: list[NodeProcess] = []

    def start(executable: str, **parameters: Any) -> NodeProcess:
        file = tmp_path / f"{executable}_{len(started)}.yaml"
        file.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
        command = [
            sys.executable, "-m", f"smm_ros.{executable}_node", "--ros-args",
            "-r", f"__ns:=/{NAMESPACE}", "-r", f"__node:={executable}",
            "--params-file", str(file),
        ]  # fmt: skip
        process = NodeProcess(command, tmp_path / f"{executable}.log")
        started.append(process)
        return process

    yield start
    for process in started:
        process.clean_up()


@pytest.fixture
def bag_of(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes transitions into a bag of a name and returns its folder."""

    def write(name: str, records: Sequence[TransitionRecord]) -> Path:
        names = {record.hand: f"/{record.hand}/transitions" for record in records}
        topics = [installed_topic(topic, "smm_ros/msg/Transition") for topic in names.values()]
        with closing(BagWriter(tmp_path / name, topics)) as writer:
            for number, record in enumerate(records):
                writer.write(names[record.hand], number, serialize_transition(record))
        return tmp_path / name

    return write
