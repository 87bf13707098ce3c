"""The policy server as a node: states of one hand in, commands and transitions out."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from smm_core.acting import ActingPolicy
from smm_core.config import Config, option
from smm_core.history import HistoryConfig, PolicyHistory, Snapshot, SnapshotError
from smm_core.transitions import Layout
from smm_ros import interfaces as names
from smm_ros.action import ResetHand
from smm_ros.conversions import (
    ConversionError,
    episode_to_msg,
    hand_state_from_msg,
    policy_from_msg,
    reset_goal,
    reset_outcome_from_msg,
    stamp_ns,
    status_from_msg,
    target_to_msg,
    transition_to_msg,
)
from smm_ros.dclaw.spec import EPISODE_STEPS, NUM_JOINTS
from smm_ros.dclaw.task import OBS_NAMES
from smm_ros.diagnostics import Diagnostics
from smm_ros.episodes import Episodes, Output, Phase
from smm_ros.msg import EpisodeSummary, PolicySnapshot, TrainingStatus, Transition
from smm_ros.node_main import run
from smm_ros.parameters import declare
from smm_ros.reports import Level
from smm_ros.sequence_file import SequenceError, SequenceFile

BEAT = 0.5
"""Time between two looks at what is overdue, s of wall time."""


@dataclass(frozen=True)
class PolicyServerConfig(Config):
    """Settings of the policy server node."""

    run_dir: str = option("", "Folder for the sequence numbers; empty: they begin at 0.")
    status_topic: str = option(
        names.TRAINING_STATUS, "Topic of the trainer's status; relative to the hand."
    )
    policy_topic: str = option(names.POLICY, "Topic of the policies; relative to the hand.")
    wait_for_trainer: bool = option(True, "Play only as far as the trainer allows.")
    episode_steps: int = option(EPISODE_STEPS, "Control periods in an episode.", low=1)
    valve_reset: str = option(
        "keep",
        "Where a reset leaves the valve: 'keep' its angle (full turns taken off), or at 'zero'.",
        choices=("keep", "zero"),
    )
    num_skills: int = option(1, "Mixture components of the policies.", low=1)
    hidden: tuple[int, ...] = option((256, 256), "Widths of the policies' hidden layers.", low=1)
    history: HistoryConfig = option(HistoryConfig(), "Which policy an episode is played with.")
    seed: int = option(0, "Seed of actions, skills and policies drawn.", low=0)
    state_timeout: float = option(
        2.0, "Time without the hand's next state that interrupts an episode, s.", low=0.05
    )
    reset_timeout: float = option(
        60.0, "Time after which a reset is given up and asked for again, s.", low=0.1
    )


class PolicyServerNode(Node):
    """Plays episodes on the hand in whose namespace it runs."""

    def __init__(self) -> None:
        """Declare parameters and interfaces; playing begins when hand and trainer are there."""
        super().__init__(names.POLICY_SERVER_NODE)
        self._config = declare(self, PolicyServerConfig())
        torch.set_num_threads(1)  # one observation at a time: more threads only wake up
        hand = self.get_namespace()
        layout = Layout(len(OBS_NAMES), NUM_JOINTS, self._config.num_skills)
        history = PolicyHistory(self._config.history)
        # Apart from the trainer's stream of the same seed.
        seeds = [self._config.seed + 1_000_003]
        self._acting = ActingPolicy(layout, self._config.hidden, history, seeds)
        self._sequences = SequenceFile(self._sequence_path(hand))
        length = self._config.episode_steps
        self._episodes = Episodes(hand, self._acting, self._sequences, length)
        self._last_event = time.monotonic()
        self._reset_number = 0
        self._is_resetting = False
        self._refused = 0
        self._trouble = ""
        self._valve_angle = 0.0
        self._make_interfaces()

    def _sequence_path(self, hand: str) -> Path | None:
        if not self._config.run_dir:
            return None
        return Path(self._config.run_dir) / f"{hand.strip('/').replace('/', '.')}.sequence"

    def _make_interfaces(self) -> None:
        config = self._config
        self._commands = self.create_publisher(
            JointTrajectory, names.JOINT_COMMAND, names.JOINT_COMMAND_QOS
        )
        self._transitions = self.create_publisher(
            Transition, names.TRANSITIONS, names.TRANSITIONS_QOS
        )
        self._summaries = self.create_publisher(EpisodeSummary, names.EPISODES, names.EPISODES_QOS)
        self.create_subscription(
            JointState, names.JOINT_STATES, self._on_state, names.JOINT_STATES_QOS
        )
        self.create_subscription(
            PolicySnapshot, config.policy_topic, self._on_policy, names.POLICY_QOS
        )
        self.create_subscription(
            TrainingStatus, config.status_topic, self._on_status, names.TRAINING_STATUS_QOS
        )
        self._resets: Any = ActionClient(self, ResetHand, names.RESET_HAND)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(BEAT, self._on_beat, clock=steady)
        self._diagnostics = Diagnostics(self, self._report)

    def close(self) -> None:
        """Tell of the episode that ends here."""
        self._send(self._episodes.interrupt())
        self._sequences.close()

    # What arrives.

    def _on_state(self, message: JointState) -> None:
        try:
            state = hand_state_from_msg(message)
        except ConversionError as error:
            self._trouble = str(error)
            return
        self._valve_angle = state.valve_angle_wrapped
        self._send(self._episodes.see(stamp_ns(message), state))

    def _on_policy(self, message: PolicySnapshot) -> None:
        record = policy_from_msg(message)
        layout = Layout(record.observation_size, record.action_size, record.num_skills)
        try:
            snapshot = Snapshot.from_bytes(record.version, layout, record.weights, record.sha256)
            self._acting.check(snapshot)
        except SnapshotError as error:
            self._refused += 1
            self._trouble = str(error)
            self.get_logger().error(f"policy refused: {error}")
            return
        self._acting.skill_prior = torch.tensor(record.skill_prior)
        weights = dict(zip(record.history_versions, record.history_weights, strict=True))
        self._acting.history.keep(snapshot, weights)
        self._allow()

    def _on_status(self, message: TrainingStatus) -> None:
        if not self._config.wait_for_trainer:
            return
        status = status_from_msg(message)
        progress = status.progress_of(self.get_namespace())
        allowed = progress.allowed_sequence if progress else 0
        self._send(self._episodes.allow(allowed, status.policy_version))

    def _allow(self) -> None:
        """Go on where a policy was waited for."""
        episodes = self._episodes
        self._send(episodes.allow(episodes.allowed_sequence, episodes.required_version))

    def _send(self, output: Output) -> None:
        if output.command is not None:
            self._commands.publish(target_to_msg(output.command))
        if output.transition is not None:
            self._transitions.publish(transition_to_msg(output.transition))
        if output.episode is not None:
            self._summaries.publish(episode_to_msg(output.episode))
        if output.command is not None or output.transition is not None:
            self._last_event = time.monotonic()
        if self._episodes.phase is Phase.NEEDS_RESET:
            self._reset()

    # Resets.

    def _reset(self) -> None:
        if self._is_resetting or not self._resets.server_is_ready():
            return
        self._is_resetting = True
        self._reset_number += 1
        self._last_event = time.monotonic()
        angle = self._valve_angle if self._config.valve_reset == "keep" else 0.0
        number = self._reset_number
        sent = self._resets.send_goal_async(reset_goal(angle))
        sent.add_done_callback(lambda future: self._on_reset_answer(number, future))

    def _on_reset_answer(self, number: int, future: Future[ClientGoalHandle]) -> None:
        goal = future.result()
        if number != self._reset_number or goal is None:
            return
        if not goal.accepted:
            self._reset_failed("the hand refused to reset; is it active, and not stopped?")
            return
        result = goal.get_result_async()
        result.add_done_callback(lambda future: self._on_reset_result(number, future))

    def _on_reset_result(self, number: int, future: Future[Any]) -> None:
        response = future.result()
        if number != self._reset_number or response is None:
            return
        outcome = reset_outcome_from_msg(response.result)
        if not outcome.success:
            self._reset_failed(f"the reset failed: {outcome.message}")
            return
        self._is_resetting, self._trouble = False, ""
        self._last_event = time.monotonic()
        self._send(self._episodes.reset_done(outcome.stamp_ns))

    def _reset_failed(self, reason: str) -> None:
        """Note why; the next beat asks again."""
        self._is_resetting, self._trouble = False, reason

    def _on_beat(self) -> None:
        """Give up what is overdue: the hand may have died, been stopped, or been restarted."""
        phase, silent = self._episodes.phase, time.monotonic() - self._last_event
        waits = phase in (Phase.PLAYING, Phase.AWAITING_RESET_STATE)
        if waits and silent > self._config.state_timeout:
            self._trouble = f"no state of the hand for {silent:.1f} s"
            self._send(self._episodes.interrupt())
        elif phase is Phase.NEEDS_RESET:
            gone = not self._resets.server_is_ready()
            if gone or silent > self._config.reset_timeout:
                self._is_resetting = False
            self._reset()
        if not self._config.wait_for_trainer and phase is Phase.PAUSED:
            self._send(self._episodes.allow(None, 0))

    def _report(self) -> tuple[Level, str, Mapping[str, Any]]:
        episodes = self._episodes
        values = {
            "phase": f"waits for {episodes.phase.value}",
            "transitions": self._sequences.sequence,
            "episodes": self._sequences.episode,
            "policy version": int(self._acting.version[0]),
            "policies kept": len(self._acting.history.weights),
            "policies refused": self._refused,
            "missed samples": episodes.missed_samples,
            "interrupted episodes": episodes.interrupted,
        }
        silent = time.monotonic() - self._last_event
        if episodes.phase is not Phase.PLAYING and silent > self._config.state_timeout:
            reason = self._trouble or f"waits for {episodes.phase.value} since {silent:.0f} s"
            return Level.WARN, reason, values
        if self._refused:
            return Level.WARN, self._trouble, values
        return Level.OK, "playing", values


def main(args: Sequence[str] | None = None) -> int:
    """Run the policy server until a signal; return the exit status."""
    return run(PolicyServerNode, args, expected=(SequenceError,))


if __name__ == "__main__":
    sys.exit(main())
