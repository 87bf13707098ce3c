import pytest

from smm_ros.loss_watch import LossWatch


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_transitions_not_taken_for_the_timeout_are_lost_once_each_timeout(clock):
    watch = LossWatch(5.0, clock)
    lost = []
    for _ in range(14):
        lost.append(watch.is_lost(10, 42, 42, waits=True))
        clock.now += 1.0
    assert [second for second, value in enumerate(lost) if value] == [5, 10]


@pytest.mark.parametrize(
    ("received", "allowed", "produced", "waits"),
    [(42, 42, 42, True), (10, 43, 42, True), (10, 42, 42, False)],
)
def test_nothing_is_lost_when_all_were_taken_or_it_may_play(
    clock, received, allowed, produced, waits
):
    watch = LossWatch(5.0, clock)
    for _ in range(20):
        assert not watch.is_lost(received, allowed, produced, waits)
        clock.now += 1.0


def test_a_trainer_that_takes_one_now_and_then_has_lost_nothing(clock):
    watch = LossWatch(5.0, clock)
    for received in range(10):
        assert not watch.is_lost(received, 42, 42, waits=True)
        clock.now += 4.0
