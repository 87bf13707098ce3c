"""`smm evaluate`: the command line of the evaluation."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from smm_core.checkpoint import CheckpointError
from smm_core.config import ConfigError
from smm_core.evaluation.comparison import MEANINGS, CompareConfig, Comparison, Summary, compare
from smm_core.evaluation.evaluate import EvaluateConfig, opened
from smm_core.evaluation.plots import check_plane, draw
from smm_core.evaluation.trained_runs import TrainedRuns, open_runs
from smm_core.options import OptionParser, add_options, read_options
from smm_core.transitions import TransitionError


def main(argv: Sequence[str] | None = None) -> int:
    """Run `smm evaluate` and return the exit status."""
    arguments = _parser().parse_args(argv)
    console = Console(stderr=True)
    torch.set_num_threads(1)
    try:
        comparison = _compare(arguments, console)
        # First of all what was measured: files may be refused, hours of playing not be repeated.
        _print(comparison, arguments.json)
        _write(comparison, arguments, console)
    except (ConfigError, CheckpointError, TransitionError, OSError) as error:
        console.print(f"error: {error}", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted")
        return 130
    return 0


def _compare(arguments: argparse.Namespace, console: Console) -> Comparison:
    """Play and measure all runs; raises ConfigError for most mistakes before it plays."""
    evaluation = read_options(EvaluateConfig, arguments.config, vars(arguments))
    comparing = read_options(CompareConfig, None, vars(arguments))
    _check_free(arguments.csv, arguments.plots)
    runs = [_open(word) for word in arguments.runs]
    if arguments.plane:
        with opened(runs[0], evaluation) as first:
            check_plane(first.bins, arguments.plane)
    return compare(runs, evaluation, comparing, lambda text: console.print(text, markup=False))


def _check_free(csv: Path | None, plots: Path | None) -> None:
    """Raise ConfigError where files can not be written, or others would be lost or mixed in."""
    if csv is not None and csv.exists():
        raise ConfigError(f"--csv {csv} exists; name a new file")
    for option, folder in (("--csv", csv and csv.parent), ("--plots", plots)):
        if folder is None:
            continue
        nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not nearest.is_dir():
            raise ConfigError(f"{option}: {nearest} is a file, expected a folder")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise ConfigError(f"{option}: the folder {nearest} can not be written to")
    if plots is not None and any(plots.glob("*.png")):
        raise ConfigError(f"--plots {plots} holds PNGs already; name a new folder, or remove them")


def _write(comparison: Comparison, arguments: argparse.Namespace, console: Console) -> None:
    if arguments.csv:
        comparison.write_csv(arguments.csv)
    if arguments.plots:
        for path in draw(comparison, arguments.plots, arguments.plane):
            console.print(f"wrote {path}", markup=False, highlight=False)


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(
        prog="smm evaluate",
        description="Play what runs of smm train have learnt and measure what they reach.",
    )
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="[LABEL=]RUN",
        help="run folder; folders of one label, by default the method, are one group",
    )
    parser.add_argument(
        "--config", type=Path, help="YAML file of settings below, but for the comparison's"
    )
    parser.add_argument(
        "--csv", type=Path, metavar="FILE", help="write every figure of every run to a new file"
    )
    parser.add_argument(
        "--plots", type=Path, metavar="FOLDER", help="draw PNGs in a folder that holds none yet"
    )
    parser.add_argument(
        "--plane",
        nargs=2,
        default=(),
        metavar="NAME",
        help="coordinates of the heat maps (default those of goals, else the first two)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    add_options(parser, EvaluateConfig)
    add_options(parser, CompareConfig)
    return parser


def _open(word: str) -> TrainedRuns:
    """Open a run folder, which may have a label before it."""
    label, equals, folder = word.partition("=")
    if not equals or Path(word).exists():
        return open_runs(Path(word))
    runs = open_runs(Path(folder))
    runs.label = label or runs.label
    return runs


def _print(comparison: Comparison, as_json: bool) -> None:
    if as_json:
        print(json.dumps(comparison.to_json()))
        return
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(_table(comparison))
    for note in comparison.notes:
        console.print(f"note: {note}", markup=False, highlight=False)


def _table(comparison: Comparison) -> Table:
    level = f"{comparison.config.confidence:.0%}"
    table = Table(title=f"mean over runs [{level} bootstrap interval]", title_justify="left")
    table.add_column("figure")
    table.add_column("unit")
    for label in comparison.groups:
        table.add_column(f"{label}\n{comparison.count(label)}", justify="right")
    for name in comparison.figures:
        if name == "outside_share" and not _is_ever_positive(comparison, name):
            continue
        found = [comparison.summaries[label].get(name) for label in comparison.groups]
        meaning = MEANINGS[name]
        table.add_row(meaning.text, meaning.unit, *(_cell(summary) for summary in found))
    return table


def _is_ever_positive(comparison: Comparison, name: str) -> bool:
    return any((found[name].values > 0).any() for found in comparison.summaries.values())


def _cell(summary: Summary | None) -> str:
    if summary is None:
        return "-"
    text = f"{summary.mean:.3f}"
    if math.isfinite(summary.low):
        text += rf" \[{summary.low:.3f}, {summary.high:.3f}]"
    if math.isfinite(summary.p_value):
        text += f"\np = {summary.p_value:.3g}"
    return text


if __name__ == "__main__":
    sys.exit(main())
