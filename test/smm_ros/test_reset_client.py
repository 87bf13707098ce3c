"""What is asked of a hand, and what is taken back, against an action server in the test."""

import pytest
from rclpy.action import ActionServer, CancelResponse

from smm_ros.action import ResetHand
from smm_ros.conversions import reset_outcome_to_msg
from smm_ros.interfaces import RESET_HAND
from smm_ros.records import ResetOutcome
from smm_ros.reset_client import ResetClient


@pytest.fixture
def resets(ros):
    """Return the ends of the goals that a hand has taken on; each ends when it is cancelled."""
    ends = []

    async def execute(goal):
        while not goal.is_cancel_requested:
            await pause(ros)
        goal.canceled()
        ends.append("cancelled")
        return reset_outcome_to_msg(ResetOutcome(False, "it was cancelled", 1, 0))

    ActionServer(
        ros.node, ResetHand, RESET_HAND, execute, cancel_callback=lambda _: CancelResponse.ACCEPT
    )
    return ends


async def pause(ros):
    """Let everything else run once."""
    future = ros.executor.create_task(lambda: None)
    await future


@pytest.fixture
def client(ros, resets):
    done = []
    client = ResetClient(ros.node, done.append, silence=20.0, timeout=20.0)
    ros.wait_for(lambda: client.is_ready, what="the action")
    ros.spin(0.2)
    yield client
    assert done == []


def test_a_reset_that_was_taken_on_is_cancelled(client, resets, ros):
    client.ask(0.0)
    ros.wait_for(lambda: client.goal_id, what="the hand's answer")
    assert client.is_under_way
    client.cancel()
    ros.wait_for(lambda: not client.is_under_way, what="the end of the reset")
    assert resets == ["cancelled"]
    assert client.trouble == "the reset ended early: it was cancelled"


def test_a_reset_that_is_cancelled_before_the_hand_has_answered_is_cancelled_all_the_same(
    client, resets, ros
):
    client.ask(0.0)
    client.cancel()
    assert not client.goal_id
    ros.wait_for(lambda: not client.is_under_way, what="the end of the reset")
    assert resets == ["cancelled"]


def test_what_was_cancelled_once_can_be_asked_for_again(client, resets, ros):
    for number in range(2):
        ros.wait_for(lambda: client.ask(0.0) or client.is_under_way, what="the next try")
        client.cancel()
        ros.wait_for(lambda: not client.is_under_way, what="the end of the reset")
        assert len(resets) == number + 1


def test_nothing_is_cancelled_where_nothing_was_asked_for(client, resets, ros):
    client.cancel()
    client.ask(0.0)
    ros.wait_for(lambda: client.goal_id, what="the hand's answer")
    ros.spin(0.2)
    assert resets == []
    assert client.is_under_way
    client.cancel()
    ros.wait_for(lambda: resets, what="the end of the reset")
