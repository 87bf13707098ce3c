"""`smm bag repair PATH OUT`: a whole bag of everything that can be saved of a damaged one."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from smm_core.options import OptionParser
from smm_ros.bag.bag_copy import BagCopy
from smm_ros.bag.bag_files import files_at, is_written, missing_files
from smm_ros.bag.digest import Digest
from smm_ros.bag.figures import count_text, spans_text
from smm_ros.bag.losses import add_losses
from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.metadata import METADATA, BagMetadata, MetadataError, read_metadata
from smm_ros.bag.new_folder import FolderError, new_folder
from smm_ros.bag.salvage import FileAccount, salvage
from smm_ros.bag.sqlite_file import SIDE_FILES

_NEWS_EVERY = 20_000


@dataclass
class RepairReport:
    """What was saved of a bag, and what was not."""

    accounts: list[FileAccount] = field(default_factory=list)
    missing_files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    digest: Digest = field(default_factory=Digest)
    files: list[str] = field(default_factory=list)
    """Names of the files written."""

    @property
    def num_lost(self) -> int | None:
        """Messages lost, None where that can not be known."""
        lost = [account.num_lost for account in self.accounts]
        return None if None in lost or self.missing_files else sum(filter(None, lost))


def main(argv: Sequence[str] | None = None) -> int:
    """Write the copy, tell what is in it and what not, and return the exit status."""
    options = _parser().parse_args(argv)
    console = Console(highlight=False, soft_wrap=True)
    try:
        report = repair(options.path, options.out, Console(stderr=True))
    except BagError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    _tell(console, report, options.out)
    return 0


def repair(path: Path, out: Path, news: Console | None = None) -> RepairReport:
    """Copy everything that is whole in the bag at `path` into a new bag at `out`.

    Nothing at `path` is changed. Raises BagError where nothing can be saved, where the bag is
    being written, and where `out` exists or can not be written.
    """
    _check_paths(path, out)
    report, before = RepairReport(), _state(path)
    bag = _Damaged(path, report, news or Console(quiet=True))
    try:
        with new_folder(out) as folder:
            folder.mkdir()
            copy = BagCopy(folder)
            bag.copy_to(copy)
            if _state(path) != before:
                raise BagError(f"{path} is being written; stop its recorder first")
            report.files = copy.finish(bag.losses, bag.custom_data)
    except FolderError as error:
        raise BagError(str(error)) from error
    except OSError as error:
        raise BagError(
            f"can not write {out}: {error.strerror}; free space, or name another folder"
        ) from error
    report.digest.end()
    return report


class _Damaged:
    """The bag to be saved."""

    def __init__(self, path: Path, report: RepairReport, news: Console) -> None:
        self._path, self._report, self._news = path, report, news
        self._metadata = self._read_metadata(path)
        self._files = files_at(path, incomplete=True)
        if self._metadata:
            report.missing_files = missing_files(self._metadata, self._files)

    def copy_to(self, copy: BagCopy) -> None:
        """Write everything that can be saved; raises BagError where there is nothing."""
        accounts = self._report.accounts
        known = self._metadata.type_hashes if self._metadata else {}
        with self._news.status("saving") as status:
            for file in self._files:
                accounts.append(account := FileAccount(file.path))
                for found in salvage(file, account, known):
                    if account.num_messages % _NEWS_EVERY == 0:
                        told = count_text(account.num_messages, "message")
                        status.update(escape(f"saving {file.path}: {told}"))
                    self._report.digest.see(found.message)
                    copy.write(found.message)
                for topic in account.topics:
                    copy.add_topic(topic)
        is_empty = not self._report.digest.num_messages
        if is_empty and any(a.losses or not a.is_ended for a in accounts):
            raise BagError(_nothing(self._path, self._report))

    @property
    def losses(self) -> dict[str, int]:
        """What the recorder itself knew to be missing, once the bag is read."""
        return add_losses(account.told_losses for account in self._report.accounts)

    @property
    def custom_data(self) -> dict[str, str]:
        """What the metadata of the copy says besides."""
        kept = self._metadata.custom_data if self._metadata else {}
        return kept | {name: str(count) for name, count in self.losses.items()}

    def _read_metadata(self, path: Path) -> BagMetadata | None:
        try:
            metadata = read_metadata(path) if path.is_dir() else None
        except MetadataError as error:
            self._report.notes.append(str(error))
            return None
        if metadata is None and path.is_dir():
            self._report.notes.append(f"there was no {METADATA}")
        return metadata


def _check_paths(path: Path, out: Path) -> None:
    if os.path.lexists(out):
        raise BagError(f"{out} exists; name a new folder")
    inside = out.resolve().parents
    if path.is_dir() and path.resolve() in inside:
        raise BagError(f"{out} lies in the bag itself, which is not to be changed; name another")
    if path.exists() and is_written(path):
        raise BagError(f"{path} is being written; stop its recorder first")


def _state(path: Path) -> dict[Path, tuple[int, int]]:
    """Return sizes and times of all that belongs to the bag."""
    sides = [path.with_name(path.name + suffix) for suffix in SIDE_FILES]
    files = path.iterdir() if path.is_dir() else filter(Path.exists, [path, *sides])
    state = {}
    for file in files:
        with suppress(FileNotFoundError):  # it has gone meanwhile
            status = file.stat()
            state[file] = (status.st_size, status.st_mtime_ns)
    return state


def _nothing(path: Path, report: RepairReport) -> str:
    reasons = [f"{a.path.name}: {loss.reason}" for a in report.accounts for loss in a.losses]
    why = "; ".join(reasons[:3]) or "nothing was ever written"
    return f"nothing can be saved of {path}: {why}"


def _tell(console: Console, report: RepairReport, out: Path) -> None:
    for account in report.accounts:
        console.print(Text(f"{account.path}: {count_text(account.num_messages, 'message')} saved"))
        if not account.is_ended:
            console.print(Text("  was not ended", "yellow"))
        for loss in account.losses:
            console.print(Text(f"  {loss.place}: {loss}", "yellow"))
    for name in report.missing_files:
        console.print(Text(f"{name} is missing", "yellow"))
    for note in report.notes:
        console.print(Text(note, "yellow"))
    for name, hand in sorted(report.digest.hands.items()):
        if hand.num_gaps:
            numbers = spans_text([(gap.first, gap.last) for gap in hand.gaps])
            text = f"{name}: {count_text(hand.num_missing, 'transition')} missing: {numbers}"
            console.print(Text(text, "yellow"))
    lost = report.num_lost
    told = "an unknown number of messages" if lost is None else count_text(lost, "message")
    saved = count_text(report.digest.num_messages, "message")
    files = count_text(len(report.files), "file")
    style = "green" if lost == 0 else "yellow"
    console.print(Text(f"{out}: {saved} in {files}; {told} lost", style))


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(
        prog="smm bag repair",
        description="Write a whole bag (MCAP) of everything that can be saved of one that is "
        "damaged or was never ended. The original is left as it is, to the last bit.",
        epilog="Exit status: 0 the copy is written, 1 nothing was saved, 2 wrong use.",
    )
    parser.add_argument("path", type=Path, metavar="PATH", help="folder or file to be saved")
    parser.add_argument("out", type=Path, metavar="OUT", help="new folder to write to")
    return parser


if __name__ == "__main__":
    sys.exit(main())
