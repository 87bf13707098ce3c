"""The stop of a hand as services, and the topic that tells whether it is stopped."""

from __future__ import annotations

from typing import Protocol

from rclpy.node import Node
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from smm_ros.conversions import stopped_to_msg
from smm_ros.dclaw.hand import HandError
from smm_ros.interfaces import CLEAR_STOP, STOP, STOPPED, STOPPED_QOS


class Stoppable(Protocol):
    """What the server asks of the node that owns the hand."""

    def stop(self) -> str:
        """Switch torque off and refuse everything until `clear_stop`; return what failed."""

    def clear_stop(self) -> str:
        """Take the hand up again; return what that waits for. Raises HandError if it can not."""


class StopServer:
    """Serves the stop, which latches until it is cleared."""

    def __init__(self, node: Node, hand: Stoppable) -> None:
        """Offer the services, and tell that the hand is not stopped."""
        self._hand, self._logger = hand, node.get_logger()
        self._stopped = node.create_publisher(Bool, STOPPED, STOPPED_QOS)
        node.create_service(Trigger, STOP, self._on_stop)
        node.create_service(Trigger, CLEAR_STOP, self._on_clear_stop)
        self.tell(False)

    def tell(self, stopped: bool) -> None:
        """Tell whether the hand is stopped, late comers too."""
        self._stopped.publish(stopped_to_msg(stopped))

    def _on_stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        trouble = self._hand.stop()
        response.success = not trouble
        response.message = trouble or f"torque is off until {CLEAR_STOP}"
        self._logger.warning(f"stopped: {response.message}")
        return response

    def _on_clear_stop(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        try:
            waits_for = self._hand.clear_stop()
        except HandError as error:
            response.message = f"still stopped: {error}"
            return response
        response.success = True
        response.message = "the stop is cleared"
        if waits_for:
            response.message += f"; the hand goes on once this is mended: {waits_for}"
        self._logger.info(response.message)
        return response
