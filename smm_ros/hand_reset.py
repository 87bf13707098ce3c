"""The reset of a hand as the action `reset_hand`: stages as feedback, never blocking the node."""

from __future__ import annotations

from contextlib import closing
from typing import Protocol

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node

from smm_ros.action import ResetHand
from smm_ros.conversions import reset_goal_angle, reset_outcome_to_msg, reset_stage_to_msg
from smm_ros.dclaw.hand import HandError, ResetStage, ResetStages
from smm_ros.interfaces import RESET_HAND
from smm_ros.one_shot import OneShot
from smm_ros.records import ResetOutcome


class Resettable(Protocol):
    """What the server asks of the node that owns the hand."""

    def reset_refusal(self) -> str | None:
        """Tell why no reset can go on now, or None where it can."""

    def begin_reset(self, valve_angle: float) -> ResetStages:
        """Leave lock step and return the stages, each worked off by asking for the next."""

    def seconds_until_due(self) -> float:
        """Return how long to wait before the hand's state is shown, s; 0 or less for at once."""

    def show_in_reset(self) -> None:
        """Show the hand's state on the way."""

    def end_reset(self, success: bool, error: HandError | None = None) -> int:
        """Go back to lock step, or to holding; after an error of the hand stop it.

        Returns the state's stamp in ns.
        """


class _EndedError(Exception):
    """The reset does not go on, which is no fault of the hand."""


class ResetServer:
    """Serves one reset at a time; a new goal takes the place of the one under way."""

    def __init__(self, node: Node, hand: Resettable) -> None:
        """Offer the action."""
        self._hand = hand
        self._logger = node.get_logger()
        self._newest, self._ending = 0, ""
        self._stages: ResetStages = (stage for stage in list[ResetStage]())
        self._pause = OneShot(node)
        self._server = ActionServer(
            node,
            ResetHand,
            RESET_HAND,
            self._execute,
            goal_callback=self._on_goal,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    def end(self, reason: str) -> None:
        """Have the reset under way, if any, end; whatever comes next, it does not go on."""
        self._ending = reason
        self._pause.fire_now()

    def _on_goal(self, goal: ResetHand.Goal) -> GoalResponse:
        reason = self._hand.reset_refusal()
        if reason is None:
            return GoalResponse.ACCEPT
        self._logger.warning(f"reset refused: {reason}", throttle_duration_sec=5.0)
        return GoalResponse.REJECT

    async def _execute(self, goal: ServerGoalHandle) -> ResetHand.Result:
        outcome = await self._reset(goal)
        if outcome.success:
            goal.succeed()
        elif goal.is_cancel_requested:
            goal.canceled()
        else:
            goal.abort()
        if not outcome.success:
            self._logger.warning(f"reset ended early: {outcome.message}")
        return reset_outcome_to_msg(outcome)

    async def _reset(self, goal: ServerGoalHandle) -> ResetOutcome:
        self._newest += 1
        self._ending = ""
        number = self._newest
        # The reset under way, if any, wakes up, finds itself replaced and ends.
        self._pause.fire_now()
        attempts = 0
        try:
            # Closed before another begins: it has the hand stay where it is then.
            self._stages.close()
            self._stages = self._hand.begin_reset(reset_goal_angle(goal.request))
            with closing(self._stages) as stages:
                for stage in stages:
                    attempts = stage.attempt
                    goal.publish_feedback(reset_stage_to_msg(stage))
                    await self._let_others_run(goal, number)
                await self._let_others_run(goal, number)
        except (_EndedError, ValueError) as error:
            return ResetOutcome(False, str(error), attempts, self._give_up(number))
        except HandError as error:
            return ResetOutcome(False, str(error), attempts, self._give_up(number, error))
        except Exception:
            self._give_up(number)
            raise
        return ResetOutcome(True, "", attempts, self._hand.end_reset(success=True))

    async def _let_others_run(self, goal: ServerGoalHandle, number: int) -> None:
        """Wait until the state is due, find out whether the reset still goes on, and show it."""
        await self._pause.sleep(self._hand.seconds_until_due())
        reason = self._hand.reset_refusal()
        if self._ending:
            reason = self._ending
        if number != self._newest:
            reason = "a newer reset took its place"
        elif goal.is_cancel_requested:
            reason = "it was cancelled"
        if reason is not None:
            raise _EndedError(reason)
        self._hand.show_in_reset()

    def _give_up(self, number: int, error: HandError | None = None) -> int:
        # After a newer goal the hand is no longer this one's to set free.
        return self._hand.end_reset(False, error) if number == self._newest else 0
