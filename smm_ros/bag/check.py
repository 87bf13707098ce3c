"""`smm bag check PATH...`: whether all of a bag can be read, and fits together."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from smm_core.options import OptionParser
from smm_ros.bag.bag_files import BagFile, Storage, files_at, is_written, missing_files, unpacked
from smm_ros.bag.figures import count_text
from smm_ros.bag.finding import Finding, Findings, Level
from smm_ros.bag.mcap_check import McapCheck
from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.metadata import METADATA, BagMetadata, read_metadata
from smm_ros.bag.salvage import FileAccount, salvage
from smm_ros.bag.sqlite_file import SqliteScan
from smm_ros.bag.stream_check import StreamCheck

_STYLES = {Level.WARNING: "yellow", Level.ERROR: "red"}
_NEWS_EVERY = 20_000
_REPAIR = "`smm bag repair` saves what is whole"


def main(argv: Sequence[str] | None = None) -> int:
    """Tell what is amiss and return the exit status: 1 where there is an error."""
    options = _parser().parse_args(argv)
    console = Console(highlight=False, soft_wrap=True)
    errors = 0
    for path in options.paths:
        findings, num_messages = check(path, Console(stderr=True))
        for finding in findings:
            _show(console, finding)
        errors += _sum_up(console, path, findings, num_messages)
    return 1 if errors else 0


def check(path: Path, news: Console | None = None) -> tuple[Findings, int]:
    """Read every byte of a bag; return what is amiss, and how many messages could be read."""
    findings = Findings()
    try:
        metadata = _metadata(path, findings)  # first: a file is named when it is there
        files = files_at(path, incomplete=True)
        bag = _Check(path, findings, metadata)
        for file in files:
            bag.see_file(file, news or Console(quiet=True))
    except BagError as error:
        findings.error("bag", path, "", str(error))
        return findings, 0
    bag.end(files)
    return findings, bag.counts.total()


class _Check:
    """One bag: its files one after the other, then what its metadata.yaml says of them."""

    def __init__(self, path: Path, findings: Findings, metadata: BagMetadata | None) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._path, self._findings, self._metadata = path, findings, metadata
        self._file_counts: dict[str, int] = {}
        self._times: tuple[int, int] | None = None
        self._stream = StreamCheck(findings)
        self._is_written = is_written(path)
        self._is_whole = True

    def see_file(self, file: BagFile, news: Console) -> None:
        """Read a file to its end."""
        account = FileAccount(file.path)
        structure = McapCheck(file.path, self._findings)
        if file.storage is Storage.SQLITE:
            text = "sqlite3 has no checksums: a wrong bit in a message goes unnoticed"
            cure = "`smm bag repair` writes a copy with checksums, of what is there now"
            self._findings.warn("checksums", file.path, "", text, cure)
            with unpacked(file) as (path, _):
                for fault in SqliteScan(path, file.path).faults():
                    self._findings.error("structure", file.path, "", fault, _REPAIR)
        known = self._metadata.type_hashes if self._metadata else {}
        with news.status(escape(f"checking {file.path}")) as status:
            for found in salvage(file, account, known, structure):
                topic = found.message.topic
                self.counts[topic.name, topic.type] += 1
                self._see_time(found.message.log_time_ns)
                self._stream.see(found, file.path)
                if account.num_messages % _NEWS_EVERY == 0:
                    told = count_text(account.num_messages, "message")
                    status.update(escape(f"checking {file.path}: {told}"))
        self._file_counts[file.path.name] = account.num_messages
        self._tell(account)

    def _see_time(self, log_time_ns: int) -> None:
        first, last = self._times or (log_time_ns, log_time_ns)
        self._times = min(first, log_time_ns), max(last, log_time_ns)

    def _tell(self, account: FileAccount) -> None:
        for loss in account.losses:
            is_tail = not account.is_ended and loss is account.losses[-1]
            level = Level.WARNING if is_tail and self._is_written else Level.ERROR
            text = str(loss)
            self._findings.add("loss", Finding(level, account.path, loss.place, text, _REPAIR))
        if not account.is_ended:
            self._is_whole = False
            if self._is_written:
                text = "is being written"
                self._findings.warn("end", account.path, "", text)
            else:
                text = "was not ended: its recorder was stopped on the way"
                cure = "`smm bag repair`, or a recorder started on this folder, ends it"
                self._findings.error("end", account.path, "", text, cure)
        self._is_whole &= not account.losses

    def end(self, files: Sequence[BagFile]) -> None:
        """Compare with metadata.yaml."""
        metadata = self._metadata
        if metadata is None:
            return
        path = self._path / METADATA
        for name in missing_files(metadata, files):
            text = f"it names {name}, which is missing"
            self._findings.error("files", path, "", text, _REPAIR)
        named = {name.removesuffix(".zstd") for name in metadata.files}
        for file in files:
            if file.path.name.removesuffix(".zstd") not in named:
                text = f"it does not name {file.path.name}"
                level = Level.WARNING if self._is_written else Level.ERROR
                cure = "`smm bag repair` takes it in"
                self._findings.add("files", Finding(level, path, "", text, cure))
        # After damage the counts differ rightly, and while a bag is written they are old.
        if self._is_whole and not self._is_written:
            self._compare_counts(path, metadata)

    def _compare_counts(self, path: Path, metadata: BagMetadata) -> None:
        said, found = +metadata.counts, +self.counts
        for name, kind in sorted(said.keys() | found.keys()):
            counts = said[name, kind], found[name, kind]
            if counts[0] != counts[1]:
                text = (
                    f"it counts {counts[0]:,} messages of {name} ({kind}), there are {counts[1]:,}"
                )
                self._findings.error("counts", path, "", text, _REPAIR)
        if metadata.num_messages != found.total():
            text = f"it counts {metadata.num_messages:,} messages, there are {found.total():,}"
            self._findings.error("counts", path, "", text, _REPAIR)
        self._compare_times(path, metadata)
        for name, count in metadata.file_counts.items():
            there = self._file_counts.get(name, count)
            if there != count:
                text = f"it counts {count:,} messages in {name}, there are {there:,}"
                self._findings.error("counts", path, "", text, _REPAIR)

    def _compare_times(self, path: Path, metadata: BagMetadata) -> None:
        if self._times is None:
            return
        first, last = self._times
        if (metadata.start_ns, metadata.duration_ns) != (first, last - first):
            said = f"{metadata.duration_ns} ns from {metadata.start_ns} on"
            text = f"it says {said}, the messages are of {last - first} ns from {first} on"
            self._findings.error("times", path, "", text, _REPAIR)


def _metadata(path: Path, findings: Findings) -> BagMetadata | None:
    if not path.is_dir():
        return None
    try:
        metadata = read_metadata(path)
    except BagError as error:
        findings.error("metadata", path / METADATA, "", str(error), "`smm bag repair` makes one")
        return None
    if metadata is None:
        text = "is missing: other tools do not open the bag"
        findings.error("metadata", path / METADATA, "", text, "`smm bag repair` makes one")
    return metadata


def _show(console: Console, finding: Finding) -> None:
    place = f", {finding.place}" if finding.place else ""
    line = Text(f"{finding.level.value:<8} ", _STYLES[finding.level])
    console.print(line + Text(f"{finding.path}{place}: {finding.text}"))
    if finding.cure:
        console.print(Text(f"{'':<9}{finding.cure}", "dim"))


def _sum_up(console: Console, path: Path, findings: Findings, num_messages: int) -> int:
    errors, warnings = findings.count(Level.ERROR), findings.count(Level.WARNING)
    read = f"{path}: {count_text(num_messages, 'message')} read"
    if errors or warnings:
        told = f"{count_text(errors, 'error')}, {count_text(warnings, 'warning')}"
        console.print(Text(f"{read}, {told}", "red" if errors else "yellow"))
    else:
        console.print(Text(f"{read}, nothing is amiss", "green"))
    return errors


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(
        prog="smm bag check",
        description="Read every byte of bags: checksums, message types, sequences, episodes, and "
        "what metadata.yaml says of the files. Nothing is changed.",
        epilog="Exit status: 0 no error (warnings at most), 1 an error, 2 wrong use.",
    )
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="folder or file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
