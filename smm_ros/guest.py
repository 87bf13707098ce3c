"""The node of a command in a graph of others, for as long as the command takes."""

from __future__ import annotations

import os

import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

_UNKNOWN = "_UNKNOWN_"


class Guest(Node):
    """Has a context of its own, leaves signals alone, and brings only what it is given."""

    def __init__(self, name: str, namespace: str = "/") -> None:
        """Join the graph, as a name of which there is one in each process."""
        context = Context()
        rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
        super().__init__(
            f"{name}_{os.getpid()}",
            namespace=namespace,
            context=context,
            use_global_arguments=False,
            enable_rosout=False,
            start_parameter_services=False,
        )

    def destroy_node(self) -> None:
        """Leave the graph; has to be called on every way out, as the end of a `with` does."""
        super().destroy_node()
        self.context.try_shutdown()

    def other_publishers(self, topic: str) -> list[str]:
        """Return the full names of the other nodes that publish a topic, as far as known by now.

        `topic` is resolved as for a publisher. The same node may be there more than once.
        """
        mine = (self.get_name(), self.get_namespace())
        found = []
        for info in self.get_publishers_info_by_topic(self.resolve_topic_name(topic)):
            if (info.node_name, info.node_namespace) != mine:
                other = f"{info.node_namespace.rstrip('/')}/{info.node_name}"
                # Its name comes a little later.
                found.append("another node" if _UNKNOWN in other else other)
        return found
