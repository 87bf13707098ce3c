"""Something to be done once, after a while of wall time, without blocking the executor."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.task import Future


class OneShot:
    """A timer that fires once each time it is set; setting it again replaces what was set."""

    def __init__(self, node: Node) -> None:
        """Make the timer, not running."""
        self._node = node
        self._action: Callable[[], None] | None = None
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(1.0, self.fire_now, clock=steady, autostart=False)

    def set(self, delay: float, action: Callable[[], None]) -> None:
        """Call `action` in the node's executor after `delay` s; at once if it is not positive."""
        self._action = action
        self._timer.timer_period_ns = round(max(0.0, delay) * 1e9)
        self._timer.reset()

    def cancel(self) -> None:
        """Forget what was set."""
        self._action = None
        self._timer.cancel()

    def fire_now(self) -> None:
        """Do at once what was set, if anything."""
        action = self._action
        self.cancel()
        if action is not None:
            action()

    async def sleep(self, delay: float) -> None:
        """Let the executor do other work for `delay` s; always at least once around."""
        done: Future[None] = Future(executor=self._node.executor)
        self.set(delay, lambda: done.set_result(None))
        await done
