"""Which resets of a hand are under way, whoever asked for them."""

from __future__ import annotations

from action_msgs.msg import GoalStatus, GoalStatusArray
from rclpy.node import Node
from rclpy.qos import qos_profile_action_status_default

from smm_ros.interfaces import RESET_HAND

_UNDER_WAY = (
    GoalStatus.STATUS_ACCEPTED,
    GoalStatus.STATUS_EXECUTING,
    GoalStatus.STATUS_CANCELING,
)


class ResetWatch:
    """Hears of every reset of the hand in the node's namespace.

    Joint states do not tell: the twin's are a control period apart in a reset, too.
    """

    def __init__(self, node: Node) -> None:
        """Begin to listen; to be made before what takes joint states, so as to hear first."""
        self._is_under_way: dict[bytes, bool] = {}
        self._over: frozenset[bytes] | None = None
        topic = f"{RESET_HAND}/_action/status"
        node.create_subscription(
            GoalStatusArray, topic, self._on_status, qos_profile_action_status_default
        )

    @property
    def is_any_under_way(self) -> bool:
        """Whether the hand is in a reset."""
        return any(self._is_under_way.values())

    def begin(self) -> None:
        """Take the resets so far for over; each that comes now counts, however short it is."""
        self._over = frozenset(self._is_under_way)

    def has_other(self, mine: bytes) -> bool:
        """Tell whether there was any since `begin`, but for the one with the id `mine`."""
        return self._over is not None and bool(self._is_under_way.keys() - self._over - {mine})

    def _on_status(self, message: GoalStatusArray) -> None:
        for goal in message.status_list:
            self._is_under_way[bytes(goal.goal_info.goal_id.uuid)] = goal.status in _UNDER_WAY
