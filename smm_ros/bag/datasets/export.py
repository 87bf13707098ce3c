"""`smm bag export`: the transitions of bags as a dataset that learners' libraries open."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path

from smm_core.options import OptionParser
from smm_ros.bag.datasets.conversion import Conversion, Tell, convert
from smm_ros.bag.datasets.dataset import (
    BROKEN_EPISODES,
    EVERYTHING,
    SPLIT,
    Choice,
    DatasetReport,
    SegmentReading,
)
from smm_ros.bag.new_folder import new_folder
from smm_ros.bag.source_options import add_source_options, joint_topics

FORMATS = {
    "parquet": "smm_ros.bag.datasets.parquet_dataset",
    "lerobot": "smm_ros.bag.datasets.lerobot_dataset",
    "minari": "smm_ros.bag.datasets.minari_dataset",
}
"""Modules that write and read each format, imported when they are asked for."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the dataset and return the exit status."""
    options = _parser().parse_args(argv)

    def work(tell: Tell) -> Conversion:
        topics = joint_topics(options)
        choice = Choice(options.hand, options.broken_episodes, options.source, topics)
        report = export(options.paths, options.to, options.out, choice, tell)
        figures = vars(report) | {"hands": sorted(report.hands)}
        return Conversion(report.transitions, _told(report, options.broken_episodes), figures)

    return convert(work, options.out, options.json)


def export(
    paths: Sequence[Path],
    to: str,
    out: Path,
    choice: Choice = EVERYTHING,
    tell: Tell = lambda transitions: None,
) -> DatasetReport:
    """Write the transitions of bags into the new folder `out`, in one of FORMATS.

    `tell` is called, over and over, with the number of those read so far.

    Raises BagError where a bag can not be read to its end, ConfigError for topics that do not
    fit each other, DatasetError where its transitions do not fit, FolderError where `out` is
    there already and OSError where it can not be written; nothing is left there then.
    """
    out = out.expanduser().absolute()
    with new_folder(out) as folder:
        reading = SegmentReading(paths, choice, tell)
        importlib.import_module(FORMATS[to]).write_dataset(folder, reading, out)
    return reading.report


def _told(report: DatasetReport, broken_episodes: str) -> list[str]:
    """Return what there is to say about the dataset, a line each."""
    whole = report.episodes - report.broken_episodes
    told = [f"{whole} whole episodes of {', '.join(sorted(report.hands))}"]
    if report.broken_episodes and broken_episodes == SPLIT:
        parts = report.segments - whole
        told.append(f"{report.broken_episodes} broken episodes, written as {parts} segments")
    elif report.broken_episodes:
        told.append(
            f"{report.broken_episodes} broken episodes left out, {report.left_out} transitions"
        )
    if report.assembled:
        told.append(f"{report.assembled} assembled from joint states and joint commands")
    missing = {hand: count for hand, count in report.missing.items() if count}
    told += [f"{count} transitions of {hand} are missing" for hand, count in missing.items()]
    if report.doubled:
        told.append(
            f"{report.doubled} transitions came more than once, or late, and were passed over"
        )
    return told + report.torn


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="smm bag export", description=__doc__)
    add_source_options(parser)
    parser.add_argument("--to", choices=FORMATS, required=True, help="the dataset's format")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="new folder of the dataset; for minari its name is the id, such as dclaw-v0",
    )
    parser.add_argument(
        "--broken_episodes",
        choices=BROKEN_EPISODES,
        default=SPLIT,
        help="what becomes of episodes with a part missing: each unbroken part a segment of its "
        "own, or none of it (default %(default)s)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print what became of it as one JSON object"
    )
    return parser
