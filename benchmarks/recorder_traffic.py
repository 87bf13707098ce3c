"""What a graph says, at its rates and sizes, for a recorder: sent and noted, nothing else."""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rclpy
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState

from smm_ros import interfaces as names
from smm_ros.conversions import (
    episode_to_msg,
    hand_state_to_msg,
    policy_to_msg,
    transition_to_msg,
)
from smm_ros.dclaw.hand import HandState
from smm_ros.dclaw.spec import NUM_JOINTS
from smm_ros.msg import EpisodeSummary, PolicySnapshot, Transition
from smm_ros.records import EpisodeRecord, PolicyRecord, TransitionRecord

HAND = "dclaw"
JOINT_STATE_RATE = 100
"""Hz"""
EPISODE_STEPS = 50
POLICY_PERIOD = 2.0
"""s"""
POLICY_BYTES = 330_000
"""An actor with two hidden layers of 256."""


class Sent(NamedTuple):
    """A message that was sent."""

    number: int
    at: int
    """ns."""
    found: int
    """When its topic had found the newest of its readers, ns; 0 for none."""


class Traffic:
    """Stands in for the hand, the policy server and the trainer; runs until it is ended."""

    def __init__(self, rate: int, log: Path) -> None:
        """Publish transitions at a rate, Hz, and note in the log what was sent."""
        rclpy.init()
        self._node = Node("traffic", namespace=HAND)
        self._log = log.open("w")
        self._numbers: dict[str, int] = defaultdict(int)
        self._found: dict[str, int] = defaultdict(int)
        self._rng = np.random.default_rng(0)
        self._observation = self._rng.normal(size=12).astype(np.float32)
        make = self._publisher
        self._transitions = make(Transition, names.TRANSITIONS, names.TRANSITIONS_QOS)
        self._episodes = make(EpisodeSummary, names.EPISODES, names.EPISODES_QOS)
        self._states = make(JointState, names.JOINT_STATES, names.JOINT_STATES_QOS)
        self._policies = make(PolicySnapshot, names.POLICY, names.POLICY_QOS)
        timer = self._node.create_timer
        timer(1 / rate, self._tell_transition)
        timer(1 / JOINT_STATE_RATE, self._tell_state)
        timer(POLICY_PERIOD, self._tell_policy)

    def run(self) -> None:
        """Publish for ever."""
        rclpy.spin(self._node)

    def _publisher(self, kind: type, topic: str, qos: QoSProfile) -> object:
        def note(matched: Any) -> None:
            if matched.total_count_change:
                self._found[topic] = time.time_ns()

        events = PublisherEventCallbacks(matched=note)
        return self._node.create_publisher(kind, topic, qos, event_callbacks=events)

    def _send(self, publisher: object, topic: str, make: Callable[[int], object]) -> int:
        number = self._numbers[topic]
        message = make(number)
        now = time.time_ns()
        publisher.publish(message)  # type: ignore[attr-defined]
        self._log.write(f"{topic} {number} {now} {self._found[topic]}\n")
        self._log.flush()
        self._numbers[topic] += 1
        return number

    def _tell_transition(self) -> None:
        number = self._send(self._transitions, names.TRANSITIONS, self._transition)
        if number % EPISODE_STEPS == EPISODE_STEPS - 1:
            self._send(self._episodes, names.EPISODES, _episode)

    def _tell_state(self) -> None:
        self._send(self._states, names.JOINT_STATES, _joint_state)

    def _tell_policy(self) -> None:
        self._send(self._policies, names.POLICY, self._policy)

    # The number of each message is its stamp, by which it is found again.

    def _transition(self, number: int) -> Transition:
        action = self._rng.uniform(-1.0, 1.0, NUM_JOINTS).astype(np.float32)
        before, self._observation = self._observation, self._rng.normal(size=12).astype(np.float32)
        episode, step = divmod(number, EPISODE_STEPS)
        record = TransitionRecord(
            number, HAND, number, episode, step, 0, 0, before, action, self._observation,
            log_p_shaping=0.0, terminated=False, truncated=step == EPISODE_STEPS - 1,
        )  # fmt: skip
        return transition_to_msg(record)

    def _policy(self, number: int) -> PolicySnapshot:
        weights = self._rng.bytes(POLICY_BYTES)
        checksum = hashlib.sha256(weights).hexdigest()
        record = PolicyRecord(number, number, checksum, 12, 9, 1, 0, (), (), (1.0,), weights)
        return policy_to_msg(record)


def _episode(number: int) -> EpisodeSummary:
    counts = {"skill": 0, "policy_version": 0, "steps": EPISODE_STEPS, "clamped_commands": 0}
    angles = dict.fromkeys(("valve_start", "valve_end", "valve_min", "valve_max"), 0.0)
    return episode_to_msg(
        EpisodeRecord(
            number, HAND, number, **counts, **angles,
            log_p_shaping_sum=0.0, missed_samples=0, interrupted=False,
        )
    )  # fmt: skip


def _joint_state(number: int) -> JointState:
    joints = np.zeros(NUM_JOINTS)
    return hand_state_to_msg(HandState(number * 1e-9, joints, joints, joints, 0.0, 0.0, 0.0))


def read_log(log: Path) -> dict[str, list[Sent]]:
    """Return the messages sent so far, by topic."""
    sent = defaultdict(list)
    for line in log.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            topic, *numbers = line.split()
            sent[topic].append(Sent(*map(int, numbers)))
    return sent


def publish(rate: int, log: Path) -> None:
    """Publish transitions at a rate, Hz, and all else, until the process is ended."""
    Traffic(rate, log).run()
