import pytest

from smm_ros.periods import PeriodMeter, PeriodSummary


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
