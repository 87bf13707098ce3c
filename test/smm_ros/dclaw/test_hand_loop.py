"""The loop's thread: it keeps on, does what it is asked to in between, and always ends well."""

import subprocess
import sys
import threading
import time

import pytest

from smm_ros.dclaw.hand_loop import HandLoop


@pytest.fixture(name="loop")
def make_loop():
    """Return a way to make loops that are ended after the test."""
    made = []

    def make(cycle=lambda: None, last=lambda: None, period=0.002):
        made.append(HandLoop(cycle, last, period))
        return made[-1]

    yield make
    for loop in made:
        loop.stop()


def wait_until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_it_goes_round_until_it_is_stopped_and_then_does_the_last_thing(loop):
    done = []
    one = loop(lambda: done.append("cycle"), lambda: done.append("last"))
    one.start()
    wait_until(lambda: len(done) > 5)
    one.stop()
    assert done[-1] == "last"
    assert done.count("last") == 1
    one.stop()
    count = len(done)
    time.sleep(0.02)
    assert len(done) == count


def test_calls_run_in_the_thread_between_cycles(loop):
    inside = []

    def cycle():
        inside.append(True)
        time.sleep(0.001)
        inside.pop()

    one = loop(cycle)
    one.start()
    for _ in range(20):
        who, busy = one.call(lambda: (threading.current_thread().name, list(inside)))
        assert (who, busy) == ("hand loop", [])


def test_a_call_raises_what_it_raises_and_the_loop_goes_on(loop):
    one = loop()
    one.start()
    with pytest.raises(ValueError, match="no such motor"):
        one.call(lambda: (_ for _ in ()).throw(ValueError("no such motor")))
    assert one.call(lambda: 5) == 5


def test_a_cycle_that_raises_ends_the_loop_and_is_kept(loop):
    last = []

    def cycle():
        raise RuntimeError("broken")

    one = loop(cycle, lambda: last.append(1))
    one.start()
    wait_until(lambda: one.error)
    one.stop()
    assert str(one.error) == "broken"
    assert last == [1]
    assert one.call(lambda: 7) == 7  # whoever calls then does it himself


def test_a_cycle_that_takes_too_long_is_counted_and_not_caught_up(loop):
    begun = []

    def cycle():
        begun.append(time.monotonic())
        if len(begun) == 3:
            time.sleep(0.2)

    one = loop(cycle, period=0.02)
    one.start()
    wait_until(lambda: len(begun) > 8)
    assert one.report().overruns >= 1
    assert min(b - a for a, b in zip(begun[3:], begun[4:], strict=False)) > 0.01
    assert one.report().periods.longest >= 0.2


def test_it_ends_when_the_program_does_whatever_it_forgot():
    code = (
        "from smm_ros.dclaw.hand_loop import HandLoop\n"
        "loop = HandLoop(lambda: None, lambda: print('torque off', flush=True), 0.01)\n"
        "loop.start()\n"
        "raise SystemError('the program fails')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout == "torque off\n"
    assert "the program fails" in done.stderr
