"""The recorder: every message of the graph into a bag, as it came over the wire."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import Log
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from smm_ros.bag.mcap_file import Topic
from smm_ros.bag.reading import newest_transitions
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.diagnostics import Diagnostics
from smm_ros.interfaces import (
    DIAGNOSTICS,
    DIAGNOSTICS_QOS,
    EPISODES,
    EPISODES_QOS,
    JOINT_COMMAND,
    JOINT_COMMAND_QOS,
    JOINT_STATES,
    JOINT_STATES_QOS,
    MARKS,
    MARKS_QOS,
    POLICY,
    POLICY_QOS,
    RECORDER_NODE,
    TRAINING_STATUS,
    TRAINING_STATUS_QOS,
    TRANSITIONS,
    TRANSITIONS_QOS,
)
from smm_ros.msg import EpisodeSummary, PolicySnapshot, TrainingStatus, Transition
from smm_ros.node_main import NodeError, run
from smm_ros.parameters import declare
from smm_ros.priority import step_back
from smm_ros.recorder_report import recorder_report
from smm_ros.recorder_services import RecorderServices
from smm_ros.recording import RecorderConfig, Recording
from smm_ros.reports import Level
from smm_ros.tape import Message, Tape

_OF_EACH_HAND = (
    (TRANSITIONS, Transition, TRANSITIONS_QOS),
    (EPISODES, EpisodeSummary, EPISODES_QOS),
    (JOINT_STATES, JointState, JOINT_STATES_QOS),
    (JOINT_COMMAND, JointTrajectory, JOINT_COMMAND_QOS),
)
_OF_THE_GRAPH = (
    (POLICY, PolicySnapshot, POLICY_QOS),
    (TRAINING_STATUS, TrainingStatus, TRAINING_STATUS_QOS),
    (DIAGNOSTICS, DiagnosticArray, DIAGNOSTICS_QOS),
)

# A recorder's own queue is deep: what the publishers keep is for readers that follow at once.
_LEAST_DEPTH = 1000


class RecorderNode(Node):
    """Subscribes to the graph's topics and hands the raw bytes to a recording."""

    def __init__(self) -> None:
        """Declare the parameters, subscribe, and start recording."""
        super().__init__(RECORDER_NODE)
        self._config = declare(self, RecorderConfig())
        self._folder = Path(self._config.bag_dir).expanduser().resolve()
        self._uses_sim_time = self.get_parameter("use_sim_time").value
        self._shown_fault = ""
        channels = self._channels()
        self._recording = self._record([*channels, (self._absolute(MARKS), Log, MARKS_QOS)])
        self._served = RecorderServices(self, self._recording, self._config.recording)
        for name, kind, qos in channels:
            self._subscribe(name, kind, qos)
        self._diagnostics = Diagnostics(self, self._report)
        does = "recording" if self._config.recording else "ready to record"
        self.get_logger().info(f"{does} {len(channels)} topics to {self._folder}")

    def close(self) -> None:
        """Write what is waiting and end the bag.

        Raises NodeError when something could not be written, or the bag ends as after a crash.
        """
        fault = self._recording.close()
        if fault:
            raise NodeError(f"the bag is not whole: {fault}")
        tape = self._recording.status().tape
        self.get_logger().info(f"closed {self._folder}, {tape.written} messages added")

    def _record(self, channels: Sequence[tuple[str, type, QoSProfile]]) -> Recording:
        config = self._config
        topics = [_described(name, kind, qos) for name, kind, qos in channels]
        transitions = [name for name, kind, _ in channels if kind is Transition]
        durable = config.sync != "never"
        tape = Tape(
            self._folder,
            partial(BagWriter, self._folder, topics, config.max_file_bytes, durable=durable),
            partial(newest_transitions, self._folder, self._hands()),
            transitions,
            config.recording,
            config.sync,
        )
        return Recording(tape, config.flush_period, config.max_waiting_bytes, transitions)

    def _channels(self) -> list[tuple[str, type, QoSProfile]]:
        """Return absolute name, message type and quality of service of each topic."""
        of_hands = [
            (f"/{hand}/{name}", kind, qos)
            for hand in self._hands()
            for name, kind, qos in _OF_EACH_HAND
        ]
        return of_hands + [(self._absolute(name), *rest) for name, *rest in _OF_THE_GRAPH]

    def _absolute(self, name: str) -> str:
        return str(self.resolve_topic_name(name))

    def _hands(self) -> list[str]:
        return list(dict.fromkeys(hand.strip("/") for hand in self._config.hands))

    def _subscribe(self, name: str, kind: type, qos: QoSProfile) -> None:
        on_message = self._on_episode if kind is EpisodeSummary else self._on_message
        depth = max(qos.depth, _LEAST_DEPTH)
        deep = QoSProfile(depth=depth, reliability=qos.reliability, durability=qos.durability)
        self.create_subscription(kind, name, partial(on_message, name), deep, raw=True)

    def _on_episode(self, topic: str, data: bytes, info: Mapping[str, int]) -> None:
        self._on_message(topic, data, info)
        if self._config.sync == "episode":
            self._recording.sync()

    def _on_message(self, topic: str, data: bytes, info: Mapping[str, int]) -> None:
        received = info["received_timestamp"]
        if self._uses_sim_time:
            received = self.get_clock().now().nanoseconds
        self._recording.put(Message(topic, received, info["source_timestamp"], data))

    def _report(self) -> tuple[Level, str, Mapping[str, Any]]:
        status = self._recording.status()
        level, text, values = recorder_report(status, self._served.is_recording)
        if status.fault != self._shown_fault:
            self._log_change(text if status.fault else "", status.dropped)
            self._shown_fault = status.fault
        return level, text, {"bag": self._folder, **values}

    def _log_change(self, fault: str, dropped: int) -> None:
        if fault:
            self.get_logger().error(f"{fault}. Messages wait in memory, writing is tried again")
        else:
            self.get_logger().warning(f"writing again; {dropped} messages were dropped so far")


def _described(name: str, kind: Any, qos: QoSProfile) -> Topic:
    """Return the topic as the bag shows it, with the quality its publishers offer."""
    package, *_ = kind.__module__.partition(".")
    return installed_topic(
        name,
        f"{package}/msg/{kind.__name__}",
        qos.depth,
        qos.reliability.name.lower(),
        qos.durability.name.lower(),
    )


def main(args: Sequence[str] | None = None) -> int:
    """Record until a signal comes; return the exit status."""
    step_back()
    return run(RecorderNode, args)


if __name__ == "__main__":
    sys.exit(main())
