"""Asks the hand for a reset until it is done: a hand may refuse, fail, die or be started anew."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.node import Node
from rclpy.task import Future

from smm_ros.action import ResetHand
from smm_ros.conversions import reset_goal, reset_outcome_from_msg
from smm_ros.interfaces import RESET_HAND

RETRY_PERIOD = 0.5
"""Time between a reset that was refused or failed and the next try, s of wall time."""


class ResetClient:
    """One reset at a time of the hand in the node's namespace.

    A hand that is killed stays in the graph for seconds, and a goal it was sent is never
    answered; so a hand whose answer or feedback stays away is asked again. The states it shows
    count for nothing: they may be those of a hand started since, that knows of no reset.
    """

    def __init__(
        self, node: Node, on_done: Callable[[int], None], silence: float, timeout: float
    ) -> None:
        """Make the client.

        `on_done` gets the stamp (ns) of the first state after the reset; a reset is given up
        after `silence` s without a word about it, and after `timeout` s in any case.
        """
        self.trouble = ""
        """What the last try failed of; empty when it went well."""
        self.is_lost = False
        """Whether the last try was given up unanswered: the hand may go on with it."""
        self._client: Any = ActionClient(node, ResetHand, RESET_HAND)
        self._on_done = on_done
        self._silence, self._timeout = silence, timeout
        self._number = 0
        self._is_under_way = self._is_unwanted = False
        self._asked = self._heard = self._retry = 0.0
        self._goal: ClientGoalHandle | None = None

    @property
    def is_ready(self) -> bool:
        """Whether there is a hand to ask."""
        return bool(self._client.server_is_ready())

    @property
    def is_under_way(self) -> bool:
        """Whether the hand was asked, and has not told of the end."""
        return self._is_under_way

    @property
    def goal_id(self) -> bytes:
        """Which reset the hand took on last for this client; empty for none."""
        return b"" if self._goal is None else bytes(self._goal.goal_id.uuid)

    def cancel(self) -> None:
        """Have the hand stay where it is: now, or when it takes the reset under way on."""
        if self._is_under_way and not self._is_unwanted:
            self._is_unwanted = True
            if self._goal is not None:
                self._goal.cancel_goal_async()

    def ask(self, valve_angle: float) -> None:
        """Ask for a reset with the valve at an angle (rad), unless one is under way."""
        now = time.monotonic()
        if self._is_under_way and self._is_overdue(now):
            self._fail("the hand does not answer to a reset; is it running?")
            self.is_lost = True
        if self._is_under_way or now < self._retry:
            return
        if not self.is_ready:
            self.trouble = "there is no hand to reset; is it running?"
            return
        self._is_under_way, self._asked, self._heard = True, now, now
        self._is_unwanted = self.is_lost = False
        self._goal = None
        self._number += 1
        number = self._number
        sent = self._client.send_goal_async(reset_goal(valve_angle), lambda _: self._hear(number))
        sent.add_done_callback(lambda future: self._on_answer(number, future))

    def _is_overdue(self, now: float) -> bool:
        return now - self._heard > self._silence or now - self._asked > self._timeout

    def _hear(self, number: int) -> None:
        if number == self._number:
            self._heard = time.monotonic()

    def _on_answer(self, number: int, future: Future[ClientGoalHandle]) -> None:
        goal = future.result()
        if number != self._number or goal is None:
            return
        self._hear(number)
        if not goal.accepted:
            self._fail("the hand refuses to be reset; is it stopped (clear_stop) or not active?")
            return
        self._goal = goal
        if self._is_unwanted:
            goal.cancel_goal_async()
        result = goal.get_result_async()
        result.add_done_callback(lambda future: self._on_result(number, future))

    def _on_result(self, number: int, future: Future[Any]) -> None:
        response = future.result()
        if number != self._number or response is None:
            return
        outcome = reset_outcome_from_msg(response.result)
        if not outcome.success:
            self._fail(f"the reset ended early: {outcome.message}")
            return
        self._is_under_way, self.trouble = False, ""
        self._on_done(outcome.stamp_ns)

    def _fail(self, reason: str) -> None:
        self._number += 1  # a late answer counts no more
        self._is_under_way, self.trouble = False, reason
        self._retry = time.monotonic() + RETRY_PERIOD
