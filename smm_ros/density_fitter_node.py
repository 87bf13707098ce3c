"""The density fitter: what `smm bag fit` learns from a file, learnt from topics."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile
from rclpy.task import Future
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from smm_core.offline.state_samples import FitError
from smm_ros.bag.joint_messages import COMMAND_TYPE, STATE_TYPE, JointMessages
from smm_ros.bag.mcap_file import Topic
from smm_ros.bag.offline.fit_stream import FitStream
from smm_ros.bag.offline.fit_work import FitterConfig, FitWork
from smm_ros.bag.reading import TRANSITION, BagError, BagMessage
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.transition_source import JOINT_STATES
from smm_ros.dclaw.task import OBS_NAMES
from smm_ros.diagnostics import Diagnostics
from smm_ros.interfaces import (
    DENSITY_FITTER_NODE,
    FIT,
    JOINT_COMMAND_QOS,
    JOINT_STATES_QOS,
    TRANSITIONS,
    TRANSITIONS_QOS,
)
from smm_ros.msg import Transition
from smm_ros.node_main import NodeDone, NodeError, run
from smm_ros.parameters import declare
from smm_ros.publish_order import PublishOrder
from smm_ros.records import TransitionRecord
from smm_ros.reports import Level
from smm_ros.transition_wire import TransitionWireError, parse_transition

BEAT = 0.1
"""Time between two looks at the fit under way, s of wall time."""
PATIENCE = 50
"""Beats that a message is held back at most for one published before it on another topic.

A subscription that was found late is told what it has missed at the writer's next heartbeat, which
in DDS may take three seconds.
"""
CLOSE_TIMEOUT = 2.0
"""How long a fit may take to give up before the process ends without it, s."""


class DensityFitterNode(Node):
    """Collects transitions from topics and fits to them when asked, or when they have ended."""

    def __init__(self) -> None:
        """Declare the parameters and listen."""
        super().__init__(DENSITY_FITTER_NODE)
        self._config = declare(self, FitterConfig())
        self._out = Path(self._config.out).expanduser().resolve()
        if self._out.exists():
            raise NodeError(f"out is {self._out}, which exists; name another folder")
        # Made before anything can come: torch takes seconds to start, in which a replay goes on.
        self._stream = FitStream(self._config.fit, len(OBS_NAMES))
        self._joints = JointMessages(self._config.topics)
        self._topics = self._heard_topics()
        self._order = PublishOrder[BagMessage](list(self._topics), PATIENCE)
        self._work: FitWork | None = None
        self._answer: Future[None] | None = None
        self._is_last = False
        self._heard = self._seen = 0
        self._quiet_since = 0.0
        self._shown_gaps = self._shown_late = 0
        self._listen()
        # In a group of its own: what waits in one for the end of a fit keeps up none of the rest.
        apart = ReentrantCallbackGroup()
        self.create_service(Trigger, FIT, self._on_fit, callback_group=apart)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(BEAT, self._on_beat, clock=steady)
        self._diagnostics = Diagnostics(self, self._report)

    def close(self) -> None:
        """Give up a fit under way."""
        if self._work is not None:
            self._work.stop()
            self._work.join(CLOSE_TIMEOUT)

    def _heard_topics(self) -> dict[str, tuple[Topic, type, QoSProfile]]:
        """Return what to listen to, by name."""
        found: dict[str, tuple[Topic, type, QoSProfile]] = {}
        for hand in self._config.hand_names:
            if self._config.source != JOINT_STATES:
                name = f"/{hand}/{TRANSITIONS}"
                found[name] = installed_topic(name, TRANSITION), Transition, TRANSITIONS_QOS
                continue
            states, command = self._config.topics.of_hand(hand)
            topic = installed_topic(command, COMMAND_TYPE)
            found[states] = installed_topic(states, STATE_TYPE), JointState, JOINT_STATES_QOS
            found[command] = topic, JointTrajectory, JOINT_COMMAND_QOS
        return found

    def _listen(self) -> None:
        for name, (topic, kind, qos) in self._topics.items():
            # Nothing is pushed out by what comes behind it: a player that is faster has to wait.
            patient = QoSProfile(
                history=HistoryPolicy.KEEP_ALL,
                reliability=qos.reliability,
                durability=qos.durability,
            )
            heard: Any = partial(self._on_message, topic)
            self.create_subscription(kind, name, heard, patient, raw=True)
            self.get_logger().info(f"listening to {name}")

    def _on_message(self, topic: Topic, data: bytes, info: Mapping[str, int]) -> None:
        self._heard += 1
        # Not every middleware tells it.
        published = info["source_timestamp"] or info["received_timestamp"]
        message = BagMessage(topic, published, published, data)
        self._take(self._order.add(topic.name, published, message))

    def _take(self, messages: Sequence[BagMessage]) -> None:
        for message in messages:
            for record in self._records(message, self._joints):
                self._stream.add(record)
        late = self._order.late
        if late > self._shown_late:
            self._shown_late = late
            self.get_logger().warning(_late_text(late), throttle_duration_sec=1.0)
        gaps = self._stream.num_gaps
        if gaps > self._shown_gaps:
            self._shown_gaps = gaps
            text = f"{gaps} transitions are missing: not all that was published has come"
            self.get_logger().error(text, throttle_duration_sec=1.0)

    def _records(self, message: BagMessage, joints: JointMessages) -> list[TransitionRecord]:
        if self._config.source == JOINT_STATES:
            return joints.add(message)
        try:
            return [parse_transition(message.data)]
        except TransitionWireError as error:
            raise NodeError(str(error)) from error

    async def _on_fit(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        """Fit to what has come so far; answer when it is done, and listen meanwhile."""
        if self._work is not None:
            response.success, response.message = False, "a fit is under way; ask again later"
            return response
        work = self._start()
        self._answer = Future(executor=self.executor)
        await self._answer
        response.success, response.message = not work.fault, work.result or work.fault
        return response

    def _start(self) -> FitWork:
        """Begin a fit in its thread, also to what is still kept back."""
        stream, joints = copy.deepcopy(self._stream), copy.deepcopy(self._joints)
        for message in copy.deepcopy(self._order).rest():
            for record in self._records(message, joints):
                stream.add(record)
        for record in joints.finish():
            stream.add(record)
        origin = {"hands": list(self._config.hand_names), "from": self._config.source}
        self._work = FitWork(stream, self._out, origin)
        self._work.start()
        return self._work

    def _on_beat(self) -> None:
        self._take(self._order.beat())
        if self._work is not None:
            if not self._work.is_alive():
                self._end(self._work)
            return
        # Told by beats between which nothing came: of a busy process the clock alone says little.
        if self._seen != self._heard:
            self._seen, self._quiet_since = self._heard, time.monotonic()
        quiet = time.monotonic() - self._quiet_since
        if self._heard and 0 < self._config.fit_after <= quiet:
            self._is_last = True
            self._start()

    def _end(self, work: FitWork) -> None:
        self._work = None
        if work.error is not None:
            raise work.error
        if work.fault:
            self.get_logger().error(f"no fit: {work.fault}")
        else:
            self.get_logger().info(work.result)
        if self._answer is not None:
            self._answer.set_result(None)
            self._answer = None
        if self._is_last:
            if work.fault:
                raise NodeError(work.fault)
            raise NodeDone

    def _report(self) -> tuple[Level, str, Mapping[str, Any]]:
        values: dict[str, Any] = {"source": self._config.source, "out": self._out}
        for hand, counts in self._stream.hands.items():
            values[f"{hand}/transitions"] = counts.transitions
            values[f"{hand}/gaps"] = counts.gaps
            values[f"{hand}/recordings"] = counts.recordings
            values[f"{hand}/doubles"] = counts.doubles
        for hand, assembler in self._joints.assemblers.items():
            values[f"{hand}/joint states"] = assembler.states
            values[f"{hand}/joint commands"] = assembler.commands
            values[f"{hand}/joint states refused"] = assembler.refused
        values["messages out of order"] = self._order.late
        message = "listening"
        if self._work is not None:
            message = "fitting"
            values["fit"] = f"{self._work.steps} of {self._work.total_steps} steps"
        if self._stream.num_gaps or self._order.late:
            if self._stream.num_gaps:
                message += f"; {self._stream.num_gaps} transitions never came"
            if self._order.late:
                message += f"; {_late_text(self._order.late)}"
            return Level.WARN, message, values
        if not self._heard:
            return Level.WARN, "nothing has come yet; is something published?", values
        return Level.OK, message, values


def _late_text(late: int) -> str:
    return (
        f"{late} messages came more than {PATIENCE * BEAT:.0f} s behind others that were "
        "published later, on another topic: a file may give other models"
    )


def main(args: Sequence[str] | None = None) -> int:
    """Listen until a signal or the end of the data; return the exit status."""
    return run(DensityFitterNode, args, expected=(BagError, FitError))


if __name__ == "__main__":
    sys.exit(main())
