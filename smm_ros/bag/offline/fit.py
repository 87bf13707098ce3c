"""`smm bag fit`: densities and a discriminator learnt from bags."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from smm_core.config import ConfigError
from smm_core.offline.fit_config import FitConfig
from smm_core.offline.model_fit import Fit, fit_models
from smm_core.offline.state_samples import FitError
from smm_core.options import OptionParser, add_options, read_options
from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.new_folder import FolderError, new_folder
from smm_ros.bag.offline.fit_result import PICTURE, lines_of, losses, write_fit
from smm_ros.bag.offline.fit_stream import FitStream
from smm_ros.bag.source_options import add_source_options, sources_of
from smm_ros.bag.transition_source import check_hands

_SHOWN_EACH = 2000


def main(argv: Sequence[str] | None = None) -> int:
    """Fit to the bags, write the folder, and return the exit status."""
    arguments = _parser().parse_args(argv)
    console = Console(stderr=True)
    try:
        config = read_options(FitConfig, arguments.config, vars(arguments))
        with new_folder(arguments.out) as folder:
            fit, notes = _fit(arguments, config, folder, console)
    except (BagError, ConfigError, FitError, FolderError, OSError) as error:
        console.print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; nothing was written")
        return 130
    if arguments.json:
        print(json.dumps(fit.figures.values | {"notes": notes, "out": str(arguments.out)}))
        return 0
    _show(fit, notes, console)
    print(f"models and picture in {arguments.out}; {arguments.out / PICTURE} shows the marginals")
    return 0


def _fit(
    arguments: argparse.Namespace, config: FitConfig, folder: Path, console: Console
) -> tuple[Fit, list[str]]:
    """Read, fit and write, with progress; return what is to be known, too."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"))
    sources, stream = sources_of(arguments), FitStream(config)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading", total=None, text="")
        begin = time.monotonic()
        for source in sources:
            stream.begin_bag()
            for record in source:
                stream.add(record)
                if stream.num_transitions % _SHOWN_EACH == 0:
                    bar.update(task, text=f"{stream.num_transitions} transitions")
            stream.pass_over(source.doubles)
        check_hands(sources, arguments.hand)
        samples = stream.samples()
        bar.update(task, total=1, completed=1, text=f"{stream.num_transitions} transitions")
        read = time.monotonic()
        steps = bar.add_task("fitting", total=None, text="")
        fit = fit_models(
            samples,
            lambda done, of: bar.update(steps, completed=done, total=of, text=f"{done} steps"),
        )
        fitted = time.monotonic()
    seconds = {"reading_seconds": read - begin, "fitting_seconds": fitted - read}
    origin = [{"path": str(source.path), "from": source.taken_from} for source in sources]
    unread = [note for source in sources for note in source.unread]
    notes = [*losses(stream), *unread, *fit.figures.notes]
    write_fit(folder, fit, samples, stream, {"bags": origin} | seconds, notes)
    return fit, notes


def _show(fit: Fit, notes: Sequence[str], console: Console) -> None:
    table = Table(show_header=False, box=None)
    for meaning, value in lines_of(fit):
        table.add_row(meaning, value)
    Console().print(table, markup=False, highlight=False)
    for note in notes:
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(
        prog="smm bag fit",
        description="Fit a density, and with several skills a discriminator, to the states that "
        "bags went through.",
    )
    add_source_options(parser)
    parser.add_argument(
        "--out", type=Path, required=True, help="new folder for models, figures and picture"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    parser.add_argument("--config", type=Path, help="YAML file of the settings below")
    add_options(parser, FitConfig)
    return parser


if __name__ == "__main__":
    sys.exit(main())
