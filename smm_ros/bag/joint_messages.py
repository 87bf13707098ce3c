"""Recorded joint states and joint commands, of any hand and recorder, made into transitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smm_core.config import Config, ConfigError, option
from smm_ros.assembly import Assembler
from smm_ros.bag.reading import BagError, BagMessage, Reading, ReadReport, read_messages
from smm_ros.conversions import ns_to_seconds, stamp_ns
from smm_ros.dclaw.hand import HandState
from smm_ros.dclaw.spec import JOINT_NAMES, NUM_JOINTS, VALVE_NAME
from smm_ros.interfaces import JOINT_COMMAND, JOINT_STATES
from smm_ros.records import JointTarget, TransitionRecord

STATE_TYPE, COMMAND_TYPE = "sensor_msgs/msg/JointState", "trajectory_msgs/msg/JointTrajectory"


class JointMessageError(BagError):
    """A joint state or command that is none of this hand."""


@dataclass(frozen=True)
class JointTopics(Config):
    """Where a hand's joint states and commands are recorded."""

    joint_states: str = option(
        JOINT_STATES,
        "topic of the joint states; a name without a slash is looked for in the namespace of"
        " every hand",
    )
    joint_command: str = option(
        JOINT_COMMAND,
        "topic of the joint commands, in the namespace of the states or with slashes",
    )

    def __post_init__(self) -> None:
        """Check that both are names of one kind."""
        super().__post_init__()
        absolute = [name.startswith("/") for name in (self.joint_states, self.joint_command)]
        if len(set(absolute)) > 1:
            raise ConfigError(
                f"JointTopics.joint_command is {self.joint_command!r} and the states are "
                f"{self.joint_states!r}, expected two names that begin with a slash, or none"
            )

    def of_hand(self, hand: str) -> tuple[str, str]:
        """Return the topics of a hand's joint states and joint commands."""
        if self.joint_states.startswith("/"):
            return self.joint_states, self.joint_command
        return f"/{hand}/{self.joint_states}", f"/{hand}/{self.joint_command}"

    def hand(self, topic: str, topic_type: str) -> str | None:
        """Return the hand that a topic belongs to, without slashes; None for any other topic."""
        wanted = {STATE_TYPE: self.joint_states, COMMAND_TYPE: self.joint_command}.get(topic_type)
        if wanted is None:
            return None
        if wanted.startswith("/"):
            namespace = self.joint_states.rpartition("/")[0]
            return namespace.strip("/") if topic == wanted else None
        namespace, _, name = topic.rpartition("/")
        return namespace.strip("/") if name == wanted else None


class JointMessages:
    """Assembles the transitions of every hand from serialised messages as they come."""

    def __init__(self, topics: JointTopics) -> None:
        self._topics = topics
        self.assemblers: dict[str, Assembler] = {}
        """By hand, those that something was heard of."""

    def add(self, message: BagMessage) -> list[TransitionRecord]:
        """Take a message of any topic; return the transitions that are complete by now.

        Raises JointMessageError naming joints that are missing.
        """
        topic = message.topic
        hand = self._topics.hand(topic.name, topic.type)
        if hand is None:
            return []
        if hand not in self.assemblers:
            self.assemblers[hand] = Assembler(hand)
        assembler, decoded = self.assemblers[hand], message.decode()
        try:
            if topic.type == STATE_TYPE:
                state = recorded_state(decoded)
                return assembler.see(stamp_ns(decoded), state, message.log_time_ns)
            return assembler.command(recorded_target(decoded), message.log_time_ns)
        except JointMessageError as error:
            raise JointMessageError(f"{topic.name}: {error}") from None

    def finish(self) -> list[TransitionRecord]:
        """Return what is left when nothing more comes."""
        return [record for a in self.assemblers.values() for record in a.finish()]


class JointReading:
    """The transitions assembled from a bag; iterate once."""

    def __init__(self, path: str | Path, topics: JointTopics) -> None:
        """Raises BagError when there is nothing to read at the path."""
        self.path = path
        self.joints = JointMessages(topics)
        self._topics = topics
        self._messages: Reading = read_messages(path)

    @property
    def report(self) -> ReadReport:
        """What was read so far."""
        return self._messages.report

    def __iter__(self) -> Iterator[TransitionRecord]:
        """Yield the transitions of all hands.

        Raises BagError for damage, for missing joints, and where there are none, saying why.
        """
        is_empty = True
        for message in self._messages:
            for record in self.joints.add(message):
                is_empty = False
                yield record
        for record in self.joints.finish():
            is_empty = False
            yield record
        if is_empty:
            raise BagError(f"{self.path}: {self._why_none()}")

    def _why_none(self) -> str:
        if not self.joints.assemblers:
            return (
                f"holds no {STATE_TYPE} on {self._topics.joint_states} and no {COMMAND_TYPE} on "
                f"{self._topics.joint_command}; name its topics with the settings joint_states "
                "and joint_command"
            )
        counts = ", ".join(
            f"{a.states} joint states and {a.commands} joint commands of {hand or '/'}"
            for hand, a in self.joints.assemblers.items()
        )
        return (
            f"no transition can be assembled from {counts}; expected both of one hand, and states "
            "a control period of 0.1 s apart or faster"
        )


def recorded_state(message: Any) -> HandState:
    """Return the hand's state from a decoded joint state.

    Other joints are passed over, and efforts, which nothing is learnt from, may be missing: they
    are NaN then. Raises JointMessageError naming missing joints, or a list that is too short.
    """
    place = _places(message.name, (*JOINT_NAMES, VALVE_NAME), "joint state")
    values = {}
    for field in ("position", "velocity", "effort"):
        entries = np.asarray(getattr(message, field), np.float64)
        if field == "effort" and not len(entries):
            entries = np.full(len(message.name), np.nan)
        if len(entries) != len(message.name):
            raise JointMessageError(
                f"joint state has {len(entries)} entries in {field}, expected "
                f"{len(message.name)}, one for each joint it names"
            )
        values[field] = entries[place]
    return HandState(
        stamp=ns_to_seconds(stamp_ns(message)),
        joint_position=values["position"][:NUM_JOINTS],
        joint_velocity=values["velocity"][:NUM_JOINTS],
        joint_effort=values["effort"][:NUM_JOINTS],
        valve_angle=float(values["position"][-1]),
        valve_velocity=float(values["velocity"][-1]),
        valve_effort=float(values["effort"][-1]),
    )


def recorded_target(message: Any) -> JointTarget:
    """Return what a decoded joint command asks for; other joints are passed over.

    Raises JointMessageError where it is not one point with a position for each finger joint.
    """
    place = _places(message.joint_names, JOINT_NAMES, "joint command")
    if len(message.points) != 1:
        raise JointMessageError(f"joint command has {len(message.points)} points, expected one")
    positions = np.asarray(message.points[0].positions, np.float64)
    if len(positions) != len(message.joint_names):
        raise JointMessageError(
            f"joint command has {len(positions)} positions, expected "
            f"{len(message.joint_names)}, one for each joint it names"
        )
    return JointTarget(stamp_ns(message), positions[place])


def _places(names: Sequence[str], expected: Sequence[str], what: str) -> list[int]:
    """Return for each expected name its index in `names`, which may have others too."""
    found = {name: index for index, name in enumerate(names)}
    missing = [name for name in expected if name not in found]
    if missing:
        raise JointMessageError(
            f"{what} lacks {', '.join(missing)}; it is for {', '.join(names) or 'no joints'}"
        )
    return [found[name] for name in expected]
