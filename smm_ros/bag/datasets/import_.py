"""`smm bag import`: a bag made of a dataset, its transitions as they were recorded."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from rclpy.exceptions import InvalidTopicNameException
from rclpy.validate_topic_name import validate_topic_name

from smm_core.options import OptionParser
from smm_ros.bag.datasets.conversion import Conversion, Tell, convert
from smm_ros.bag.datasets.dataset import DatasetError, DatasetReading
from smm_ros.bag.datasets.export import FORMATS
from smm_ros.bag.new_folder import new_folder
from smm_ros.bag.source_options import hand_name
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.interfaces import TRANSITIONS, TRANSITIONS_QOS
from smm_ros.records import TransitionRecord
from smm_ros.transition_wire import serialize_transition

_TOLD = 1000
"""Transitions between two calls that tell how many were written."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the bag and return the exit status."""
    options = _parser().parse_args(argv)

    def work(tell: Tell) -> Conversion:
        dataset = open_dataset(options.dataset)
        dataset.choose(options.hand, options.ignore_rewards)
        count = import_run(dataset, options.run, options.out, tell)
        return Conversion(count, dataset.notes)

    return convert(work, options.out, options.json)


def open_dataset(path: Path) -> DatasetReading:
    """Open a dataset with the module of its format.

    Raises DatasetError where there is none, or one that can not be read.
    """
    for name in FORMATS.values():
        module = importlib.import_module(name)
        if module.is_dataset(path):
            dataset: DatasetReading = module.open_dataset(path)
            return dataset
    found = "holds no dataset" if path.exists() else "does not exist"
    raise DatasetError(
        f"{path} {found}; expected a Parquet file, or the folder of a dataset in one of the "
        f"formats {', '.join(FORMATS)}"
    )


def import_run(
    dataset: DatasetReading,
    run: int | None,
    out: Path,
    tell: Tell = lambda transitions: None,
) -> int:
    """Write a run of the dataset (None: its only one) into the new bag `out`; return the count.

    Every message's log time is its stamp, its topic that of its hand. `tell` is called, over and
    over, with the number of transitions written so far.

    Raises DatasetError where there is no such run or where its transitions make no recording,
    FolderError where `out` is there already, TransitionWireError for a number that is too large
    for the message, BagError and OSError where it can not be written; nothing is left there then.
    """
    runs = dataset.hands()
    if not runs:
        raise DatasetError("the dataset is empty")
    if run is None and len(runs) == 1:
        run = next(iter(runs))
    if run is None or run not in runs:
        asked = "several runs" if run is None else f"no run {run}"
        numbers = ", ".join(map(str, sorted(runs)))
        raise DatasetError(f"the dataset holds {asked}; choose one with --run from: {numbers}")
    topics = {hand: _topic_name(hand) for hand in sorted(runs[run])}
    described = [
        installed_topic(
            name, "smm_ros/msg/Transition", TRANSITIONS_QOS.depth, durability="transient_local"
        )
        for name in dict.fromkeys(topics.values())
    ]
    count = 0
    with new_folder(out) as folder:
        writer = BagWriter(folder, described)
        try:
            for record in _ascending(dataset.records(run)):
                data = serialize_transition(record)
                writer.write(topics[record.hand], record.stamp_ns, data)
                count += 1
                if count % _TOLD == 0:
                    tell(count)
        finally:
            writer.close()
    return count


def _topic_name(hand: str) -> str:
    name = f"/{hand.strip('/')}/{TRANSITIONS}"
    try:
        validate_topic_name(name)
    except InvalidTopicNameException as error:
        raise DatasetError(
            f"{hand!r} is no name of a hand: a topic can not be {name!r} ({error})"
        ) from None
    return name


def _ascending(records: Iterator[TransitionRecord]) -> Iterator[TransitionRecord]:
    """Yield the records; raises DatasetError where a reader of the bag would skip one."""
    last: dict[str, int] = {}
    for record in records:
        before = last.get(record.hand, -1)
        if record.sequence <= before:
            raise DatasetError(
                f"transition {record.sequence} of {record.hand} comes after {before}; sort the "
                "rows of each hand by sequence, and take out those that are there twice"
            )
        if record.stamp_ns < 0:
            raise DatasetError(
                f"transition {record.sequence} of {record.hand} has the stamp {record.stamp_ns} "
                "ns; the times in a bag begin at 0"
            )
        last[record.hand] = record.sequence
        yield record


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="smm bag import", description=__doc__)
    parser.add_argument(
        "dataset",
        type=Path,
        metavar="DATASET",
        help="Parquet file, or folder of a Parquet, LeRobot or Minari dataset that a bag was "
        "exported to; or any Minari dataset of flat observations and bounded flat actions",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="new folder of the bag"
    )
    parser.add_argument(
        "--run",
        type=int,
        metavar="N",
        help="number of the bag, from 0, in a dataset made of several",
    )
    parser.add_argument(
        "--hand",
        type=hand_name,
        metavar="NAME",
        help="for a dataset of another origin: whose it shall be (default imported)",
    )
    parser.add_argument(
        "--ignore_rewards",
        action="store_true",
        help="for a dataset of another origin: 0 in place of rewards, which else are taken for "
        "log p_shaping and have to be at most 0",
    )
    parser.add_argument(
        "--json", action="store_true", help="print what became of it as one JSON object"
    )
    return parser
