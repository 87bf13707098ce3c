"""Several runs at once in one process, one after the other, and in a process each."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import torch

from smm_core.options import read_yaml
from smm_ros.bench.comparison import Aim, Comparison, Contestant, Line, Setting
from smm_ros.bench.player import Player, seconds
from smm_ros.dclaw import ENV_ID
from smm_ros.share import share_path

BASE = "one, or one after the other"
COUNTS, QUICK_COUNTS = (2, 4, 8), (2, 4)
AIMS = {4: Aim(2.0)}
SAMPLE = 160
"""Steps of one run in a turn; of several, about as many of all together."""


@contextmanager
def _prepare(setting: Setting) -> Iterator[list[Contestant]]:
    settings = read_yaml(share_path("config", "train_dclaw.yaml"))["learner"]
    counts = setting.pick(COUNTS, QUICK_COUNTS)
    sample = setting.pick(SAMPLE, SAMPLE // 4)
    with ExitStack() as stack:
        # They warm up while the learners in this process are made.
        processes = [OwnProcess(settings, seed) for seed in range(max(counts))]
        for process in processes:
            stack.callback(process.close)
        contestants = []
        for runs in (1, *counts):
            player = Player(ENV_ID, settings, range(runs))
            stack.callback(player.close)
            player.warm_up()
            name = BASE if runs == 1 else f"{runs} at once in one process"
            steps = max(10, sample // runs)
            line = Line(name, "run-steps/s", BASE, aim=AIMS.get(runs))
            contestants.append(Contestant((line,), partial(_at_once, player, runs, steps)))
        for process in processes:
            process.wait()
        for runs in counts:
            line = Line(f"{runs} in as many processes", "run-steps/s", BASE)
            steps, threads = max(10, sample // runs), max(1, setting.threads // runs)
            turn = partial(_apart, processes[:runs], steps, threads)
            contestants.append(Contestant((line,), turn))
        yield contestants


def _at_once(player: Player, runs: int, steps: int) -> Sequence[float]:
    return [runs * steps / seconds(lambda: player.play(steps))]


def _apart(processes: Sequence[OwnProcess], steps: int, threads: int) -> Sequence[float]:
    def work() -> None:
        for process in processes:
            process.begin(steps, threads)
        for process in processes:
            process.wait()

    return [len(processes) * steps / seconds(work)]


class OwnProcess:
    """One run in a process of its own, which plays when it is told to."""

    def __init__(self, settings: dict[str, Any], seed: int) -> None:
        """Start the process; `wait` returns when it is warm."""
        context = get_context("spawn")
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=_serve, args=(far, settings, seed), daemon=True)
        self._process.start()
        far.close()

    def begin(self, steps: int, threads: int) -> None:
        """Tell it to play and learn so many steps with so many threads of torch."""
        self._pipe.send((steps, threads))

    def wait(self) -> None:
        """Wait until it has done what it was told to; raises EOFError where it has died."""
        self._pipe.recv()

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()
        self._pipe.close()


def _serve(pipe: Connection, settings: dict[str, Any], seed: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that began this one
    torch.set_num_threads(1)
    player = Player(ENV_ID, settings, [seed])
    player.warm_up()
    pipe.send(None)
    while True:
        try:
            steps, threads = pipe.recv()
        except EOFError:
            return
        torch.set_num_threads(threads)
        player.play(steps)
        pipe.send(None)


COMPARISON = Comparison(
    "runs",
    "run-steps learnt per second, D'Claw, config/train_dclaw.yaml: several runs at once in one "
    "process, against one after the other, and against processes that share the threads",
    _prepare,
    turns=7,
)
