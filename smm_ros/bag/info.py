"""`smm bag info PATH...`: what is in a bag."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from smm_core.options import OptionParser
from smm_ros.bag.bag_files import BagFile, files_at, missing_files
from smm_ros.bag.digest import MAX_GAPS, Digest, HandDigest
from smm_ros.bag.figures import (
    count_text,
    duration_text,
    episodes_text,
    ranges_text,
    size_text,
    spans_text,
    time_text,
)
from smm_ros.bag.mcap_file import BagError, Tail
from smm_ros.bag.metadata import METADATA, BagMetadata, read_metadata
from smm_ros.bag.reading import Reading

_SHOWN_GAPS = 5
_NEWS_EVERY = 20_000
"""Messages between two words on how far it is."""


@dataclass
class BagInfo:
    """What was found in one bag."""

    path: Path
    files: list[BagFile] = field(default_factory=list)
    digest: Digest = field(default_factory=Digest)
    tails: list[Tail] = field(default_factory=list)
    custom_data: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    error: str = ""
    """Why it could not be read to its end."""

    @property
    def num_bytes(self) -> int:
        """Bytes on the disk."""
        return sum(file.path.stat().st_size for file in self.files)

    @property
    def storage(self) -> str:
        """Kind of files, with what they are packed with."""
        names = {f.storage.value + (", zstd" if f.is_packed else "") for f in self.files}
        return " and ".join(sorted(names))


def main(argv: Sequence[str] | None = None) -> int:
    """Show the bags and return the exit status: 1 where one can not be read to its end."""
    options = _parser().parse_args(argv)
    news = Console(stderr=True)
    found = [_read(path, news) for path in options.paths]
    if options.json:
        print(json.dumps([as_plain(info) for info in found], indent=2))
    else:
        console = Console(highlight=False, soft_wrap=False)
        for info in found:
            _show(console, info)
    for info in found:
        if info.error:
            print(f"error: {info.error}", file=sys.stderr)
    return 1 if any(info.error for info in found) else 0


def as_plain(info: BagInfo) -> dict[str, Any]:
    """Return what was found as plain data, times in ns."""
    digest = info.digest
    return {
        "path": str(info.path),
        "storage": info.storage,
        "files": [str(file.path) for file in info.files],
        "num_bytes": info.num_bytes,
        "start_ns": digest.start_ns,
        "duration_ns": digest.end_ns - digest.start_ns,
        "num_messages": digest.num_messages,
        "topics": [
            {
                "name": name,
                "type": kind,
                "num_messages": topic.num_messages,
                "num_bytes": topic.num_bytes,
                "rate": topic.rate,
            }
            for (name, kind), topic in digest.topics.items()
        ],
        "hands": {name: _hand_as_plain(hand) for name, hand in digest.hands.items()},
        "reported_drops": digest.reported_drops,
        "marks": [mark._asdict() for mark in digest.marks],
        "custom_data": info.custom_data,
        "unreadable": dict(digest.unreadable),
        "unread_ends": [
            {"file": str(t.path), "offset": t.offset, "num_bytes": t.num_bytes, "reason": t.reason}
            for t in info.tails
        ],
        "notes": info.notes,
        "error": info.error,
    }


def _hand_as_plain(hand: HandDigest) -> dict[str, Any]:
    return {
        "num_transitions": hand.num_transitions,
        "num_runs": hand.num_runs,
        "first": hand.first,
        "last": hand.last,
        "num_missing": hand.num_missing,
        "num_gaps": hand.num_gaps,
        "gaps": [gap._asdict() for gap in hand.gaps],
        "num_repeated": hand.num_repeated,
        "complete_episodes": dict(hand.complete),
        "interrupted_episodes": dict(hand.interrupted),
        "torn_episodes": dict(hand.torn),
        "skills": dict(hand.skills),
        "policy_versions": dict(hand.policy_versions),
    }


def _read(path: Path, news: Console) -> BagInfo:
    info = BagInfo(path)
    metadata = _read_metadata(info)  # before the files are listed: one is named when it is there
    try:
        info.files = files_at(path, incomplete=True)
        reading = Reading(info.files, lambda topic: True)
        with news.status(escape(f"reading {path}")) as status:
            try:
                for number, message in enumerate(reading):
                    info.digest.see(message)
                    if number % _NEWS_EVERY == 0:
                        status.update(escape(f"reading {path}: {count_text(number, 'message')}"))
            finally:
                info.tails = reading.report.tails
                names = [path.name for path in reading.report.unended]
                info.notes += [f"{name} was not ended, or is being written" for name in names]
    except BagError as error:
        info.error = str(error)
    info.digest.end()
    missing = missing_files(metadata, info.files) if metadata else []
    info.notes += [f"{name} is missing, which {METADATA} names" for name in missing]
    return info


def _read_metadata(info: BagInfo) -> BagMetadata | None:
    if not info.path.is_dir():
        return None
    try:
        metadata = read_metadata(info.path)
    except BagError as error:
        info.notes.append(str(error))
        return None
    if metadata is None:
        info.notes.append(f"there is no {METADATA}; `smm bag repair` makes a copy that has one")
    else:
        info.custom_data = metadata.custom_data
    return metadata


def _show(console: Console, info: BagInfo) -> None:
    digest = info.digest
    console.print(Text(str(info.path), "bold"), soft_wrap=True)
    if info.files:
        console.print(
            f"  {info.storage}, {count_text(len(info.files), 'file')}, "
            f"{size_text(info.num_bytes)}, {count_text(digest.num_messages, 'message')}"
        )
    if digest.num_messages:
        length = duration_text(digest.end_ns - digest.start_ns)
        console.print(f"  {length} from {time_text(digest.start_ns)}\n")
        console.print(_topic_table(digest))
    for name, hand in sorted(digest.hands.items()):
        console.print()
        console.print(Text(f"hand {name}", "bold"))
        console.print(_hand_table(hand))
    rows = _remarks(info)
    if rows:
        console.print()
        console.print(_pairs(rows))
    console.print()


def _topic_table(digest: Digest) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("  topic", overflow="fold")
    table.add_column("type", overflow="fold")
    for name in ("messages", "Hz", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    for (name, kind), topic in sorted(digest.topics.items()):
        table.add_row(
            f"  {name}",
            kind.replace("/msg/", "/"),
            f"{topic.num_messages:,}",
            f"{topic.rate:.3g}",
            size_text(topic.num_bytes),
        )
    return table


def _hand_table(hand: HandDigest) -> Table:
    transitions = f"{hand.num_transitions:,}, numbers {hand.first:,} to {hand.last:,}"
    if hand.num_runs > 1:
        transitions += f", in {hand.num_runs:,} runs"
    if hand.num_repeated:
        transitions += f"; {hand.num_repeated:,} more came twice or late"
    kinds = ("complete", "interrupted", "torn")
    episodes = [episodes_text(k, n) for k in kinds if (n := getattr(hand, k))]
    skills = [f"{skill}: {count:,}" for skill, count in sorted(hand.skills.items())]
    versions = ranges_text(hand.policy_versions)
    rows = [
        ("transitions", Text(transitions)),
        ("missing", _missing(hand)),
        ("episodes", Text("; ".join(episodes))),
        ("skills", Text(", ".join(skills))),
        ("policies", Text(f"{count_text(len(hand.policy_versions), 'version')}: {versions}")),
    ]
    return _pairs(rows)


def _missing(hand: HandDigest) -> Text:
    if not hand.num_missing:
        return Text("none", "green")
    text = Text(f"{hand.num_missing:,} in {count_text(hand.num_gaps, 'gap')}", "yellow")
    for gap in hand.gaps[:_SHOWN_GAPS]:
        numbers = spans_text([(gap.first, gap.last)])
        text.append(f"\n{numbers} before {time_text(gap.log_time_ns)}")
    if hand.num_gaps > _SHOWN_GAPS:
        text.append(f"\n... (--json tells the first {MAX_GAPS})")
    return text


def _remarks(info: BagInfo) -> list[tuple[str, Text]]:
    rows = []
    dropped = info.digest.reported_drops
    if dropped is not None:
        style = "yellow" if dropped else "green"
        rows.append(("dropped", Text(f"{dropped:,} by the recorder's own reports", style)))
    rows += [(key, Text(value)) for key, value in info.custom_data.items()]
    rows += [("mark", Text(f"{time_text(m.log_time_ns)}: {m.text}")) for m in info.digest.marks]
    for topic, count in info.digest.unreadable.items():
        rows.append(("unreadable", Text(f"{count_text(count, 'message')} of {topic}", "red")))
    for tail in info.tails:
        size = size_text(tail.num_bytes)
        text = f"{size} of {tail.path.name} from byte {tail.offset} on: {tail.reason}"
        rows.append(("unread end", Text(text, "yellow")))
    rows += [("note", Text(note, "yellow")) for note in info.notes]
    return rows


def _pairs(rows: Sequence[tuple[str, Text]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(f"  {name}", text)
    return table


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(
        prog="smm bag info",
        description="Show what is in bags: topics, episodes, gaps, skills, policies, drops.",
        epilog="Exit status: 0 read to the end, 1 not, 2 wrong use.",
    )
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="folder or file")
    parser.add_argument("--json", action="store_true", help="everything as JSON, times in ns")
    return parser


if __name__ == "__main__":
    sys.exit(main())
