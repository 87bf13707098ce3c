"""The executor does all that rclpy's does, in fewer turns."""

import time

import pytest
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.task import Future
from std_msgs.msg import String
from std_srvs.srv import Trigger

from smm_ros.executor import QuietExecutor


class Counted:
    """Counts how often an executor makes up what it waits for."""

    def __init__(self, executor, node):
        self.turns = 0
        self._executor, self._nodes = executor, executor.get_nodes
        executor.get_nodes = self._counted
        executor.add_node(node)

    def _counted(self):
        self.turns += 1
        return self._nodes()


@pytest.fixture
def node(ros):
    node = Node("spun", context=ros.node.context)
    yield node
    node.destroy_node()


def heard_in(executor, node, messages):
    """Return what a node heard of its own messages, sent one by one, and turns for each."""
    heard = []
    publisher = node.create_publisher(String, "said", 10)
    subscription = node.create_subscription(String, "said", heard.append, 10)
    counted = Counted(executor, node)
    while not publisher.get_subscription_count():
        executor.spin_once(timeout_sec=0.1)
    begun = counted.turns
    for number in range(messages):
        publisher.publish(String(data=str(number)))
        while len(heard) <= number:
            executor.spin_once(timeout_sec=1.0)
        executor.spin_once(timeout_sec=0.01)
    node.destroy_subscription(subscription)
    node.destroy_publisher(publisher)
    executor.shutdown()
    return [message.data for message in heard], (counted.turns - begun) / messages


def test_everything_is_heard_in_fewer_turns(node):
    every, turns = heard_in(QuietExecutor(context=node.context), node, 20)
    assert every == [str(number) for number in range(20)]
    _, usual = heard_in(SingleThreadedExecutor(context=node.context), node, 20)
    assert turns < usual - 0.5


def test_a_callback_that_waits_for_another_goes_on_when_it_has_come(node):
    executor = QuietExecutor(context=node.context)
    executor.add_node(node)
    came = Future(executor=executor)

    async def answer(request, response):
        response.message = await came
        response.success = True
        return response

    node.create_service(Trigger, "ask", answer, callback_group=ReentrantCallbackGroup())
    client = node.create_client(Trigger, "ask")
    assert client.wait_for_service(timeout_sec=30.0)
    asked = client.call_async(Trigger.Request())
    timer = node.create_timer(0.2, lambda: came.done() or came.set_result("late"))
    end = time.monotonic() + 30.0
    while not asked.done() and time.monotonic() < end:
        executor.spin_once(timeout_sec=1.0)
    assert asked.result().message == "late"
    node.destroy_timer(timer)
    executor.shutdown()
