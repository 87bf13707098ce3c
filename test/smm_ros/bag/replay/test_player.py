"""Playing a time line: at the right time, in the right order, and obeying keys."""

import time

import pytest

from smm_ros.bag.mcap_file import Topic
from smm_ros.bag.reading import BagMessage
from smm_ros.bag.replay.play_keys import Key
from smm_ros.bag.replay.play_time import Event
from smm_ros.bag.replay.player import Player


def message(seconds, name="/x"):
    stamp = round(seconds * 1e9)
    data = BagMessage(Topic(name, "std_msgs/msg/Empty", "", "", ""), stamp, stamp, b"%d" % stamp)
    return Event(stamp, stamp, data)


def tick(seconds):
    return Event(round(seconds * 1e9), round(seconds * 1e9), None)


class Sinks(dict):
    """Notes what is sent, where and when."""

    def __init__(self, *names):
        self.sent, self.in_turn = [], 0
        for name in names:
            self[name] = self
            self.name = name

    def publish(self, data):
        self.sent.append((int(data) / 1e9, time.monotonic()))

    def publish_in_turn(self, data, beat):
        self.in_turn += 1
        beat()
        self.publish(data)


class Keyboard:
    """Presses each key when so many messages were sent."""

    def __init__(self, sinks, *presses):
        self.sinks, self.presses, self.waits = sinks, list(presses), 0

    def wait(self, seconds):
        self.waits += 1
        if self.presses and len(self.sinks.sent) >= self.presses[0][0]:
            return self.presses.pop(0)[1]
        time.sleep(min(seconds, 0.01))
        return None


@pytest.fixture
def sinks():
    return Sinks("/x", "/y")


def player(sinks, *presses, shown=None, times=None):
    shown, times = [] if shown is None else shown, [] if times is None else times

    def show(stamp, held):
        shown.append((stamp, held))

    return Player(sinks, times.append, Keyboard(sinks, *presses), show)


def places(sinks):
    return [place for place, _ in sinks.sent]


def test_nothing_is_sent_before_it_is_due(sinks):
    begun = time.monotonic()
    events = [message(0.0), message(0.05, "/y"), message(0.2), message(0.1)]
    used = player(sinks)
    used.play(events, rate=1.0, held=False)
    assert places(sinks) == [0.0, 0.05, 0.2, 0.1]
    assert all(sent - begun >= place for place, sent in sinks.sent)
    assert used.lateness.count == 4
    assert not sinks.in_turn


def test_at_twice_the_rate_it_takes_half_the_time(sinks):
    begun = time.monotonic()
    player(sinks).play([message(0.0), message(0.4)], rate=2.0, held=False)
    assert sinks.sent[-1][1] - begun >= 0.2
    assert sinks.sent[-1][1] - begun < 0.4 + 5.0  # a busy machine is late, but not for ever


def test_as_fast_as_it_goes_nothing_is_waited_for_but_the_subscribers(sinks):
    player(sinks).play([message(n * 1e6) for n in range(100)], rate=0.0, held=False)
    assert len(sinks.sent) == sinks.in_turn == 100


def test_the_time_is_told_between_messages(sinks):
    times = []
    events = [tick(0.0), message(0.0), tick(0.01), tick(0.02), message(0.02)]
    player(sinks, times=times).play(events, rate=1.0, held=False)
    assert times == [0, 10_000_000, 20_000_000]
    assert places(sinks) == [0.0, 0.02]


def test_held_from_the_beginning_it_waits_for_the_key(sinks):
    shown = []
    used = player(sinks, (0, Key.OTHER), (0, Key.PAUSE), shown=shown)
    used.play([message(0.0), message(0.01)], rate=1.0, held=True)
    assert places(sinks) == [0.0, 0.01]
    assert [held for _, held in shown][-1] is False


def test_held_in_the_middle_it_goes_on_where_it_was(sinks):
    used = player(sinks, (2, Key.PAUSE), (2, Key.OTHER), (2, Key.PAUSE))
    used.play([message(0.05 * n) for n in range(5)], rate=1.0, held=False)
    assert places(sinks) == [0.0, 0.05, 0.1, 0.15, 0.2]
    assert used.lateness.count == 5


def test_each_step_plays_one_message_and_the_ticks_before_it(sinks):
    times = []
    steps = [(n, Key.STEP) for n in range(3)]
    used = player(sinks, *steps, (3, Key.PAUSE), times=times)
    events = [message(0.0), tick(100.0), tick(200.0), message(200.0), message(300.0)]
    used.play([*events, message(300.05)], rate=1.0, held=True)
    assert places(sinks) == [0.0, 200.0, 300.0, 300.05]
    assert len(times) == 2
    assert used.lateness.count == 1, "only what was due at a time can be late"


def test_a_step_while_playing_does_nothing(sinks):
    begun = time.monotonic()
    used = player(sinks, (1, Key.STEP))
    used.play([message(0.0), message(0.1)], rate=1.0, held=False)
    assert sinks.sent[-1][1] - begun >= 0.1


def test_keys_are_heard_where_nothing_is_ever_waited_for(sinks, monkeypatch):
    monkeypatch.setattr("smm_ros.bag.replay.player.BEAT", 0.002)
    monkeypatch.setattr(sinks, "publish_in_turn", lambda data, beat: slow(sinks, data))
    used = player(sinks, (5, Key.PAUSE), (5, Key.PAUSE))
    used.play([message(n) for n in range(50)], rate=0.0, held=False)
    assert not used._keys.presses
    assert len(sinks.sent) == 50


def slow(sinks, data):
    time.sleep(0.001)
    sinks.publish(data)
