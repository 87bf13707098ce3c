"""Reading ahead changes nothing but the time at which the disk is waited for."""

import threading
import time

import pytest

from smm_ros.bag.mcap_file import BagError, Topic
from smm_ros.bag.read_ahead import BLOCK_MESSAGES, BLOCKS, ReadAhead
from smm_ros.bag.reading import BagMessage

TOPIC = Topic("/x", "std_msgs/msg/Empty", "", "", "")


def messages(count, size=10):
    for number in range(count):
        yield BagMessage(TOPIC, number, number, bytes(size))


@pytest.mark.parametrize("count", [0, 1, BLOCK_MESSAGES, 10 * BLOCK_MESSAGES + 1])
def test_all_come_in_their_order(count):
    with ReadAhead(messages(count)) as ahead:
        assert [message.log_time_ns for message in ahead] == list(range(count))


def test_an_error_comes_where_the_message_would_have_come():
    def torn():
        yield from messages(300)
        raise BagError("damaged")

    found = []
    with ReadAhead(torn()) as ahead, pytest.raises(BagError, match="damaged"):
        found.extend(message.log_time_ns for message in ahead)
    assert found == list(range(300))


@pytest.mark.parametrize("size", [0, 300_000])
def test_no_more_is_held_than_the_blocks(size):
    taken = [0]

    def counted():
        for message in messages(10**7, size):
            taken[0] += 1
            yield message

    with ReadAhead(counted()) as ahead:
        next(iter(ahead))
        before = -1
        while taken[0] != before:  # until it does not go on
            before = taken[0]
            time.sleep(0.3)
        in_block = BLOCK_MESSAGES if not size else -(-(2**20) // size)
        assert taken[0] <= (BLOCKS + 2) * in_block


def test_the_thread_ends_with_the_with():
    before = threading.active_count()
    with ReadAhead(messages(10**9)) as ahead:
        next(iter(ahead))
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
