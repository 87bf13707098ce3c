"""The thread that speaks to the motors: one measurement and one set of goals in every cycle.

Nobody else uses the bus while it runs. What others want done between two cycles is `call`ed.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from smm_ros.periods import PeriodMeter, PeriodSummary

T = TypeVar("T")

PRIORITY = 50
"""Of the real-time scheduler, where the system allows it."""
CLOSE_WITHIN = 2.0
"""Time that a cycle may take to end, s."""


@dataclass(frozen=True)
class LoopReport:
    """How well the loop keeps its time."""

    periods: PeriodSummary
    """Between the beginnings of cycles."""
    overruns: int
    """Cycles so far that took longer than their period."""
    cycles: int
    is_real_time: bool
    """Whether the system gave it real-time priority."""


class HandLoop:
    """Calls `cycle` at a fixed rate in a thread of its own, and `last` when the thread ends.

    It ends when `stop` is called, when a cycle raises, and when the program's main thread is gone:
    `last` is run on each of these ways.
    """

    def __init__(self, cycle: Callable[[], None], last: Callable[[], None], period: float) -> None:
        self._cycle, self._last, self._period = cycle, last, period
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._stopping = threading.Event()
        self._meter = PeriodMeter(window=1000)
        self._cycles = self._overruns = 0
        self._is_real_time = False
        self.error: BaseException | None = None
        """What ended the loop, if something did."""
        self._thread = threading.Thread(target=self._run, name="hand loop")

    def start(self) -> None:
        """Begin."""
        # All that a node has loaded would be searched for garbage in the middle of some cycle:
        # that holds up every thread, for 20 ms and more.
        gc.collect()
        gc.freeze()
        self._thread.start()

    def stop(self) -> None:
        """End the loop and wait until it has ended; does nothing where it has."""
        self._stopping.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(CLOSE_WITHIN)
            if self._thread.is_alive():
                raise TimeoutError(f"the hand's loop hangs for {CLOSE_WITHIN} s")

    def call(self, work: Callable[[], T]) -> T:
        """Do something between two cycles; return what it returns, raise what it raises."""
        if threading.current_thread() is self._thread or not self._thread.is_alive():
            return work()
        future: Future[T] = Future()
        self._calls.put(lambda: _settle(future, work))
        while not wait((future,), timeout=0.1).done:
            if not self._thread.is_alive():
                self._drain()  # it ended before it came to this; nobody else uses the bus now
        return future.result()

    def report(self) -> LoopReport:
        """Return how well it keeps its time."""
        return LoopReport(self._meter.summary(), self._overruns, self._cycles, self._is_real_time)

    def _run(self) -> None:
        self._is_real_time = _become_real_time()
        try:
            self._loop()
        except BaseException as error:
            self.error = error
        finally:
            self._stopping.set()
            self._last()
            self._drain()

    def _loop(self) -> None:
        main, due = threading.main_thread(), time.monotonic()
        while not self._stopping.is_set() and main.is_alive():
            self._meter.mark(time.monotonic())
            self._cycle()
            self._cycles += 1
            self._drain()
            due += self._period
            left = due - time.monotonic()
            if left > 0:
                time.sleep(left)
            else:
                # Lost time is not made up for by shorter cycles.
                self._overruns += 1
                due = time.monotonic()

    def _drain(self) -> None:
        while True:
            try:
                work = self._calls.get_nowait()
            except Empty:
                return
            work()


def _settle(future: Future[Any], work: Callable[[], Any]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)


def _become_real_time() -> bool:
    try:
        os.sched_setscheduler(threading.get_native_id(), os.SCHED_FIFO, os.sched_param(PRIORITY))
    except (AttributeError, OSError):  # another system, or not allowed
        return False
    return True
