"""The policy server as a node: states of one hand in, commands and transitions out."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from trajectory_msgs.msg import JointTrajectory

from smm_core.acting import ActingPolicy, acting_seed
from smm_core.config import Config, option
from smm_core.history import HistoryConfig, PolicyHistory, Snapshot, SnapshotError
from smm_core.mlp import ACTIVATIONS
from smm_core.transitions import Layout
from smm_ros import interfaces as names
from smm_ros.conversions import (
    ConversionError,
    episode_to_msg,
    hand_state_from_msg,
    policy_from_msg,
    stamp_ns,
    status_from_msg,
    target_to_msg,
    transition_to_msg,
)
from smm_ros.dclaw.spec import EPISODE_STEPS, NUM_JOINTS
from smm_ros.dclaw.task import OBS_NAMES
from smm_ros.diagnostics import Diagnostics
from smm_ros.episodes import Episodes, Output, Phase
from smm_ros.loss_watch import LossWatch
from smm_ros.msg import EpisodeSummary, PolicySnapshot, TrainingStatus, Transition
from smm_ros.node_main import run
from smm_ros.parameters import declare
from smm_ros.records import HandProgress, PolicyRecord
from smm_ros.reports import Level
from smm_ros.reset_client import ResetClient
from smm_ros.sequence_file import SequenceError, SequenceFile

BEAT = 0.5
"""Time between two looks at what is overdue, s of wall time."""
START_TIME = 10.0
"""Time in which the other nodes may start before their absence is worth a warning, s."""

LAST_WORDS = Duration(seconds=0.5)
"""Time given to each topic at the end to reach all who listen, of whom some may be gone."""


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
        "zero",
        "Where a reset leaves the valve: at 'zero', or 'keep' its angle (full turns taken off).",
        choices=("zero", "keep"),
    )
    num_skills: int = option(1, "Mixture components of the policies.", low=1)
    hidden: tuple[int, ...] = option((256, 256), "Widths of the policies' hidden layers.", low=1)
    policy_activation: str = option(
        "relu", "Function between the policies' layers.", choices=tuple(ACTIVATIONS)
    )
    history: HistoryConfig = option(HistoryConfig(), "Which policy an episode is played with.")
    seed: int = option(0, "Seed of actions, skills and policies drawn.", low=0)
    state_timeout: float = option(
        2.0, "Time without the hand's next state that interrupts an episode, s.", low=0.05
    )
    reset_timeout: float = option(
        60.0, "Time after which a reset is given up and asked for again, s.", low=0.1
    )
    loss_timeout: float = option(
        5.0,
        "Time after which transitions that the trainer has not taken count as lost, s.",
        low=0.1,
    )


class PolicyServerNode(Node):
    """Plays episodes on the hand in whose namespace it runs."""

    def __init__(self) -> None:
        """Declare parameters and interfaces; playing begins when hand and trainer are there."""
        super().__init__(names.POLICY_SERVER_NODE)
        self._config = declare(self, PolicyServerConfig())
        torch.set_num_threads(1)  # one observation at a time: more threads only wake up
        self._hand = self.get_namespace().strip("/")
        layout = Layout(len(OBS_NAMES), NUM_JOINTS, self._config.num_skills)
        history = PolicyHistory(self._config.history)
        seeds = [acting_seed(self._config.seed)]
        shape = (self._config.hidden, history, seeds, self._config.policy_activation)
        self._acting = ActingPolicy(layout, *shape)
        self._sequences = SequenceFile(self._sequence_path())
        self._episodes = Episodes(
            self._hand, self._acting, self._sequences, self._config.episode_steps
        )
        if self._config.wait_for_trainer:
            self._episodes.allow(0, 0)
        self._losses = LossWatch(self._config.loss_timeout)
        self._played = time.monotonic()
        self._patience = max(START_TIME, self._config.state_timeout)
        self._stopped = False
        self._refused = 0
        self._refusal = self._trouble = ""
        self._valve_angle = 0.0
        self._make_interfaces()

    def _sequence_path(self) -> Path | None:
        if not self._config.run_dir:
            return None
        return Path(self._config.run_dir) / f"{self._hand.replace('/', '.')}.sequence"

    def _make_interfaces(self) -> None:
        config = self._config
        self._commands = self.create_publisher(
            JointTrajectory, names.JOINT_COMMAND, names.JOINT_COMMAND_QOS
        )
        self._transitions = self.create_publisher(
            Transition, names.TRANSITIONS, names.TRANSITIONS_QOS
        )
        self._summaries = self.create_publisher(EpisodeSummary, names.EPISODES, names.EPISODES_QOS)
        self._resets = ResetClient(
            self, self._on_reset_done, config.state_timeout, config.reset_timeout
        )
        # First: where both wait, a stop is heard before the states that the limp hand shows.
        self.create_subscription(Bool, names.STOPPED, self._on_stopped, names.STOPPED_QOS)
        self.create_subscription(
            JointState, names.JOINT_STATES, self._on_state, names.JOINT_STATES_QOS
        )
        policy_qos = names.policy_qos(config.history.capacity)
        self.create_subscription(PolicySnapshot, config.policy_topic, self._on_policy, policy_qos)
        self.create_subscription(
            TrainingStatus, config.status_topic, self._on_status, names.TRAINING_STATUS_QOS
        )
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(BEAT, self._on_beat, clock=steady)
        self._diagnostics = Diagnostics(self, self._report)

    def close(self) -> None:
        """Tell of the episode that ends here; the hand is left where it is."""
        self._publish(self._episodes.interrupt())
        self._sequences.close()
        # What is still on its way would be lost with the process.
        for publisher in (self._transitions, self._summaries):
            publisher.wait_for_all_acked(LAST_WORDS)

    # What arrives.

    def _on_stopped(self, message: Bool) -> None:
        self._stopped = message.data
        if self._stopped:
            self._note(f"the hand is stopped; call {names.CLEAR_STOP} to go on")
            self._send(self._episodes.interrupt())

    def _on_state(self, message: JointState) -> None:
        try:
            state = hand_state_from_msg(message)
        except ConversionError as error:
            self._note(str(error))
            return
        self._valve_angle = state.valve_angle_wrapped
        self._send(self._episodes.see(stamp_ns(message), state))

    def _on_policy(self, message: PolicySnapshot) -> None:
        record = policy_from_msg(message)
        try:
            snapshot = self._checked(record)
        except SnapshotError as error:
            self._refused += 1
            self._refusal = f"policy refused: {error}"
            self._episodes.refused_version = record.version
            self.get_logger().error(self._refusal)
        else:
            self._refusal = ""
            self._acting.skill_prior.probabilities.copy_(torch.tensor(record.skill_prior))
            weights = dict(zip(record.history_versions, record.history_weights, strict=True))
            self._acting.history.keep(snapshot, weights)
        self._allow()

    def _checked(self, record: PolicyRecord) -> Snapshot:
        layout = Layout(record.observation_size, record.action_size, record.num_skills)
        snapshot = Snapshot.from_bytes(record.version, layout, record.weights, record.sha256)
        self._acting.check(snapshot)
        if len(record.history_versions) != len(record.history_weights):
            raise SnapshotError(
                f"policy {record.version} comes with {len(record.history_weights)} weights for "
                f"{len(record.history_versions)} kept policies"
            )
        if len(record.skill_prior) != record.num_skills:
            raise SnapshotError(
                f"policy {record.version} comes with a prior of {len(record.skill_prior)} "
                f"entries for {record.num_skills} skills"
            )
        return snapshot

    def _on_status(self, message: TrainingStatus) -> None:
        if not self._config.wait_for_trainer:
            return
        try:
            status = status_from_msg(message)
        except ConversionError as error:
            self._note(str(error))
            return
        progress = status.progress_of(self._hand)
        if progress is not None:
            self._send(self._episodes.allow(self._allowed(progress), status.policy_version))
        elif status.hands:
            known = ", ".join(progress.hand for progress in status.hands)
            self._note(f"the trainer learns from {known}, not from {self._hand}")

    def _allowed(self, progress: HandProgress) -> int:
        """Return the first transition that may not be played yet; see LossWatch."""
        mine, received = self._sequences.sequence, progress.received_sequence
        if received > mine:
            # Numbers that were not kept, or not those of this run: none is to be used twice.
            self.get_logger().warning(f"going on from transition {received}, not {mine}")
            self._sequences.skip_to(received)
        waits = self._episodes.phase is Phase.PAUSED
        if not self._losses.is_lost(received, progress.allowed_sequence, mine, waits):
            return progress.allowed_sequence
        self.get_logger().warning(
            f"the trainer has not taken transitions {received} to {mine - 1}; "
            "playing another, by which it can tell"
        )
        return mine + 1

    def _allow(self) -> None:
        """Go on where a policy was waited for."""
        episodes = self._episodes
        self._send(episodes.allow(episodes.allowed_sequence, episodes.required_version))

    def _on_reset_done(self, stamp: int) -> None:
        self._send(self._episodes.reset_done(stamp))

    # What is sent.

    def _send(self, output: Output) -> None:
        self._publish(output)
        if output.command is not None or output.transition is not None:
            self._play()
        if self._episodes.phase is Phase.NEEDS_RESET and not self._stopped:
            angle = self._valve_angle if self._config.valve_reset == "keep" else 0.0
            self._resets.ask(angle)

    def _play(self) -> None:
        self._played, self._patience = time.monotonic(), self._config.state_timeout
        if self._trouble:
            self.get_logger().info(f"plays again, transition {self._sequences.sequence} is next")
        self._trouble = ""

    def _publish(self, output: Output) -> None:
        if output.command is not None:
            self._commands.publish(target_to_msg(output.command))
        if output.transition is not None:
            self._transitions.publish(transition_to_msg(output.transition))
        if output.episode is not None:
            self._summaries.publish(episode_to_msg(output.episode))

    def _on_beat(self) -> None:
        """Look at what is overdue: the hand may have died, been stopped, or been restarted."""
        episodes, silent = self._episodes, time.monotonic() - self._played
        if silent > self._patience and not self._stopped:
            self._note(self._obstacle())
        waits_for_state = episodes.phase in (Phase.PLAYING, Phase.AWAITING_RESET_STATE)
        if waits_for_state and silent > self._config.state_timeout:
            self._send(episodes.interrupt())
        elif episodes.phase is Phase.NEEDS_RESET:
            self._send(Output())
        if not self._config.wait_for_trainer and episodes.phase is Phase.PAUSED:
            self._send(episodes.allow(None, 0))

    # What is said.

    def _obstacle(self) -> str:
        """Say what keeps it from playing; nothing while the hand is being reset."""
        episodes = self._episodes
        if episodes.phase is Phase.NEEDS_RESET:
            return self._resets.trouble
        if episodes.phase is not Phase.PAUSED:
            return "the hand shows no state; is it running?"
        if self._sequences.sequence >= (episodes.allowed_sequence or 0):
            return (
                f"waits for the trainer, which allows transitions below "
                f"{episodes.allowed_sequence}; is it running?"
            )
        return self._refusal or f"waits for policy {episodes.required_version} of the trainer"

    def _note(self, trouble: str) -> None:
        """Keep what is wrong for the diagnostics, and log it once."""
        if trouble and trouble != self._trouble:
            self.get_logger().warning(trouble)
        self._trouble = trouble

    def _report(self) -> tuple[Level, str, Mapping[str, Any]]:
        episodes = self._episodes
        values = {
            "phase": f"waits for {episodes.phase.value}",
            "silent (s)": round(time.monotonic() - self._played, 1),
            "transitions": self._sequences.sequence,
            "episodes": self._sequences.episode,
            "policy version": int(self._acting.version[0]),
            "policies kept": len(self._acting.history.weights),
            "policies refused": self._refused,
            "missed samples": episodes.missed_samples,
            "interrupted episodes": episodes.interrupted,
        }
        faults = [fault for fault in dict.fromkeys((self._trouble, self._refusal)) if fault]
        if faults:
            return Level.WARN, "; ".join(faults), values
        if episodes.phase is Phase.PLAYING:
            return Level.OK, "playing", values
        return Level.OK, self._obstacle() or f"waits for {episodes.phase.value}", values


def main(args: Sequence[str] | None = None) -> int:
    """Run the policy server until a signal; return the exit status."""
    return run(PolicyServerNode, args, expected=(SequenceError, OSError))


if __name__ == "__main__":
    sys.exit(main())
