"""`smm bag fit`: densities and a discriminator learnt from bags."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from smm_core.config import ConfigError
from smm_core.offline.fit_config import FitConfig
from smm_core.offline.model_fit import Fit, fit_models
from smm_core.offline.state_samples import FitError
from smm_core.options import OptionParser, add_options, read_options
from smm_ros.bag.joint_messages import JointReading, JointTopics
from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.new_folder import FolderError, new_folder
from smm_ros.bag.offline.fit_result import PICTURE, lines_of, losses, write_fit
from smm_ros.bag.offline.fit_stream import FitStream
from smm_ros.bag.reading import read_transitions
from smm_ros.records import TransitionRecord

AUTO, TRANSITIONS, JOINT_STATES = "auto", "transitions", "joint_states"

_SHOWN_EACH = 2000


def main(argv: Sequence[str] | None = None) -> int:
    """Fit to the bags, write the folder, and return the exit status."""
    arguments = _parser().parse_args(argv)
    console = Console(stderr=True)
    try:
        config = read_options(FitConfig, arguments.config, vars(arguments))
        topics = JointTopics(arguments.joint_states, arguments.joint_command)
        with new_folder(arguments.out) as folder:
            fit, stream = _fit(arguments, config, topics, folder, console)
    except (BagError, ConfigError, FitError, FolderError, OSError) as error:
        console.print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted; nothing was written")
        return 130
    _show(fit, stream, console)
    print(f"models and picture in {arguments.out}; {arguments.out / PICTURE} shows the marginals")
    return 0


def _fit(
    arguments: argparse.Namespace,
    config: FitConfig,
    topics: JointTopics,
    folder: Path,
    console: Console,
) -> tuple[Fit, FitStream]:
    """Read, fit and write, with progress."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"))
    stream, origin = FitStream(config), []
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading", total=None, text="")
        begin = time.monotonic()
        for path in arguments.paths:
            source = source_of(path, arguments.source)
            origin.append({"path": str(path), "from": source})
            for record in read_from(path, source, topics):
                stream.add(record)
                if stream.num_transitions % _SHOWN_EACH == 0:
                    bar.update(task, text=f"{stream.num_transitions} transitions")
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
    write_fit(folder, fit, samples, stream, {"bags": origin} | seconds)
    return fit, stream


def source_of(path: Path, wanted: str) -> str:
    """Return what a bag's transitions are taken from: recorded ones, where it has any.

    Raises BagError when there is nothing to read at the path.
    """
    if wanted != AUTO:
        return wanted
    first = next(iter(read_transitions(path)), None)
    return JOINT_STATES if first is None else TRANSITIONS


def read_from(path: Path, source: str, topics: JointTopics) -> Iterator[TransitionRecord]:
    """Yield the transitions of one bag in their order; raises BagError where it has none."""
    if source == JOINT_STATES:
        yield from JointReading(path, topics)
        return
    is_empty = True
    for record in read_transitions(path):
        is_empty = False
        yield record
    if is_empty:
        raise BagError(f"{path} holds no transitions; --from joint_states assembles them")


def _show(fit: Fit, stream: FitStream, console: Console) -> None:
    table = Table(show_header=False, box=None)
    for meaning, value in lines_of(fit):
        table.add_row(meaning, value)
    Console().print(table, markup=False, highlight=False)
    for note in [*losses(stream), *fit.figures.notes]:
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(
        prog="smm bag fit",
        description="Fit a density, and with several skills a discriminator, to the states that "
        "bags went through.",
    )
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="folder of a bag, or one of its files"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="new folder for models, figures and picture"
    )
    parser.add_argument(
        "--from",
        dest="source",
        choices=(AUTO, TRANSITIONS, JOINT_STATES),
        default=AUTO,
        help="take recorded transitions, or assemble them from joint states and joint commands; "
        "auto: the first where a bag has any (default %(default)s)",
    )
    parser.add_argument("--config", type=Path, help="YAML file of the settings below")
    add_options(parser, JointTopics)
    add_options(parser, FitConfig)
    parser.set_defaults(**vars(JointTopics()))
    return parser


if __name__ == "__main__":
    sys.exit(main())
