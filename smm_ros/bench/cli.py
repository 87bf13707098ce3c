"""`smm bench`: how fast this project is, beside what others would pick, on this machine."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.live import Live

from smm_core.config import ConfigError
from smm_core.run_folder import free_folder
from smm_ros.bench import picture, table
from smm_ros.bench.comparison import Comparison, Setting, missing
from smm_ros.bench.machine import describe, usable_cores
from smm_ros.bench.outcome import INTERRUPTED, Outcome
from smm_ros.bench.turns import compare

RESULTS, TABLE, PICTURE = "results.json", "table.md", "bench.png"

COMPARISONS = (
    "sac",
    "methods",
    "runs",
    "twin",
    "graph",
    "replay",
    "bags",
    "growth",
    "gpu",
    "profile",
    "bounds",
)
"""Each is a file of its own in this package, imported when it is asked for."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `smm bench` and return the exit status."""
    options = _parser().parse_args(argv)
    if options.list:
        for name in COMPARISONS:
            print(f"{name:<10}{load(name).title}")
        return 0
    console = Console(stderr=options.json, width=None if sys.stdout.isatty() else table.WIDTH)
    try:
        results = Results(_folder(options.folder), options)
        outcomes = _run(options, results, console)
    except (ConfigError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(results.as_dict()))
    console.print(f"tables, figures and picture: {results.folder}", highlight=False)
    if any(outcome.state == INTERRUPTED for outcome in outcomes):
        return 130
    return int(any(outcome.failed for outcome in outcomes))


def load(name: str) -> Comparison:
    """Return the comparison of a name; where it needs a package that is not here, it says so."""
    try:
        found: Comparison = importlib.import_module(f"smm_ros.bench.{name}").COMPARISON
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("smm_core"):
            raise
        return missing(name, str(error))
    return found


class Results:
    """What was measured so far, in a folder of its own that is renewed as it grows."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder, self.outcomes = folder, list[Outcome]()
        self._start = describe(options.threads) | {"quick": options.quick}
        folder.mkdir(parents=True)

    def add(self, outcome: Outcome) -> None:
        """Take in a comparison that has ended, and write all files anew."""
        self.outcomes.append(outcome)
        (self.folder / RESULTS).write_text(json.dumps(self.as_dict(), indent=1) + "\n")
        sections = [table.as_markdown(each) for each in self.outcomes]
        (self.folder / TABLE).write_text("\n".join([f"{self._caption()}.", "", *sections]))
        picture.draw(self.outcomes, self._caption(), self.folder / PICTURE)

    def as_dict(self) -> dict[str, Any]:
        """Return where and how it was measured, and all figures."""
        return self._start | {"comparisons": [outcome.as_dict() for outcome in self.outcomes]}

    def _caption(self) -> str:
        start = self._start
        cores = f"{start['cores']} core{'s' if start['cores'] != 1 else ''}"
        revision = f", revision {start['git'][:9]}" if start["git"] else ""
        quick = ", quick" if start["quick"] else ""
        return (
            f"{start['processor']}, {cores}, {start['threads']} of torch's threads, torch "
            f"{start['versions']['torch']}{revision}, {start['time'][:10]}{quick}"
        )


def _run(options: argparse.Namespace, results: Results, console: Console) -> list[Outcome]:
    """Run the comparisons named until all are done or Ctrl-C ends one."""
    torch.set_num_threads(options.threads)
    setting = Setting(options.quick, options.threads)
    for name in options.names or COMPARISONS:
        with Live(console=console, auto_refresh=False) as live:
            outcome = compare(
                load(name),
                setting,
                options.turns,
                lambda outcome, live=live: live.update(table.as_table(outcome), refresh=True),  # type: ignore[misc]
            )
        console.print()
        results.add(outcome)
        if outcome.state == INTERRUPTED:
            break
    return results.outcomes


def _folder(given: Path | None) -> Path:
    """Return a folder that is not there yet; raises ConfigError where the one given is."""
    if given is None:
        return free_folder(Path("runs", time.strftime("bench-%Y%m%d-%H%M%S")))
    if given.exists():
        raise ConfigError(f"{given} exists; name a new folder with --folder")
    return given


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smm bench",
        description="Measure how fast this project is, side by side with what others would pick. "
        "The contestants of a comparison take short turns, so that a slow minute hits all; "
        "figures are medians of turns, ratios medians of the ratios within a turn.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        type=_name,
        help=f"which comparisons, of {', '.join(COMPARISONS)} (default: all)",
    )
    parser.add_argument("--list", action="store_true", help="say what is compared, and end")
    parser.add_argument("--quick", action="store_true", help="few and short turns: two minutes")
    parser.add_argument("--turns", type=_positive, help="turns of each contestant")
    parser.add_argument(
        "--threads",
        type=_positive,
        default=usable_cores(),
        help="threads of torch (default: the cores there are)",
    )
    parser.add_argument(
        "--folder", type=Path, help="new folder for what was found (default runs/bench-<time>)"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    return parser


def _name(text: str) -> str:
    if text not in COMPARISONS:
        raise argparse.ArgumentTypeError(f"{text!r}, expected one of {', '.join(COMPARISONS)}")
    return text


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number of at least 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
