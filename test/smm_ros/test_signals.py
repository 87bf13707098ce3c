"""Signals that ask a process to end are counted, and only within the block."""

import os
import signal

import pytest

from smm_ros.signals import Signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_is_counted_and_what_was_there_before_is_put_back(number):
    before = signal.getsignal(number)
    with Signals() as signals:
        assert signals.count == 0
        for _ in range(2):
            os.kill(os.getpid(), number)
        assert signals.count == 2
    assert signal.getsignal(number) is before
