"""Topics put in order: what is given on does not depend on which of them comes first."""

import numpy as np
import pytest

from smm_ros.publish_order import PublishOrder

TOPICS = ("states", "commands", "others")
PATIENCE = 5


@pytest.fixture
def order():
    return PublishOrder(TOPICS, PATIENCE)


def published(count, seed):
    """Return (topic, time) in the order published."""
    topics = np.random.default_rng(seed).choice(TOPICS, count)
    return [(str(topic), 10 * number + 7) for number, topic in enumerate(topics)]


def shuffled(messages, seed):
    """Return them in an order that keeps the one within each topic, and any across them."""
    draw = np.random.default_rng(seed)
    queues = {topic: [m for m in messages if m[0] == topic] for topic in TOPICS}
    while any(queues.values()):
        name = draw.choice([name for name, queue in queues.items() if queue])
        yield queues[name].pop(0)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_topic_comes_first_they_go_on_as_they_were_published(order, seed):
    messages = published(200, seed)
    beats, found = iter(range(PATIENCE - 1)), []
    for number, (topic, time) in enumerate(shuffled(messages, seed + 100)):
        found += order.add(topic, time, (topic, time))
        if number % 50 == 0 and next(beats, None) is not None:
            found += order.beat()
    assert found + order.rest() == messages
    assert order.late == 0


def test_a_topic_alone_never_waits():
    order = PublishOrder(["states"], PATIENCE)
    assert [order.add("states", time, time) for time in (3, 4)] == [[3], [4]]


def test_a_silent_topic_is_waited_for_with_patience(order):
    found = [order.add("states", 10 * beat, beat) or order.beat() for beat in range(PATIENCE + 3)]
    assert found == [[]] * (PATIENCE - 1) + [[0], [1], [2], [3]]


def test_what_comes_too_late_goes_on_and_is_counted(order):
    order.add("states", 10, "state")
    assert sum((order.beat() for _ in range(PATIENCE)), []) == ["state"]
    order.add("commands", 9, "command")
    assert (order.rest(), order.late) == (["command"], 1)
