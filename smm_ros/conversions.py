"""Messages to dataclasses and back: the only file that knows message fields."""

from __future__ import annotations

import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from numpy.typing import NDArray
from rcl_interfaces.msg import Log
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Header
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from smm_ros.action import ResetHand
from smm_ros.dclaw.hand import HandState, ResetStage
from smm_ros.dclaw.spec import JOINT_NAMES, VALVE_NAME
from smm_ros.msg import EpisodeSummary, PolicySnapshot, TrainingStatus, Transition
from smm_ros.records import (
    EpisodeRecord,
    HandProgress,
    JointTarget,
    PolicyRecord,
    ResetOutcome,
    StatusRecord,
    TransitionRecord,
)
from smm_ros.reports import Level, Report

_STATE_NAMES = [*JOINT_NAMES, VALVE_NAME]
_NUM_JOINTS = len(JOINT_NAMES)
_NANOSECONDS = 1_000_000_000
_DTYPES = {"f": np.float32, "d": np.float64, "Q": np.uint64}


class ConversionError(ValueError):
    """A message does not have the content that its topic promises."""


def seconds_to_ns(seconds: float) -> int:
    """Return whole nanoseconds, to the nearest."""
    return round(seconds * _NANOSECONDS)


def ns_to_seconds(nanoseconds: int) -> float:
    """Return seconds."""
    return nanoseconds / _NANOSECONDS


def ns_to_time(nanoseconds: int) -> Time:
    """Return the stamp message of a time in nanoseconds, exactly."""
    sec, nanosec = divmod(nanoseconds, _NANOSECONDS)
    return Time(sec=sec, nanosec=nanosec)


def time_to_ns(stamp: Time) -> int:
    """Return a stamp message in nanoseconds, exactly."""
    return int(stamp.sec) * _NANOSECONDS + int(stamp.nanosec)


def stamp_ns(message: Any) -> int:
    """Return the stamp of any message with a header, in nanoseconds."""
    return time_to_ns(message.header.stamp)


def _header(nanoseconds: int) -> Header:
    return Header(stamp=ns_to_time(nanoseconds))


def _packed(code: str, values: Any) -> array.array[Any]:
    """Return an array.array, which message fields take whole, without a look at each element."""
    return array.array(code, np.ascontiguousarray(values, _DTYPES[code]).tobytes())


def _unpacked(values: array.array[Any]) -> NDArray[Any]:
    """Return an array that does not share memory with the message."""
    return np.array(values, _DTYPES[values.typecode])


def clock_to_msg(nanoseconds: int) -> Clock:
    """Return the /clock message of a time in nanoseconds."""
    return Clock(clock=ns_to_time(nanoseconds))


def stopped_to_msg(stopped: bool) -> Bool:
    """Return the message that tells whether the hand is stopped."""
    return Bool(data=stopped)


def trigger_request() -> Trigger.Request:
    """Return the request of a stop, or of the end of one."""
    return Trigger.Request()


def hand_state_to_msg(state: HandState) -> JointState:
    """Return the joint state of the nine finger joints and the valve (unwrapped angle)."""
    return JointState(
        header=_header(seconds_to_ns(state.stamp)),
        name=_STATE_NAMES,
        position=_packed("d", [*state.joint_position, state.valve_angle]),
        velocity=_packed("d", [*state.joint_velocity, state.valve_velocity]),
        effort=_packed("d", [*state.joint_effort, state.valve_effort]),
    )


def hand_state_from_msg(message: JointState) -> HandState:
    """Return the hand's state; raises ConversionError naming missing joints or short lists."""
    order = _order(message.name, _STATE_NAMES, "joint state")
    values = {}
    for field in ("position", "velocity", "effort"):
        entries = _unpacked(getattr(message, field))
        if len(entries) != len(_STATE_NAMES):
            raise ConversionError(
                f"joint state has {len(entries)} entries in {field}, expected {len(_STATE_NAMES)}"
            )
        values[field] = entries[order]
    return HandState(
        stamp=ns_to_seconds(stamp_ns(message)),
        joint_position=values["position"][:_NUM_JOINTS],
        joint_velocity=values["velocity"][:_NUM_JOINTS],
        joint_effort=values["effort"][:_NUM_JOINTS],
        valve_angle=float(values["position"][-1]),
        valve_velocity=float(values["velocity"][-1]),
        valve_effort=float(values["effort"][-1]),
    )


def target_to_msg(target: JointTarget) -> JointTrajectory:
    """Return the joint command: a trajectory of one point."""
    point = JointTrajectoryPoint(positions=_packed("d", target.position))
    return JointTrajectory(
        header=_header(target.stamp_ns), joint_names=list(JOINT_NAMES), points=[point]
    )


def target_from_msg(message: JointTrajectory) -> JointTarget:
    """Return the joint command; values are passed on unchecked, NaN too (the clamp's business).

    Raises ConversionError when it is not one point with one position for each finger joint.
    """
    if len(message.points) != 1:
        raise ConversionError(f"joint command has {len(message.points)} points, expected one")
    order = _order(message.joint_names, JOINT_NAMES, "joint command")
    positions = _unpacked(message.points[0].positions)
    if len(positions) != _NUM_JOINTS:
        raise ConversionError(
            f"joint command has {len(positions)} positions, expected {_NUM_JOINTS}"
        )
    return JointTarget(stamp_ns(message), positions[order])


def _order(names: Sequence[str], expected: Sequence[str], what: str) -> list[int]:
    """Return for each expected name its index in `names`; any order is taken."""
    if list(names) == list(expected):
        return list(range(len(names)))
    if sorted(names) != sorted(expected):
        raise ConversionError(
            f"{what} is for {', '.join(names) or 'no joints'}; expected {', '.join(expected)}"
        )
    return [names.index(name) for name in expected]


def transition_to_msg(record: TransitionRecord) -> Transition:
    """Return the message of one transition."""
    return Transition(
        header=_header(record.stamp_ns),
        hand=record.hand,
        sequence=record.sequence,
        episode=record.episode,
        step=record.step,
        skill=record.skill,
        policy_version=record.policy_version,
        observation=_packed("f", record.observation),
        action=_packed("f", record.action),
        next_observation=_packed("f", record.next_observation),
        log_p_shaping=float(record.log_p_shaping),
        terminated=record.terminated,
        truncated=record.truncated,
    )


def transition_from_msg(message: Transition) -> TransitionRecord:
    """Return the transition; its arrays are its own."""
    return TransitionRecord(
        stamp_ns=stamp_ns(message),
        hand=message.hand,
        sequence=message.sequence,
        episode=message.episode,
        step=message.step,
        skill=message.skill,
        policy_version=message.policy_version,
        observation=_unpacked(message.observation),
        action=_unpacked(message.action),
        next_observation=_unpacked(message.next_observation),
        log_p_shaping=message.log_p_shaping,
        terminated=message.terminated,
        truncated=message.truncated,
    )


_EPISODE_FIELDS = tuple(name for name in EpisodeRecord.__annotations__ if name != "stamp_ns")


def episode_to_msg(record: EpisodeRecord) -> EpisodeSummary:
    """Return the message of one episode's summary."""
    values = {name: getattr(record, name) for name in _EPISODE_FIELDS}
    return EpisodeSummary(header=_header(record.stamp_ns), **values)


def episode_from_msg(message: EpisodeSummary) -> EpisodeRecord:
    """Return one episode's summary."""
    values = {name: getattr(message, name) for name in _EPISODE_FIELDS}
    return EpisodeRecord(stamp_ns=stamp_ns(message), **values)


_POLICY_SCALARS = (
    "version", "sha256", "observation_size", "action_size", "num_skills", "trained_steps",
)  # fmt: skip


def policy_to_msg(record: PolicyRecord) -> PolicySnapshot:
    """Return the message of a policy snapshot."""
    return PolicySnapshot(
        header=_header(record.stamp_ns),
        **{name: getattr(record, name) for name in _POLICY_SCALARS},
        history_versions=_packed("Q", record.history_versions),
        history_weights=_packed("d", record.history_weights),
        skill_prior=_packed("d", record.skill_prior),
        weights=array.array("B", record.weights),
    )


def policy_from_msg(message: PolicySnapshot) -> PolicyRecord:
    """Return the policy snapshot as sent: nothing is verified here."""
    return PolicyRecord(
        stamp_ns=stamp_ns(message),
        **{name: getattr(message, name) for name in _POLICY_SCALARS},
        history_versions=tuple(message.history_versions),
        history_weights=tuple(message.history_weights),
        skill_prior=tuple(message.skill_prior),
        weights=message.weights.tobytes(),
    )


_STATUS_SCALARS = (
    "steps", "updates", "total_steps", "steps_per_second", "updates_per_second",
    "policy_version", "replay_size", "replay_capacity", "checkpoint", "done",
)  # fmt: skip


def status_to_msg(record: StatusRecord) -> TrainingStatus:
    """Return the message of the training status."""
    return TrainingStatus(
        header=_header(record.stamp_ns),
        **{name: getattr(record, name) for name in _STATUS_SCALARS},
        hands=[progress.hand for progress in record.hands],
        received_sequences=_packed("Q", [p.received_sequence for p in record.hands]),
        allowed_sequences=_packed("Q", [p.allowed_sequence for p in record.hands]),
        gaps=_packed("Q", [progress.gaps for progress in record.hands]),
        metric_names=list(record.metrics),
        metric_values=_packed("d", list(record.metrics.values())),
    )


def status_from_msg(message: TrainingStatus) -> StatusRecord:
    """Return the training status; raises ConversionError where its lists do not match."""
    columns = (message.received_sequences, message.allowed_sequences, message.gaps)
    if any(len(column) != len(message.hands) for column in columns):
        raise ConversionError(
            f"training status has {len(message.hands)} hands but "
            f"{', '.join(str(len(column)) for column in columns)} numbers for them"
        )
    if len(message.metric_names) != len(message.metric_values):
        raise ConversionError(
            f"training status has {len(message.metric_names)} metric names for "
            f"{len(message.metric_values)} values"
        )
    return StatusRecord(
        stamp_ns=stamp_ns(message),
        **{name: getattr(message, name) for name in _STATUS_SCALARS},
        hands=tuple(map(HandProgress, message.hands, *columns)),
        metrics=dict(zip(message.metric_names, message.metric_values, strict=True)),
    )


def reset_goal(valve_angle: float) -> ResetHand.Goal:
    """Return the goal of a reset to a valve angle in rad."""
    return ResetHand.Goal(valve_angle=float(valve_angle))


def reset_goal_angle(goal: ResetHand.Goal) -> float:
    """Return the valve angle that a reset asks for, rad."""
    return float(goal.valve_angle)


def reset_stage_to_msg(stage: ResetStage) -> ResetHand.Feedback:
    """Return the feedback of a reset under way."""
    return ResetHand.Feedback(stage=stage.name, attempt=stage.attempt)


def reset_outcome_to_msg(outcome: ResetOutcome) -> ResetHand.Result:
    """Return the result of a reset."""
    return ResetHand.Result(
        success=outcome.success,
        message=outcome.message,
        attempts=outcome.attempts,
        stamp=ns_to_time(outcome.stamp_ns),
    )


def reset_outcome_from_msg(result: ResetHand.Result) -> ResetOutcome:
    """Return how a reset ended."""
    return ResetOutcome(result.success, result.message, result.attempts, time_to_ns(result.stamp))


def report_to_msg(report: Report, nanoseconds: int) -> DiagnosticArray:
    """Return the /diagnostics message of one component's report."""
    status = DiagnosticStatus(
        level=bytes([report.level]),
        name=report.name,
        message=report.message,
        hardware_id=report.hardware_id,
        values=[KeyValue(key=key, value=value) for key, value in report.texts()],
    )
    return DiagnosticArray(header=_header(nanoseconds), status=[status])


def mark_to_msg(nanoseconds: int, name: str, label: str) -> Log:
    """Return the log message of a remark in a recording, from the node of that name."""
    return Log(stamp=ns_to_time(nanoseconds), level=Log.INFO, name=name, msg=label)


def verdict_on(message: DiagnosticArray, name: str) -> tuple[Level, str] | None:
    """Return how a component is and why, None where the message is not about it."""
    found = (each for each in message.status if each.name == name)
    return next(((Level(each.level[0]), each.message) for each in found), None)


def reporters(message: DiagnosticArray) -> list[str]:
    """Return the names of the nodes that a /diagnostics message is about, without namespace."""
    return [status.name.rpartition(": ")[2] for status in message.status]
