"""The trainer as a node: transitions in, policies and training status out."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.event_handler import PublisherEventCallbacks, QoSPublisherMatchedInfo
from rclpy.node import Node

from smm_core.checkpoint import CheckpointError
from smm_core.history import Snapshot, checksum
from smm_core.transitions import Layout
from smm_ros.bag.reading import BagError
from smm_ros.conversions import policy_to_msg, reporters, status_to_msg, transition_from_msg
from smm_ros.dclaw.spec import NUM_JOINTS
from smm_ros.dclaw.task import OBS_NAMES
from smm_ros.diagnostics import Diagnostics
from smm_ros.interfaces import (
    DIAGNOSTICS,
    DIAGNOSTICS_QOS,
    POLICY,
    RECORDER_NODE,
    TRAINER_NODE,
    TRAINING_STATUS,
    TRAINING_STATUS_QOS,
    TRANSITIONS,
    TRANSITIONS_QOS,
    policy_qos,
)
from smm_ros.learning_thread import LearningThread, Progress
from smm_ros.msg import PolicySnapshot, TrainingStatus, Transition
from smm_ros.node_main import NodeDone, NodeError, run
from smm_ros.parameters import declare
from smm_ros.priority import step_back
from smm_ros.records import PolicyRecord, StatusRecord
from smm_ros.reports import Level
from smm_ros.trainer_config import TrainerConfig

STATUS_PERIOD = 0.1
"""Time between two training status messages at least, s of wall time."""
RATE_WINDOW = 50
"""Status messages over which rates are taken."""
HAND_SILENCE, RECORDER_SILENCE = 10.0, 3.0
"""Time after which a hand or the recorder is missed, s; a real hand's reset takes four."""
START = 30.0
"""Time that all have to start, s."""


class TrainerNode(Node):
    """Feeds the learning thread and speaks for it."""

    def __init__(self) -> None:
        """Declare parameters and interfaces and start learning."""
        super().__init__(TRAINER_NODE)
        self._config = declare(self, TrainerConfig())
        self._policy_lock = threading.Lock()
        now = time.monotonic()
        self._missed_at = dict.fromkeys(self._config.hand_names, now + START)
        self._recorder_missed_at = now + START
        self._origin = self._problems = ""
        self._rates: deque[tuple[float, int, int]] = deque(maxlen=RATE_WINDOW)
        layout = Layout(len(OBS_NAMES), NUM_JOINTS, self._config.learner.num_skills)
        self._thread = LearningThread(
            self._config, layout, self._publish_policy, self._publish_status
        )
        self._policies = self.create_publisher(
            PolicySnapshot,
            POLICY,
            policy_qos(self._config.learner.history.capacity),
            event_callbacks=PublisherEventCallbacks(matched=self._on_policy_matched),
        )
        self._statuses = self.create_publisher(
            TrainingStatus, TRAINING_STATUS, TRAINING_STATUS_QOS
        )
        for hand in self._config.hand_names:
            topic = f"/{hand}/{TRANSITIONS}"
            on_transition = partial(self._on_transition, hand)
            self.create_subscription(Transition, topic, on_transition, TRANSITIONS_QOS)
        # A node that was killed stays in the graph for long: what it says is the better sign.
        self.create_subscription(
            DiagnosticArray, DIAGNOSTICS, self._on_diagnostics, DIAGNOSTICS_QOS
        )
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(STATUS_PERIOD, self._on_beat, clock=steady)
        self._diagnostics = Diagnostics(self, self._report)
        self._thread.start()

    def close(self) -> None:
        """Stop learning and save, on every way out of the process."""
        self._thread.stop()
        progress = self._thread.progress
        if progress.save_fault:
            self.get_logger().error(progress.save_fault)
        if progress.checkpoint:
            self.get_logger().info(f"newest checkpoint: {progress.checkpoint}")

    def _on_transition(self, hand: str, message: Transition) -> None:
        if message.hand != hand:
            text = f"/{hand}/{TRANSITIONS} brings transitions of '{message.hand}': ignored"
            self.get_logger().error(text, throttle_duration_sec=10.0)
            return
        self._missed_at[hand] = time.monotonic() + HAND_SILENCE
        self._thread.put(transition_from_msg(message))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        if RECORDER_NODE in reporters(message):
            self._recorder_missed_at = time.monotonic() + RECORDER_SILENCE

    def _on_beat(self) -> None:
        if self._thread.error is not None:
            raise self._thread.error
        self._publish_status()
        progress = self._thread.progress
        if progress.origin != self._origin:
            self._origin = progress.origin
            self.get_logger().info(f"goes on from {progress.origin}")
            for note in progress.notes:
                self.get_logger().warning(note)
        if not progress.done:
            return
        if progress.save_fault:
            raise NodeError(f"learnt from all {progress.steps} transitions, but the end is lost")
        self.get_logger().info(f"done after {progress.steps} transitions")
        raise NodeDone

    def _on_policy_matched(self, info: QoSPublisherMatchedInfo) -> None:
        """Give a late subscriber all kept policies, also those that left the topic's history."""
        if info.current_count_change > 0:
            for snapshot in self._thread.kept.snapshots:
                self._publish_policy(snapshot)

    def _publish_policy(self, snapshot: Snapshot) -> None:
        """Publish one policy with the history's weights; called in both threads."""
        data = snapshot.to_bytes()
        skills = snapshot.layout.num_skills
        # The weights that a server hears last have to be the newest ones.
        with self._policy_lock:
            kept = self._thread.kept
            if snapshot.version not in kept.weights:
                return
            record = PolicyRecord(
                stamp_ns=self.get_clock().now().nanoseconds,
                version=snapshot.version,
                sha256=checksum(data),
                observation_size=snapshot.layout.obs_size,
                action_size=snapshot.layout.action_size,
                num_skills=skills,
                trained_steps=kept.trained_steps[snapshot.version],
                history_versions=tuple(kept.weights),
                history_weights=tuple(kept.weights.values()),
                skill_prior=kept.skill_prior,
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
            "updates behind": progress.behind,
            "policy version": progress.policy_version,
            "replay": progress.replay_size,
            "transitions of earlier runs": progress.prefilled,
            "transitions lost": gaps,
            "transitions seen before": progress.repeated,
            "checkpoint": progress.checkpoint,
            **({"bags": "; ".join(progress.notes)} if progress.notes else {}),
            **self._thread.metrics,
        }
        problems = "; ".join(self._find_problems(progress))
        if problems and problems != self._problems:
            self.get_logger().warning(problems)
        self._problems = problems
        if progress.save_fault:
            return Level.ERROR, problems, values
        if problems:
            return Level.WARN, problems, values
        if progress.hands:
            return Level.OK, "learning", values
        return Level.OK, f"restoring: {progress.restoring or 'looking for what there is'}", values

    def _find_problems(self, progress: Progress) -> Iterator[str]:
        if progress.save_fault:
            yield progress.save_fault
        now = time.monotonic()
        if self._config.bag and now > self._recorder_missed_at:
            yield "the recorder is silent; is it running?"
        for hand in progress.hands:
            if now > self._missed_at[hand.hand] and not progress.behind:
                yield f"no transitions of {hand.hand}; are its hand and policy server running?"
            if hand.gaps:
                yield f"{hand.gaps} transitions of {hand.hand} were lost on the way"


def main(args: Sequence[str] | None = None) -> int:
    """Run the trainer until a signal or its last step; return the exit status."""
    step_back()
    return run(TrainerNode, args, expected=(CheckpointError, BagError))


if __name__ == "__main__":
    sys.exit(main())
