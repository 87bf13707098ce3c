"""What can be had of the files of a bag, however damaged, and an account of the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import zstandard

from smm_ros.bag.bag_files import ZSTD_MAGIC, BagFile, Storage, unpacked
from smm_ros.bag.losses import losses_in
from smm_ros.bag.mcap_file import BagError, Topic
from smm_ros.bag.mcap_records import DamageError
from smm_ros.bag.mcap_salvage import Loss, McapSalvage
from smm_ros.bag.mcap_search import SoundRecord
from smm_ros.bag.reading import BagMessage
from smm_ros.bag.sqlite_file import SqliteScan


class Salvaged(NamedTuple):
    """A message that was found whole, and where."""

    message: BagMessage
    place: str


@dataclass
class FileAccount:
    """What became of one file."""

    path: Path
    num_messages: int = 0
    expected: int | None = None
    """Messages that the file says it has; None where it does not, or can not be believed."""
    losses: list[Loss] = field(default_factory=list)
    is_ended: bool = True
    """False where whoever wrote the file was stopped before its end, or is still at work."""
    topics: list[Topic] = field(default_factory=list)
    """Those that the file describes, also without a message."""
    told_losses: dict[str, int] = field(default_factory=dict)
    """What the recorder itself knew to be missing, by what it is and why."""

    @property
    def num_lost(self) -> int | None:
        """Messages that were lost, None where that can not be known."""
        if self.expected is not None:
            return max(0, self.expected - self.num_messages)
        known = [loss.num_messages for loss in self.losses]
        return None if None in known else sum(filter(None, known))

    def lose(self, reason: str, place: str = "the file") -> None:
        """Note that something is lost of which no more is known."""
        self.losses.append(Loss(place, 0, reason))


class Observer(Protocol):
    """Watches the records of an MCAP file pass."""

    def see(self, scan: McapSalvage, record: SoundRecord) -> None:
        """Look at one whole record."""

    def end(self, scan: McapSalvage) -> None:
        """Look at the whole, behind the last record."""


def salvage(
    file: BagFile,
    account: FileAccount,
    known: Mapping[tuple[str, str], str],
    observer: Observer | None = None,
) -> Iterator[Salvaged]:
    """Yield all whole messages of a file in the order recorded; `account` tells of the rest.

    `known`: the type hash of each (topic, type), as metadata.yaml has it. `observer` is shown the
    records of an MCAP file.
    """
    read = _from_sqlite if file.storage is Storage.SQLITE else _from_mcap
    try:
        with unpacked(file) as (path, trouble):
            for found in read(path, account, known, observer):
                plain = _plain(found, account)
                if plain is not None:
                    account.num_messages += 1
                    yield plain
            if trouble:
                account.lose(trouble)
    except OSError as error:
        account.lose(f"can not be read: {error.strerror}", "what follows")


def _from_mcap(
    path: Path,
    account: FileAccount,
    known: Mapping[tuple[str, str], str],
    observer: Observer | None,
) -> Iterator[Salvaged]:
    scan = McapSalvage(path, known)
    account.is_ended = scan.is_closed
    account.losses = scan.losses
    if scan.summary and scan.summary.statistics:
        account.expected = scan.summary.statistics.message_count
    for raw in scan.read(partial(observer.see, scan) if observer else None):
        yield Salvaged(BagMessage(*raw), f"byte {scan.place}")
    account.topics = scan.topics()
    try:
        account.told_losses = losses_in(scan.metadata)
    except DamageError as error:
        account.losses.append(Loss("the file", 0, str(error), 0))
    if observer:
        observer.end(scan)


def _from_sqlite(path: Path, account: FileAccount, *_: object) -> Iterator[Salvaged]:
    scan = SqliteScan(path, account.path)
    try:
        for row in scan.salvaged():
            message = BagMessage(row.topic, row.log_time_ns, row.log_time_ns, row.data)
            yield Salvaged(message, f"message {row.id}")
    except BagError as error:
        account.lose(str(error))
    account.topics = scan.topics
    account.is_ended = scan.is_ended
    for hole in scan.holes:
        account.lose(hole)


def _plain(found: Salvaged, account: FileAccount) -> Salvaged | None:
    """Unpack a message that is compressed by itself; None where that fails."""
    message = found.message
    if not message.data.startswith(ZSTD_MAGIC):
        return found
    try:
        data = zstandard.decompress(message.data)
    except (zstandard.ZstdError, MemoryError) as error:
        account.losses.append(
            Loss(found.place, len(message.data), f"a message does not unpack: {error}", 1)
        )
        return None
    return found._replace(message=message._replace(data=data))
