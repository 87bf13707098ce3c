"""What a long computation shows, and that a signal ends it in order."""

import io
import os
import signal

import pytest
from rich.console import Console

from smm_core.progress_bar import show


def shown(run, stop=lambda: None, done=0):
    console = Console(file=io.StringIO(), width=200)
    found = show(run, stop, console, "updates", 20, lambda m: f"loss {m['loss']}", done)
    return found, console.file.getvalue()


def test_each_report_is_a_line_where_there_is_no_terminal():
    def run(report):
        report({"updates": 10, "loss": 0.5})
        report({"updates": 20, "loss": 0.25})
        return {"loss": 0.25}

    metrics, text = shown(run)
    assert metrics == {"loss": 0.25}
    lines = [line.split() for line in text.splitlines() if line.strip()]
    assert lines == [["10", "updates", "loss", "0.5"], ["20", "updates", "loss", "0.25"]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_it_to_stop_and_means_afterwards_what_it_meant_before(number):
    before, asked = signal.getsignal(number), []

    def run(report):
        os.kill(os.getpid(), number)
        return {"asked": len(asked)}

    assert shown(run, lambda: asked.append(number))[0] == {"asked": 1}
    assert signal.getsignal(number) == before


def test_signals_mean_what_they_meant_after_an_error_too():
    before = signal.getsignal(signal.SIGINT)

    def run(report):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        shown(run)
    assert signal.getsignal(signal.SIGINT) == before
