"""Playing bags into the graph, heard by real subscribers; the session runs in a thread."""

import threading
import time

import pytest
from rcl_interfaces.msg import Log
from rclpy.qos import HistoryPolicy, QoSProfile
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Header

from smm_ros.bag.mcap_file import Topic
from smm_ros.bag.replay import play_session
from smm_ros.bag.replay.play_keys import Keys
from smm_ros.bag.replay.play_session import PlaySession
from smm_ros.bag.replay.play_settings import PlaySettings
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.conversions import clock_to_msg, time_to_ns, transition_to_msg
from smm_ros.interfaces import CLOCK_QOS, TRANSITIONS_QOS
from smm_ros.msg import Transition
from smm_ros.node_main import NodeError

TRANSITIONS = installed_topic(
    "/dclaw/transitions", "smm_ros/msg/Transition", 50, durability="transient_local"
)
HEADERS = installed_topic("/headers", "std_msgs/msg/Header")
OTHERS = installed_topic("/others", "std_msgs/msg/Header")
CLOCK = installed_topic("/clock", "rosgraph_msgs/msg/Clock", 1, "best_effort")
LOG = installed_topic("/rosout", "rcl_interfaces/msg/Log")
FOREIGN = Topic("/foreign", "absent_msgs/msg/Thing", "int32 x", "RIHS01_00", HEADERS.offered_qos)
CHANGED = Topic("/changed", HEADERS.type, HEADERS.definition, "RIHS01_00", HEADERS.offered_qos)
EVERYTHING = QoSProfile(history=HistoryPolicy.KEEP_ALL)
BEGIN, STEP = 10**18, 10**7
"""ns"""


@pytest.fixture
def bag(tmp_path, make_record):
    """Return a function that makes a bag of so many messages of each topic, 10 ms apart."""

    def data(topic, number):
        if topic is TRANSITIONS:
            return serialize_message(transition_to_msg(make_record(number)))
        if topic is CLOCK:
            return serialize_message(clock_to_msg(number))
        if topic is LOG:
            return serialize_message(Log(msg=f"line {number}"))
        return serialize_message(Header(frame_id=f"{topic.name} {number}"))

    def make(count, *topics, name="run", last=None):
        writer = BagWriter(tmp_path / name, [*topics, *([last] if last else [])])
        sent = {topic.name: [] for topic in topics}
        for number in range(count):
            for topic in topics:
                found = data(topic, number)
                found += bytes(-len(found) % 4)  # as DDS fills it up, so as it is recorded
                writer.write(topic.name, BEGIN + number * STEP, found)
                sent[topic.name].append(found)
        if last:
            writer.write(last.name, BEGIN + 3600 * 10**9, data(last, 0))
        writer.close()
        return tmp_path / name, sent

    return make


@pytest.fixture
def play(ros, monkeypatch):
    """Return a function that plays in a thread, which it returns, and what was said."""
    monkeypatch.setattr(play_session, "ARRIVE_WITHIN", 0.0)
    threads = []

    def start(*bags, **settings):
        def run():
            with PlaySession(bags, PlaySettings(**{"wait": 20.0} | settings), Keys()) as session:
                session.run()

        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
        return threads[-1]

    yield start
    for thread in threads:
        ros.wait_for(lambda thread=thread: not thread.is_alive(), what="the end of playing")


@pytest.fixture
def hear(ros):
    """Return a function that returns a list which fills with the bytes on a topic."""

    def collect(topic, kind=Header, qos=EVERYTHING):
        heard = []
        ros.node.create_subscription(kind, topic.name, heard.append, qos, raw=True)
        return heard

    return collect


def finish(ros, thread, heard=(), count=0):
    """Take in what comes until all is played."""
    ros.wait_for(lambda: not thread.is_alive(), what="the end of playing")
    ros.wait_for(lambda: len(heard) >= count, what="the last messages")
    ros.spin(0.2)


def test_transitions_come_over_the_topic_byte_for_byte(bag, play, hear, ros, capsys):
    path, sent = bag(300, TRANSITIONS, HEADERS)
    heard = hear(TRANSITIONS, Transition, TRANSITIONS_QOS)
    headers = hear(HEADERS)
    finish(ros, play(path, rate=10.0), heard, 300)
    assert heard == sent[TRANSITIONS.name]
    assert headers == sent[HEADERS.name]
    said = capsys.readouterr().out
    assert "played 600 messages" in said
    assert "late by" in said


def test_who_comes_late_gets_what_a_latched_topic_keeps(bag, play, ros, hear):
    path, sent = bag(80, TRANSITIONS, last=HEADERS)
    heard = hear(TRANSITIONS, Transition, TRANSITIONS_QOS)
    thread = play(path, max_gap=5.0)
    ros.wait_for(lambda: len(heard) == 80, what="all")
    late = hear(TRANSITIONS, Transition, TRANSITIONS_QOS)
    ros.wait_for(lambda: len(late) == 50, what="what is kept")
    assert late == sent[TRANSITIONS.name][30:]
    assert thread.is_alive()


def test_topics_are_chosen_left_out_and_renamed(bag, play, hear, ros, capsys):
    path, sent = bag(20, TRANSITIONS, HEADERS, CLOCK)
    renamed = Topic("/lab/headers", *list(vars(HEADERS).values())[1:])
    old, new, other = hear(HEADERS), hear(renamed), hear(CLOCK, Clock, CLOCK_QOS)
    thread = play(path, exclude=(CLOCK.name,), remap=(f"{HEADERS.name}:={renamed.name}",))
    finish(ros, thread, new, 20)
    assert new == sent[HEADERS.name]
    assert old == other == []
    assert CLOCK.name not in capsys.readouterr().out


def test_start_and_duration_choose_a_part(bag, play, hear, ros):
    path, sent = bag(100, HEADERS)
    heard = hear(HEADERS)
    finish(ros, play(path, start=0.2, duration=0.3), heard, 30)
    assert heard == sent[HEADERS.name][20:50]


def test_a_loop_begins_again_and_a_delay_comes_before_each_pass(bag, play, hear, ros):
    path, sent = bag(10, HEADERS)
    heard = hear(HEADERS)
    passes = []

    def sleep(seconds):
        passes.append(seconds)
        if len(passes) > 3:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(play_session, "time", Clocked(sleep))
        finish(ros, play(path, loop=True, delay=0.25), heard, 30)
    assert heard == 3 * sent[HEADERS.name]
    assert passes == [0.25] * 4


class Clocked:
    """The module `time` with another sleep."""

    monotonic = staticmethod(time.monotonic)

    def __init__(self, sleep):
        self.sleep = sleep


def test_bags_are_played_by_their_times(bag, play, ros):
    first, ours = bag(30, HEADERS, name="first")
    second, theirs = bag(30, OTHERS, name="second")
    order = []
    for topic in (HEADERS, OTHERS):
        ros.node.create_subscription(Header, topic.name, order.append, EVERYTHING, raw=True)
    finish(ros, play(first, second, rate=0.3), order, 60)
    pairs = zip(ours[HEADERS.name], theirs[OTHERS.name], strict=True)
    for number, pair in enumerate(pairs):
        assert set(order[2 * number : 2 * number + 2]) == set(pair)


def test_the_bag_s_time_is_told_on_clock(bag, play, ros):
    path, _ = bag(50, HEADERS)
    times = []
    ros.node.create_subscription(
        Clock, CLOCK.name, lambda told: times.append(time_to_ns(told.clock)), CLOCK_QOS
    )
    finish(ros, play(path, clock=100.0, rate=0.5, delay=1.0, wait=0.0))
    assert len(times) > 20
    # At half the rate its time goes on by 5 ms with each of the 100 messages in a second.
    steps = [late - early for early, late in zip(times, times[1:], strict=False)]
    assert {step % (STEP // 2) for step in steps} == {0}, "one may be lost, none is wrong"
    assert times[0] >= BEGIN
    assert times[-1] <= BEGIN + 49 * STEP


def test_a_clock_of_the_bag_s_own_is_played_instead(bag, play, hear, ros, capsys):
    path, sent = bag(20, CLOCK)
    heard = hear(CLOCK, Clock, CLOCK_QOS)
    finish(ros, play(path, clock=100.0), heard, 1)
    assert set(heard) <= set(sent[CLOCK.name]), "some may be lost, none is another"
    assert "/clock is the bag's own" in capsys.readouterr().err


def test_types_that_are_not_here_as_recorded_are_named_and_left_out(bag, play, hear, ros, capsys):
    path, sent = bag(20, FOREIGN, CHANGED, HEADERS)
    heard = hear(HEADERS)
    finish(ros, play(path), heard, 20)
    assert heard == sent[HEADERS.name]
    said = capsys.readouterr().err
    assert "/foreign is not played (20 messages): absent_msgs/msg/Thing is not installed" in said
    assert "/changed is not played (20 messages)" in said


@pytest.fixture
def refusal():
    """Return a function that plays without a thread, and returns why it ended."""

    def play(bag, **settings):
        with (
            PlaySession([bag], PlaySettings(**settings), Keys()) as session,
            pytest.raises(NodeError) as ended,
        ):
            session.run()
        return str(ended.value)

    return play


def test_what_others_publish_is_not_played_beside_them(bag, refusal, hear, ros):
    path, _ = bag(20, HEADERS, OTHERS, CLOCK)
    heard = hear(HEADERS)
    ros.node.create_publisher(Header, HEADERS.name, 1)
    ros.node.create_publisher(Clock, CLOCK.name, CLOCK_QOS)
    reason = refusal(path)
    assert "/clock by /dclaw/test_client; /headers by /dclaw/test_client" in reason
    assert "--anyway" in reason
    assert "/others" not in reason
    ros.spin(0.3)
    assert heard == []


def test_nor_is_the_bag_s_time_beside_another_clock(bag, refusal, ros):
    path, _ = bag(20, HEADERS)
    ros.node.create_publisher(Clock, CLOCK.name, CLOCK_QOS)
    assert "/clock by /dclaw/test_client" in refusal(path, clock=100.0)


def test_it_ends_where_others_begin_to_publish_the_same(bag, refusal, hear, ros):
    path, _ = bag(3000, HEADERS)
    heard = hear(HEADERS)

    def begin():
        ros.wait_for(lambda: len(heard) > 20, what="messages")
        ros.node.create_publisher(Header, HEADERS.name, 1)
        ros.spin(1.0)

    other = threading.Thread(target=begin, daemon=True)
    other.start()
    assert "/headers by /dclaw/test_client" in refusal(path)
    other.join()
    assert len(heard) < 3000


@pytest.mark.parametrize("settings", [{"anyway": True}, {"remap": ("/headers:=/lab/headers",)}])
def test_beside_others_it_plays_where_that_is_wanted_or_nothing_is_mixed_up(
    bag, play, hear, ros, settings
):
    path, sent = bag(20, HEADERS)
    renamed = Topic("/lab/headers", *list(vars(HEADERS).values())[1:])
    heard = hear(renamed if "remap" in settings else HEADERS)
    ros.node.create_publisher(Header, HEADERS.name, 1)
    finish(ros, play(path, **settings), heard, 20)
    assert heard == sent[HEADERS.name]


def test_topics_that_each_node_publishes_by_itself_keep_nothing_from_playing(bag, play, hear, ros):
    path, sent = bag(20, LOG)
    heard = hear(LOG, Log)
    finish(ros, play(path), heard, 20)
    assert heard == sent[LOG.name]
