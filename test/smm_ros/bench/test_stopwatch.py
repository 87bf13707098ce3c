import types

import pytest

from smm_ros.bench import stopwatch
from smm_ros.bench.stopwatch import Stopwatch


@pytest.fixture
def clock(monkeypatch):
    """Time goes on only where the code under the watch says so."""
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: clock.now)
    return clock


class Engine:
    def __init__(self, clock):
        self._clock = clock

    def run(self):
        self._clock.now += 1.0
        self.burn()
        self._clock.now += 2.0
        return "ran"

    def burn(self):
        self._clock.now += 4.0
        self.glow()

    def glow(self):
        self._clock.now += 8.0


def test_a_part_within_another_is_not_counted_twice(clock):
    engine, watch = Engine(clock), Stopwatch()
    watch.watch(engine, "run", "running")
    watch.watch(engine, "burn", "burning")
    assert engine.run() == "ran"
    assert watch.seconds == {"running": 3.0, "burning": 12.0}


def test_a_function_of_no_part_counts_to_the_part_around_the_present_one(clock):
    engine, watch = Engine(clock), Stopwatch()
    watch.watch(engine, "run", "running")
    watch.watch(engine, "burn", "burning")
    watch.watch(engine, "glow", None)
    engine.run()
    assert watch.seconds == {"running": 11.0, "burning": 4.0}


def test_afterwards_everything_is_as_it_was(clock):
    engine, watch = Engine(clock), Stopwatch()
    module = types.SimpleNamespace(go=engine.run)
    original = module.go
    watch.watch(engine, "run", "running")
    watch.watch(module, "go", "going")
    watch.close()
    assert module.go is original
    assert "run" not in vars(engine)
    engine.run()
    assert not watch.seconds


def test_an_error_within_a_part_ends_the_part(clock):
    engine, watch = Engine(clock), Stopwatch()
    engine.burn = lambda: 1 / 0
    watch.watch(engine, "run", "running")
    watch.watch(engine, "burn", "burning")
    with pytest.raises(ZeroDivisionError):
        engine.run()
    clock.now += 100.0
    del engine.burn
    assert watch.seconds["running"] == 1.0


def test_a_function_that_is_not_there_is_named(clock):
    with pytest.raises(AttributeError, match="fly"):
        Stopwatch().watch(Engine(clock), "fly", "flying")
