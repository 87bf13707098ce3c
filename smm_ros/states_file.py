"""`smm states`: the states that a bag went through as one array, to learn a target from."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smm_core.options import OptionParser
from smm_ros.bag.reading import BagError, read_messages, read_transitions

_JOINT_STATE = "sensor_msgs/msg/JointState"

_OTHERWISE = {
    "transitions": "--joint_states takes the positions of JointState messages instead",
    "joint states": "without --joint_states the observations of transitions are taken",
}


class States(NamedTuple):
    """What a bag went through."""

    rows: NDArray[np.float32]
    """(N, numbers)"""
    columns: str
    """What the numbers of a row are."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the file and return the exit status."""
    options = _parser().parse_args(argv)
    read = joint_positions if options.joint_states else next_observations
    try:
        _check_path(options.out)
        states = read(options.bag)
        with options.out.open("xb") as file:
            np.save(file, states.rows)
    except (BagError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(_summary(states, options.out))
    return 0


def next_observations(bag: Path) -> States:
    """Return what every transition led to, of all hands in the order recorded.

    Raises BagError where there are none, or hands whose observations differ in size.
    """
    records = read_transitions(bag)
    rows = _stacked(bag, "transitions", (record.next_observation for record in records))
    return States(rows, "the entries of the observation that each transition led to")


def joint_positions(bag: Path) -> States:
    """Return the positions in every JointState message, rad, in the order recorded.

    Raises BagError where there are none, or not all of the same joints.
    """
    states = [m.decode() for m in read_messages(bag) if m.topic.type == _JOINT_STATE]
    names = sorted({tuple(state.name) for state in states})
    if len(names) > 1:
        raise BagError(
            f"{bag} has joint states of {' '.join(names[0])} and of {' '.join(names[1])}; "
            "record the topic of one robot alone"
        )
    rows = _stacked(bag, "joint states", (np.asarray(state.position) for state in states))
    return States(rows, "positions in rad of " + ", ".join(names[0]))


def _stacked(bag: Path, what: str, rows: Iterable[NDArray[np.floating]]) -> NDArray[np.float32]:
    found = list(rows)
    if not found:
        raise BagError(f"{bag} holds no {what}; {_OTHERWISE[what]}")
    sizes = sorted({len(row) for row in found})
    if len(sizes) > 1 or not sizes[0]:
        raise BagError(
            f"{bag} has {what} of {' and '.join(map(str, sizes))} numbers, expected all of one "
            "size and none empty"
        )
    return np.stack(found).astype(np.float32)


def _summary(states: States, path: Path) -> str:
    count, width = states.rows.shape
    return (
        f"wrote {count} states of {width} numbers to {path}\n"
        f"columns 0 .. {width - 1}: {states.columns}\n"
        "A row as wide as the matched state is taken for it, any other for an observation. "
        "To visit the like:\n"
        "  smm train ENV --learner.target.name demonstrations "
        f"--learner.target.demonstrations.file {path}"
    )


def _check_path(path: Path) -> None:
    """Raise OSError, before a long bag is read, where the file could not be written."""
    if path.suffix != ".npy":
        raise OSError(f"--out is {path}, expected a file name that ends in .npy")
    if path.exists():
        raise OSError(f"{path} exists; name another file with --out")
    if not path.parent.is_dir():
        raise OSError(f"--out is {path}, but there is no folder {path.parent}; make it first")


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="smm states", description=__doc__)
    parser.add_argument(
        "bag", type=Path, metavar="PATH", help="folder of a bag, or one of its files"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("states.npy"), help="new .npy file (default %(default)s)"
    )
    parser.add_argument(
        "--joint_states",
        action="store_true",
        help="the positions of all JointState messages instead of the transitions' observations",
    )
    return parser
