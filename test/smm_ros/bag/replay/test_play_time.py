"""When messages are due: pure logic over times."""

import math

from hypothesis import given
from hypothesis import strategies as st

from smm_ros.bag.mcap_file import Topic
from smm_ros.bag.reading import BagMessage
from smm_ros.bag.replay.play_time import PlayClock, Span, time_line

TOPIC = Topic("/x", "std_msgs/msg/Empty", "", "", "")
SECOND = 10**9
EVER = 2**63


def message(time_ns):
    return BagMessage(TOPIC, time_ns, time_ns, b"")


def line(times, span=None, max_gap=math.inf, tick=0):
    span = span or Span(min(times, default=0), EVER)
    return list(time_line(map(message, times), span, max_gap, tick))


times_up = st.lists(st.integers(0, 10**12), max_size=40).map(sorted)


@given(times_up, st.integers(0, 10**12), st.integers(0, 10**12))
def test_exactly_the_messages_of_the_span_are_played_in_their_order(times, start, length):
    events = line(times, Span(start, start + length))
    inside = [time for time in times if start <= time < start + length]
    assert [event.stamp_ns for event in events] == inside
    assert [event.offset_ns for event in events] == [time - start for time in inside]


def test_a_message_out_of_order_keeps_its_place_and_the_end_does_not_cut_it_off():
    times = [0, 3 * SECOND, 2 * SECOND, 4 * SECOND, int(2.5 * SECOND), 9 * SECOND, 1]
    events = line(times, Span(0, 3 * SECOND))
    assert [event.stamp_ns for event in events] == [0, 2 * SECOND]
    events = line(times, Span(0, int(3.5 * SECOND)))
    assert [e.stamp_ns / SECOND for e in events] == [0, 3, 2, 2.5]


@given(times_up, st.integers(1, 10**11))
def test_no_silence_is_longer_than_asked_for_and_shorter_ones_stay(times, most):
    offsets = [event.offset_ns for event in line(times, max_gap=most)]
    for before, after, early, late in zip(times, times[1:], offsets, offsets[1:], strict=False):
        assert late - early == min(after - before, most)


@given(times_up, st.integers(10**10, 10**12))
def test_ticks_are_a_period_apart_and_never_behind_a_message(times, period):
    events = line(times, tick=period)
    ticks = [event.stamp_ns for event in events if event.message is None]
    assert all(late - early == period for early, late in zip(ticks, ticks[1:], strict=False))
    assert [e.stamp_ns for e in events] == sorted(e.stamp_ns for e in events)
    if times:
        assert ticks[0] == times[0]
        assert times[-1] - ticks[-1] < period


def test_a_shortened_silence_has_few_ticks():
    events = line([0, 10**15], max_gap=5 * SECOND, tick=SECOND)
    ticks = [event for event in events if event.message is None]
    assert len(ticks) <= 7
    assert events[-1].offset_ns == 5 * SECOND


def test_everything_is_due_at_the_rate():
    for rate in (0.5, 1.0, 4.0):
        clock = PlayClock(rate)
        clock.begin(100.0, held=False)
        assert clock.due(0) == 100.0
        assert clock.due(6 * SECOND) == 100.0 + 6 / rate
    clock = PlayClock(0.0)
    clock.begin(100.0, held=False)
    assert clock.due(SECOND) == -math.inf


@given(
    st.floats(0.1, 10), st.lists(st.tuples(st.floats(0.01, 50), st.floats(0.01, 50)), max_size=5)
)
def test_what_is_held_is_late_by_just_the_time_it_was_held(rate, holds):
    clock, now = PlayClock(rate), 0.0
    clock.begin(now, held=False)
    last = 1000 * SECOND
    for running, held in holds:
        now += running
        clock.hold(now)
        clock.hold(now + held / 2)
        assert clock.due(last) == math.inf
        now += held
        clock.go_on(now)
        clock.go_on(now)
    whole = sum(held for _, held in holds)
    assert math.isclose(clock.due(last), 1000 / rate + whole, abs_tol=1e-6)


def test_a_clock_moved_on_while_held_goes_on_from_there():
    clock = PlayClock(1.0)
    clock.begin(0.0, held=True)
    clock.move_on(5 * SECOND)
    clock.move_on(3 * SECOND)
    assert clock.due(6 * SECOND) == math.inf
    clock.go_on(50.0)
    assert clock.due(6 * SECOND) == 51.0
