"""`smm states`: the states that a bag went through as one array, to learn a target from."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smm_ros.bag import BagError, read_messages, read_transitions

Rows = NDArray[np.float32]

_JOINT_STATE = "sensor_msgs/msg/JointState"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the file and return the exit status."""
    options = _parser().parse_args(argv)
    read = joint_positions if options.joint_states else next_observations
    try:
        _check_path(options.out)
        rows = read(options.bag)
        with options.out.open("xb") as file:
            np.save(file, rows)
    except (BagError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{len(rows)} rows of {rows.shape[1]} numbers in {options.out}")
    return 0


def next_observations(bag: Path) -> Rows:
    """Return what every transition led to, (N, obs_size), of all hands in the order recorded.

    Raises BagError where there are none, or hands whose observations differ in size.
    """
    records = read_transitions(bag)
    return _stacked(bag, "transitions", (record.next_observation for record in records))


def joint_positions(bag: Path) -> Rows:
    """Return the positions in every JointState message, (N, joints) rad, in the order recorded.

    Raises BagError where there are none, or not all of the same joints.
    """
    states = [m.decode() for m in read_messages(bag) if m.topic.type == _JOINT_STATE]
    names = sorted({tuple(state.name) for state in states})
    if len(names) > 1:
        raise BagError(
            f"{bag} has joint states of {' '.join(names[0])} and of {' '.join(names[1])}; "
            "record the topic of one robot alone"
        )
    return _stacked(bag, "joint states", (np.asarray(state.position) for state in states))


def _stacked(bag: Path, what: str, rows: Iterable[NDArray[np.floating]]) -> Rows:
    found = list(rows)
    if not found:
        raise BagError(f"{bag} holds no {what}")
    sizes = sorted({len(row) for row in found})
    if len(sizes) > 1:
        raise BagError(f"{bag} has {what} of {sizes} numbers, expected all of one size")
    return np.stack(found).astype(np.float32)


def _check_path(path: Path) -> None:
    if path.suffix != ".npy":
        raise OSError(f"--out is {path}, expected a file name that ends in .npy")
    if path.exists():
        raise OSError(f"{path} exists; name another file with --out")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="smm states", description=__doc__)
    parser.add_argument("bag", type=Path, help="folder of a bag, or one MCAP file")
    parser.add_argument(
        "--out", type=Path, default=Path("states.npy"), help="(default %(default)s)"
    )
    parser.add_argument(
        "--joint-states",
        action="store_true",
        help="the positions of all JointState messages instead of the transitions' observations",
    )
    return parser
