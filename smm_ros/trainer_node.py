"""The trainer as a node: transitions in, policies and training status out."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.event_handler import PublisherEventCallbacks, QoSPublisherMatchedInfo
from rclpy.node import Node

from smm_core.checkpoint import CheckpointError
from smm_core.history import Snapshot, checksum
from smm_core.transitions import Layout
from smm_ros.bag import BagError
from smm_ros.conversions import policy_to_msg, status_to_msg, transition_from_msg
from smm_ros.dclaw.spec import NUM_JOINTS
from smm_ros.dclaw.task import OBS_NAMES
from smm_ros.diagnostics import Diagnostics
from smm_ros.interfaces import (
    POLICY,
    POLICY_QOS,
    TRAINER_NODE,
    TRAINING_STATUS,
    TRAINING_STATUS_QOS,
    TRANSITIONS,
    TRANSITIONS_QOS,
)
from smm_ros.learning_thread import LearningThread, TrainerConfig
from smm_ros.msg import PolicySnapshot, TrainingStatus, Transition
from smm_ros.node_main import NodeDone, run
from smm_ros.parameters import declare
from smm_ros.records import PolicyRecord, StatusRecord
from smm_ros.reports import Level

STATUS_PERIOD = 0.1
"""Time between two training status messages at least, s of wall time."""
RATE_WINDOW = 50
"""Status messages over which rates are taken."""


class TrainerNode(Node):
    """Feeds the learning thread and speaks for it."""

    def __init__(self) -> None:
        """Declare parameters and interfaces and start learning."""
        super().__init__(TRAINER_NODE)
        self._config = declare(self, TrainerConfig())
        self._rates: deque[tuple[float, int, int]] = deque(maxlen=RATE_WINDOW)
        layout = Layout(len(OBS_NAMES), NUM_JOINTS, self._config.learner.num_skills)
        self._thread = LearningThread(
            self._config, layout, self._publish_policy, self._publish_status
        )
        self._policies = self.create_publisher(
            PolicySnapshot,
            POLICY,
            POLICY_QOS,
            event_callbacks=PublisherEventCallbacks(matched=self._on_policy_matched),
        )
        self._statuses = self.create_publisher(
            TrainingStatus, TRAINING_STATUS, TRAINING_STATUS_QOS
        )
        for hand in self._config.hands:
            topic = f"{hand}/{TRANSITIONS}"
            self.create_subscription(Transition, topic, self._on_transition, TRANSITIONS_QOS)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(STATUS_PERIOD, self._on_beat, clock=steady)
        self._diagnostics = Diagnostics(self, self._report)
        self._thread.start()

    def close(self) -> None:
        """Stop learning and save, on every way out of the process."""
        self._thread.stop()
        self.get_logger().info(f"checkpoint: {self._thread.progress.checkpoint or 'none'}")

    def _on_transition(self, message: Transition) -> None:
        self._thread.put(transition_from_msg(message))

    def _on_beat(self) -> None:
        if self._thread.error is not None:
            raise self._thread.error
        self._publish_status()
        if self._thread.progress.done:
            self.get_logger().info(f"done after {self._thread.progress.steps} transitions")
            raise NodeDone

    def _on_policy_matched(self, info: QoSPublisherMatchedInfo) -> None:
        """Give a late subscriber all kept policies, also those that left the topic's history."""
        if info.current_count_change > 0:
            for snapshot in self._thread.kept:
                self._publish_policy(snapshot)

    def _publish_policy(self, snapshot: Snapshot) -> None:
        """Publish one policy with the history's weights; called in both threads."""
        data, weights = snapshot.to_bytes(), self._thread.kept_weights
        skills = snapshot.layout.num_skills
        record = PolicyRecord(
            stamp_ns=self.get_clock().now().nanoseconds,
            version=snapshot.version,
            sha256=checksum(data),
            observation_size=snapshot.layout.obs_size,
            action_size=snapshot.layout.action_size,
            num_skills=skills,
            trained_steps=self._thread.learner.steps,
            history_versions=tuple(weights),
            history_weights=tuple(weights.values()),
            skill_prior=(1.0 / skills,) * skills,
            weights=data,
        )
        self._policies.publish(policy_to_msg(record))

    def _publish_status(self) -> None:
        """Publish the progress; called in both threads."""
        progress = self._thread.progress
        self._rates.append((time.monotonic(), progress.steps, progress.updates))
        steps_per_second, updates_per_second = self._measured_rates()
        record = StatusRecord(
            stamp_ns=self.get_clock().now().nanoseconds,
            steps=progress.steps,
            updates=progress.updates,
            total_steps=self._config.total_steps,
            steps_per_second=steps_per_second,
            updates_per_second=updates_per_second,
            policy_version=progress.policy_version,
            replay_size=progress.replay_size,
            replay_capacity=self._config.learner.replay_capacity,
            hands=progress.hands,
            metrics=dict(self._thread.metrics),
            checkpoint=progress.checkpoint,
            done=progress.done,
        )
        self._statuses.publish(status_to_msg(record))

    def _measured_rates(self) -> tuple[float, float]:
        (begin, steps, updates), (end, last_steps, last_updates) = self._rates[0], self._rates[-1]
        elapsed = end - begin
        if elapsed <= 0:
            return 0.0, 0.0
        return (last_steps - steps) / elapsed, (last_updates - updates) / elapsed

    def _report(self) -> tuple[Level, str, Mapping[str, Any]]:
        progress = self._thread.progress
        gaps = sum(hand.gaps for hand in progress.hands)
        values = {
            "steps": progress.steps,
            "updates": progress.updates,
            "policy version": progress.policy_version,
            "replay": progress.replay_size,
            "transitions lost": gaps,
            "checkpoint": progress.checkpoint,
            **self._thread.metrics,
        }
        if not progress.hands:
            return Level.OK, "restoring", values
        if gaps:
            return Level.WARN, f"{gaps} transitions were lost on the way", values
        return Level.OK, "learning", values


def main(args: Sequence[str] | None = None) -> int:
    """Run the trainer until a signal or its last step; return the exit status."""
    return run(TrainerNode, args, expected=(CheckpointError, BagError))


if __name__ == "__main__":
    sys.exit(main())
