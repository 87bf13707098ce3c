import pytest

from smm_ros.periods import DelayMeter, DelaySummary, PeriodMeter, PeriodSummary


def test_nothing_seen_is_all_zero():
    meter = PeriodMeter()
    meter.mark(1.0)
    assert meter.summary() == PeriodSummary()


def test_one_long_period_shows_in_the_longest_but_not_in_the_median():
    meter = PeriodMeter()
    now = 0.0
    for period in [0.1] * 9 + [0.6]:
        meter.mark(now)
        now += period
    meter.mark(now)
    summary = meter.summary()
    assert summary.count == 10
    assert summary.rate_hz == pytest.approx(10 / 1.5)
    assert summary.median == pytest.approx(0.1)
    assert summary.longest == pytest.approx(0.6)


def test_only_the_window_counts():
    meter = PeriodMeter(window=2)
    for now in (0.0, 10.0, 11.0, 12.0):
        meter.mark(now)
    assert meter.summary().longest == 1.0


def test_pause_on_purpose_is_no_period():
    meter = PeriodMeter()
    meter.mark(0.0)
    meter.restart()
    meter.mark(100.0)
    meter.mark(100.5)
    assert meter.summary().longest == 0.5


def test_no_delay_is_all_zero():
    assert DelayMeter().summary() == DelaySummary()


def test_a_rare_long_delay_shows_in_the_tail_alone():
    meter = DelayMeter()
    for delay in [0.002] * 198 + [0.03] * 2:
        meter.add(delay)
    summary = meter.summary()
    assert summary.median == pytest.approx(0.002)
    assert 0.002 < summary.p99 <= summary.longest == 0.03


def test_old_delays_are_forgotten():
    meter = DelayMeter(window=2)
    for delay in (9.0, 1.0, 2.0):
        meter.add(delay)
    assert meter.summary() == DelaySummary(1.5, pytest.approx(1.99), 2.0)
