"""The recorder: every message of the graph into a bag, as it came over the wire."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from smm_ros.bag.reading import next_sequences
from smm_ros.bag.mcap_file import BagError, Topic
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
from smm_ros.recording import RecorderConfig, Recording, SequenceMeter
from smm_ros.reports import Level
from smm_ros.transition_wire import peek_transition

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
        self._sequences = SequenceMeter(self._recorded())
        self._shown_fault = ""
        channels = self._channels()
        topics = [_described(name, kind, qos) for name, kind, qos in channels]
        self._recording = Recording(
            partial(BagWriter, self._folder, topics, self._config.max_file_bytes),
            self._config.flush_period,
            self._config.max_waiting_bytes,
        )
        for name, kind, qos in channels:
            self._subscribe(name, kind, qos)
        self._diagnostics = Diagnostics(self, self._report)
        self.get_logger().info(f"recording {len(channels)} topics to {self._folder}")

    def close(self) -> None:
        """Write what is waiting and end the bag.

        Raises NodeError when that fails: the bag then ends as after a crash.
        """
        fault = self._recording.close()
        if fault:
            raise NodeError(f"the bag was not closed: {fault}")
        status = self._recording.status()
        self.get_logger().info(f"closed {self._folder}, {status.written} messages added")

    def _channels(self) -> list[tuple[str, type, QoSProfile]]:
        """Return absolute name, message type and quality of service of each topic."""
        of_hands = [
            (f"/{hand}/{name}", kind, qos)
            for hand in self._hands()
            for name, kind, qos in _OF_EACH_HAND
        ]
        of_graph = [
            (self.resolve_topic_name(name), kind, qos) for name, kind, qos in _OF_THE_GRAPH
        ]
        return of_hands + of_graph

    def _recorded(self) -> dict[str, int]:
        """Return the next transition of each hand that a bag to be continued has some of."""
        try:
            return next_sequences(self._folder, self._hands())
        except BagError as error:
            self.get_logger().warning(f"may record transitions twice: {error}")
            return {}

    def _hands(self) -> list[str]:
        return list(dict.fromkeys(hand.strip("/") for hand in self._config.hands))

    def _subscribe(self, name: str, kind: type, qos: QoSProfile) -> None:
        on_message = self._on_transition if kind is Transition else self._on_message
        depth = max(qos.depth, _LEAST_DEPTH)
        deep = QoSProfile(depth=depth, reliability=qos.reliability, durability=qos.durability)
        self.create_subscription(kind, name, partial(on_message, name), deep, raw=True)

    def _on_transition(self, topic: str, data: bytes, info: Mapping[str, int]) -> None:
        # One that was found late, or started again, is sent what it has missed and what it has.
        if self._sequences.mark(*peek_transition(data)):
            self._on_message(topic, data, info)

    def _on_message(self, topic: str, data: bytes, info: Mapping[str, int]) -> None:
        if self._uses_sim_time:
            now = self.get_clock().now().nanoseconds
            self._recording.put(topic, now, now, data)
        else:
            received, sent = info["received_timestamp"], info["source_timestamp"]
            self._recording.put(topic, received, sent, data)

    def _report(self) -> tuple[Level, str, Mapping[str, Any]]:
        status = self._recording.status()
        self._log_change(status.fault, status.dropped)
        values: dict[str, Any] = {
            "bag": self._folder,
            "received": status.received,
            "written": status.written,
            "dropped": status.dropped,
            "written_bytes": status.written_bytes,
            "waiting_bytes": status.waiting_bytes,
        }
        for hand in self._sequences.received:
            values[f"{hand}/transitions"] = self._sequences.received[hand]
            values[f"{hand}/gaps"] = self._sequences.missing[hand]
        for hand, repeated in self._sequences.repeated.items():
            values[f"{hand}/transitions recorded before"] = repeated
        missing = self._sequences.missing.total()
        if status.fault:
            return Level.ERROR, status.fault, values
        if status.dropped or missing:
            message = f"{status.dropped} messages dropped, {missing} transitions never arrived"
            return Level.WARN, message, values
        if status.notes:
            return Level.WARN, "; ".join(status.notes), values
        return Level.OK, "recording", values

    def _log_change(self, fault: str, dropped: int) -> None:
        if fault == self._shown_fault:
            return
        if fault:
            self.get_logger().error(f"{fault}. Messages wait in memory, writing is tried again")
        else:
            self.get_logger().warning(f"writing again; {dropped} messages were dropped so far")
        self._shown_fault = fault


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
    return run(RecorderNode, args)


if __name__ == "__main__":
    sys.exit(main())
