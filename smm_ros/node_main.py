"""What every node's `main` shares: start, spin, end on a signal, report what went wrong."""

from __future__ import annotations

import gc
import sys
import traceback
from collections.abc import Callable, Sequence

import rclpy
from rclpy.executors import Executor, ExternalShutdownException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from smm_core.config import ConfigError
from smm_ros.executor import QuietExecutor
from smm_ros.signals import Signals

# How long a signal may wait for the executor to come back to Python, s.
SIGNAL_LATENCY = 0.1


class NodeDone(Exception):  # noqa: N818 - the work is finished, nothing went wrong
    """Raised in a callback to end the process with status 0."""


class NodeError(Exception):
    """A fault that its message explains in full: shown without a traceback, status 1."""


def run(
    make_node: Callable[[], Node],
    args: Sequence[str] | None = None,
    expected: tuple[type[Exception], ...] = (),
) -> int:
    """Make the node, spin it until a signal, NodeDone or an error, and return the exit status.

    A node that has a method `close()` gets it called on every way out, while its communication
    still works. `args` are as for rclpy.init (None: the process's own). NodeError, ConfigError
    and the types in `expected` are shown as one line; any other error with its traceback.
    """
    with Signals() as signals:
        rclpy.init(
            args=None if args is None else list(args),
            signal_handler_options=SignalHandlerOptions.NO,
        )
        try:
            _live(make_node, signals)
        except (NodeDone, ExternalShutdownException):
            return 0
        except Exception as error:
            if isinstance(error, (NodeError, ConfigError, *expected)):
                print(f"error: {error}", file=sys.stderr, flush=True)
            else:
                traceback.print_exc()
            return 1
        finally:
            rclpy.try_shutdown()
            # The process ends now: searching torch's many objects for garbage would take a second.
            gc.freeze()
    return 0


def _live(make_node: Callable[[], Node], signals: Signals) -> None:
    node = make_node()
    executor = QuietExecutor()
    try:
        _spin(node, executor, signals)
    finally:
        close = getattr(node, "close", None)
        try:
            if close is not None:
                close()
        finally:
            executor.remove_node(node)
            executor.shutdown()
            node.destroy_node()


def _spin(node: Node, executor: Executor, signals: Signals) -> None:
    executor.add_node(node)
    while rclpy.ok() and not signals.count:
        executor.spin_once(timeout_sec=SIGNAL_LATENCY)
