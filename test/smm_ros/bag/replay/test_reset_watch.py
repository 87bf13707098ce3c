"""What is told of the resets of a hand, by an action server in the test."""

import pytest
from rclpy.action import ActionServer

from smm_ros.action import ResetHand
from smm_ros.bag.replay.reset_watch import ResetWatch
from smm_ros.conversions import reset_goal, reset_outcome_to_msg
from smm_ros.interfaces import RESET_HAND
from smm_ros.records import ResetOutcome


@pytest.fixture
def watch(ros):
    """Return a watch over a hand whose resets take no time."""

    def execute(goal):
        goal.succeed()
        return reset_outcome_to_msg(ResetOutcome(True, "", 1, 0))

    ActionServer(ros.node, ResetHand, RESET_HAND, execute)
    return ResetWatch(ros.node)


def reset(ros):
    """Have the hand reset, and return the goal's id when it is over."""
    goal = ros.send_goal(ResetHand, RESET_HAND, reset_goal(0.0))
    ros.result(goal.get_result_async())
    ros.spin(0.2)
    return bytes(goal.goal_id.uuid)


def test_a_reset_that_is_over_before_one_looks_is_noticed(watch, ros):
    watch.begin()
    assert not watch.has_other(b"")
    reset(ros)
    assert not watch.is_any_under_way
    assert watch.has_other(b"")


def test_those_before_it_began_and_one_s_own_do_not_count(watch, ros):
    reset(ros)
    assert not watch.has_other(b"")
    watch.begin()
    assert not watch.has_other(b"")
    mine = reset(ros)
    assert not watch.has_other(mine)
    assert watch.has_other(b"another")
