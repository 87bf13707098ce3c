"""A node's report on /diagnostics, once in a while."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node

from smm_ros.conversions import report_to_msg
from smm_ros.interfaces import DIAGNOSTICS, DIAGNOSTICS_QOS
from smm_ros.reports import Level, Report

PERIOD = 1.0
"""Time between two reports, s of wall time."""


class Diagnostics:
    """Publishes what `collect` returns, every PERIOD and whenever asked.

    `collect` gives (level, message, values); it is called in the node's executor.
    """

    def __init__(
        self,
        node: Node,
        collect: Callable[[], tuple[Level, str, Mapping[str, Any]]],
        hardware_id: str = "",
    ) -> None:
        """Start the timer; it follows wall time, so that a stopped /clock does not silence it."""
        self._node = node
        self._collect = collect
        self._hardware_id = hardware_id
        namespace = node.get_namespace().strip("/")
        self._name = f"{namespace}: {node.get_name()}" if namespace else node.get_name()
        self._publisher = node.create_publisher(DiagnosticArray, DIAGNOSTICS, DIAGNOSTICS_QOS)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(PERIOD, self.publish, clock=steady)

    def publish(self) -> None:
        """Collect a report and publish it now."""
        level, message, values = self._collect()
        report = Report(self._name, level, message, values, self._hardware_id)
        now = self._node.get_clock().now().nanoseconds
        self._publisher.publish(report_to_msg(report, now))
