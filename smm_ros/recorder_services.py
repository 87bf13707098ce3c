"""The services of a recorder: start, stop and split the recording, and mark a moment in it."""

from __future__ import annotations

import time
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from rcl_interfaces.msg import Log
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.serialization import serialize_message
from rclpy.task import Future as NodeFuture
from std_srvs.srv import Trigger

from smm_ros.conversions import mark_to_msg
from smm_ros.interfaces import MARKS, MARKS_QOS
from smm_ros.one_shot import OneShot
from smm_ros.recording import Recording
from smm_ros.srv import MarkRecording
from smm_ros.tape import Message

Answer = TypeVar("Answer", Trigger.Response, MarkRecording.Response)

ANSWER_TIME = 3.0
"""Time in which a service answers, s, whether the disk has done its part or not."""


class RecorderServices:
    """Serves one recording; the node goes on while the disk does what was asked for."""

    def __init__(self, node: Node, recording: Recording, is_recording: bool) -> None:
        """Offer the services; `is_recording`: whether it records from the start."""
        self.is_recording = is_recording
        """What was asked for last; the recording follows as fast as the disk lets it."""
        self._node, self._recording = node, recording
        self._marks = node.create_publisher(Log, MARKS, MARKS_QOS)
        self._patience = OneShot(node)
        self._switch: Future[str] | None = None
        # Groups of their own: messages, and remarks, go on while an answer waits.
        group, of_mark = MutuallyExclusiveCallbackGroup(), MutuallyExclusiveCallbackGroup()
        for name, serve in (
            ("start", self._on_start),
            ("stop", self._on_stop),
            ("split", self._on_split),
        ):
            node.create_service(Trigger, f"~/{name}", serve, callback_group=group)
        node.create_service(MarkRecording, "~/mark", self._on_mark, callback_group=of_mark)

    async def _on_start(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        if self.is_recording:
            return await self._repeated(response, "it records already")
        self.is_recording, self._switch = True, self._recording.start()
        return await self._done(self._switch, response)

    async def _on_stop(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        if not self.is_recording:
            return await self._repeated(response, "it is stopped already")
        self.is_recording, self._switch = False, self._recording.stop()
        return await self._done(self._switch, response)

    async def _on_split(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        if not self.is_recording:
            return _filled(response, False, "it is stopped; start begins the next file")
        return await self._done(self._recording.split(), response)

    def _on_mark(
        self, request: MarkRecording.Request, response: MarkRecording.Response
    ) -> MarkRecording.Response:
        label = request.label.strip()
        if not label or len(label.splitlines()) > 1:
            trouble = f"the label is {request.label!r}, expected one line of text"
        elif not self.is_recording:
            trouble = "it is stopped; call start first"
        else:
            trouble = self._mark(label)
        return _filled(response, not trouble, trouble)

    def _mark(self, label: str) -> str:
        """Record and publish a remark; return what went wrong."""
        now = self._node.get_clock().now().nanoseconds
        name = self._node.get_fully_qualified_name().strip("/").replace("/", ".")
        data = serialize_message(mark_to_msg(now, name, label))
        self._marks.publish(data)
        topic = self._marks.topic_name
        if self._recording.put(Message(topic, now, time.time_ns(), data)):
            return ""
        return f"it found no room in memory: {self._trouble()}"

    async def _repeated(self, response: Trigger.Response, text: str) -> Trigger.Response:
        """Answer what was asked for before: that it is so, or with what is still under way."""
        if self._switch is not None and not self._switch.done():
            return await self._done(self._switch, response)
        fault = self._recording.status().fault
        return _filled(response, not fault, f"{text}, but {fault}" if fault else text)

    async def _done(self, order: Future[str], response: Trigger.Response) -> Trigger.Response:
        """Answer when the order is done, or after ANSWER_TIME that it will be."""
        done: NodeFuture[None] = NodeFuture(executor=self._node.executor)
        self._patience.set(ANSWER_TIME, partial(done.set_result, None))
        order.add_done_callback(lambda _: done.set_result(None))
        await done
        self._patience.cancel()
        if order.done():
            _filled(response, True, order.result())
        else:
            text = f"not yet: {self._trouble()}; it is done as soon as the disk lets it"
            _filled(response, False, text)
        self._node.get_logger().info(response.message)
        return response

    def _trouble(self) -> str:
        return self._recording.status().fault or "the disk does not answer"


def _filled(response: Answer, success: bool, message: str) -> Answer:
    response.success, response.message = success, message
    return response
