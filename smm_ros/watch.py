"""A live view of a running graph, from what the trainer says of itself."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from rclpy.executors import SingleThreadedExecutor
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from smm_ros.arguments import namespace
from smm_ros.conversions import ConversionError, status_from_msg
from smm_ros.guest import Guest
from smm_ros.interfaces import TRAINING_STATUS, TRAINING_STATUS_QOS
from smm_ros.msg import TrainingStatus
from smm_ros.records import StatusRecord
from smm_ros.ros_environment import missing_variables

LINE_PERIOD = 5.0
"""Time between two lines where there is no terminal to draw on, s."""


class View(Protocol):
    """Shows a graph to a person."""

    def show_line(self, node: str, line: str) -> None:
        """Show a line that a node printed."""

    def show_status(self, status: StatusRecord | None) -> None:
        """Show how far the learner is; None as long as it has not said so."""

    def close(self) -> None:
        """Leave the screen as it is."""


class StatusListener:
    """Hears the newest training status; asked now and then, it needs no thread."""

    def __init__(self, hand_namespace: str) -> None:
        self.status: StatusRecord | None = None
        self._node = Guest("watch", hand_namespace)
        self._node.create_subscription(
            TrainingStatus, TRAINING_STATUS, self._on_status, TRAINING_STATUS_QOS
        )
        self._executor = SingleThreadedExecutor(context=self._node.context)
        self._executor.add_node(self._node)

    def poll(self) -> StatusRecord | None:
        """Take in what has arrived and return the newest status."""
        self._executor.spin_once(timeout_sec=0)
        return self.status

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._node.destroy_node()

    def _on_status(self, message: TrainingStatus) -> None:
        try:
            self.status = status_from_msg(message)
        except ConversionError as error:
            print(f"watch: {error}", file=sys.stderr)


class LineView:
    """Plain lines, for logs and pipes."""

    def __init__(
        self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write, self._clock = write, clock
        self._next = clock() + LINE_PERIOD
        self._last = ""

    def show_line(self, node: str, line: str) -> None:
        """Show a line that a node printed, with the node's name before it."""
        self._write(f"[{node}] {line}")

    def show_status(self, status: StatusRecord | None) -> None:
        """Show one line every LINE_PERIOD, and one at the end."""
        is_end = status is not None and status.done
        if self._clock() < self._next and not is_end:
            return
        self._next = self._clock() + LINE_PERIOD
        line = "waiting for the trainer" if status is None else summary(status)
        if line != self._last or not is_end:
            self._write(line)
        self._last = line

    def close(self) -> None:
        """There is nothing to leave."""


class LiveView:
    """A table and a progress bar that stay below the nodes' lines."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("steps"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        )
        self._task = self._bar.add_task("steps", total=None)
        self._live = Live(self._bar, console=console, refresh_per_second=4)
        self._live.start()

    def show_line(self, node: str, line: str) -> None:
        """Show a line that a node printed above the table."""
        self._console.print(f"[{node}] {line}", markup=False, highlight=False, soft_wrap=True)

    def show_status(self, status: StatusRecord | None) -> None:
        """Renew the table."""
        if status is None:
            return
        self._bar.update(self._task, completed=status.steps, total=status.total_steps or None)
        self._live.update(Group(table(status), self._bar))

    def close(self) -> None:
        """Leave the last table on the screen."""
        self._live.stop()


def make_view(live: bool) -> View:
    """Return a view on the standard output: a live one, or plain lines."""
    console = Console()
    if live:
        return LiveView(console)
    return LineView(lambda line: print(line, flush=True))


def summary(status: StatusRecord) -> str:
    """Return the status in one line."""
    steps = f"{status.steps} of {status.total_steps}" if status.total_steps else f"{status.steps}"
    parts = [
        f"step {steps}",
        f"{status.steps_per_second:.1f} steps/s",
        f"{status.updates_per_second:.1f} updates/s",
        f"policy {status.policy_version}",
        f"gaps {sum(hand.gaps for hand in status.hands)}",
    ]
    parts += [f"{name} {value:.3f}" for name, value in _entropies(status).items()]
    return ", ".join(parts)


def table(status: StatusRecord) -> Table:
    """Return the status as a table: counts to the left, figures of learning to the right."""
    counts = {
        "steps": f"{status.steps}",
        "steps/s": f"{status.steps_per_second:.1f}",
        "updates": f"{status.updates}",
        "updates/s": f"{status.updates_per_second:.1f}",
        "policy version": f"{status.policy_version}",
        "replay": f"{status.replay_size} of {status.replay_capacity}",
    }
    counts |= {
        f"{hand.hand} received / gaps": f"{hand.received_sequence} / {hand.gaps}"
        for hand in status.hands
    }
    ordered = _entropies(status) | status.metrics
    figures = [(name, f"{value:.4g}") for name, value in ordered.items()]
    left = list(counts.items())
    rows = max(len(left), len(figures))
    grid = Table.grid(padding=(0, 2))
    for row in range(rows):
        cells = [side[row] if row < len(side) else ("", "") for side in (left, figures)]
        grid.add_row(*(text for cell in cells for text in cell))
    return grid


def _entropies(status: StatusRecord) -> dict[str, float]:
    return {name: value for name, value in status.metrics.items() if "entropy" in name}


class Watch:
    """A view that keeps itself up to date when `beat` is called often."""

    def __init__(self, hand_namespace: str, view: View) -> None:
        self._view = view
        self._listener = StatusListener(hand_namespace)

    def show_line(self, node: str, line: str) -> None:
        """Show a line that a node printed."""
        self._view.show_line(node, line)

    def beat(self) -> None:
        """Show what is new."""
        self._view.show_status(self._listener.poll())

    @property
    def is_done(self) -> bool:
        """Tell whether the trainer has said that it is done."""
        return self._listener.status is not None and self._listener.status.done

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.close()
        self._view.close()


def main(args: Sequence[str] | None = None) -> int:
    """Watch a graph that runs elsewhere until it is done or Ctrl-C; return the exit status."""
    parser = argparse.ArgumentParser(prog="smm watch", description=__doc__)
    parser.add_argument("--namespace", default="/dclaw", type=namespace, help="of the graph")
    parser.add_argument("--plain", action="store_true", help="lines instead of a live table")
    options = parser.parse_args(args)
    os.environ.update(missing_variables(os.environ))
    view = make_view(live=sys.stdout.isatty() and not options.plain)
    with Watch(options.namespace, view) as watch:
        try:
            while not watch.is_done:
                watch.beat()
                time.sleep(0.05)
        except KeyboardInterrupt:
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
