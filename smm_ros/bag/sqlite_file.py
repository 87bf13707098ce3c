"""One sqlite3 file of a bag, read without ever changing it or what lies beside it."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from smm_ros.bag.definitions import standard_definition
from smm_ros.bag.mcap_file import REPAIR_ADVICE, BagError, RawMessage, Tail, Topic
from smm_ros.bag.sqlite_pages import SqlitePages
from smm_ros.bag.topics import dump_yaml, offered_profiles

SIDE_FILES = ("-wal", "-journal")
"""What a recorder that was killed leaves beside the file: changes to be made, or taken back."""
_TABLES = {"topics", "messages"}
_SELECT = "SELECT id, topic_id, timestamp, data FROM messages"
_TOPIC_COLUMNS = (
    "id", "name", "type", "serialization_format", "offered_qos_profiles", "type_description_hash"
)  # fmt: skip
_ATTEMPTS = 3


class Row(NamedTuple):
    """A message where it lies; rosbag2 keeps the time of reception (ns) alone."""

    id: int
    topic: Topic
    log_time_ns: int
    data: bytes


class SqliteScan:
    """The messages of one file, as rosbag2's sqlite3 storage lays them out (schemas 1 to 4)."""

    def __init__(self, path: Path, shown: Path | None = None) -> None:
        """Take the file, `shown` in messages; nothing is opened before a method iterates."""
        self.path = path
        self.shown = shown or path
        self.tail: Tail | None = None
        self.holes: list[str] = []
        """What salvaging could not read, in words."""
        self.topics: list[Topic] = []
        """Those that salvaging found, also without a message."""

    @property
    def is_ended(self) -> bool:
        """False where a recorder is at work on the file, or was killed."""
        return self.tail is None and not any(_sides(self.path))

    def read(self, wanted: Callable[[Topic], bool]) -> Iterator[RawMessage]:
        """Yield the messages of the wanted topics as `rows` does, in the form MCAP has them."""
        for _, topic, time, data in self.rows(wanted):
            yield topic, time, time, data

    def rows(self, wanted: Callable[[Topic], bool]) -> Iterator[Row]:
        """Yield the messages of the wanted topics in order of time.

        Raises BagError for damage, and for a database that is no bag.
        """
        if self._is_empty():
            return
        last: int | None = None
        try:
            with opened(self.path, self.shown) as database:
                self._check_size(database)
                every = self._topics(database)
                topics = {n: t for n, t in every.items() if wanted(t)}
                chosen = f"topic_id IN ({','.join(map(str, topics))})"
                self._check_topics(database, every)
                count = f"SELECT count(*) FROM messages NOT INDEXED WHERE {chosen}"
                expected, passed = _value(database, count), 0
                query = f"SELECT * FROM ({_SELECT} WHERE {chosen} ORDER BY timestamp, id)"
                for raw in database.execute(query):
                    passed, last = passed + 1, raw[0]
                    yield self._row(raw, topics)
                if passed != expected:
                    raise self._damaged(f"its index leads to {passed} of {expected} messages")
        except (sqlite3.Error, UnicodeDecodeError) as error:
            place = "" if last is None else f" behind message {last}"
            raise self._damaged(f"{error}{place}") from error

    def salvaged(self) -> Iterator[Row]:
        """Yield every message that is whole, in the order recorded; the rest is in `holes`.

        Raises BagError where not even the topics are left.
        """
        if self._is_empty():
            return
        with self._applied() as path, path.open("rb") as file:
            pages = SqlitePages(file)
            if pages.count < pages.expected:
                self.holes.append(f"{pages.count} of {pages.expected} pages are there")
            leaves = pages.leaves()
            topics = self._topics_on(pages, leaves)
            self.topics = list(topics.values())
            last = 0
            for number, values in (row for page in leaves for row in pages.rows(page)):
                if len(values) != 4 or number <= last:  # of another table, or an old copy
                    continue
                try:
                    row = self._row((number, *values[1:]), topics)
                except BagError:
                    continue  # its number will be missing
                if number > last + 1:
                    self.holes.append(f"messages {last + 1} to {number - 1} are not there")
                last = number
                yield row

    def faults(self) -> list[str]:
        """Return what sqlite finds amiss in the structure of the file, a hundred at most."""
        if self._is_empty():
            return []
        try:
            with opened(self.path, self.shown) as database:
                found = [row[0] for row in database.execute("PRAGMA integrity_check(100)")]
        except (sqlite3.Error, UnicodeDecodeError) as error:
            return [str(error)]
        return [] if found == ["ok"] else found

    @contextmanager
    def _applied(self) -> Iterator[Path]:
        """Give a file that what lies beside it is worked into, as far as sqlite can do that."""
        if self.is_ended:
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="smm_bag_") as folder:
            copy = _copied(self.path, Path(folder), self.shown)
            try:
                with closing(sqlite3.connect(copy)) as database:
                    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                    database.execute("SELECT count(*) FROM sqlite_master").fetchall()
            except sqlite3.Error as error:
                self.holes.append(f"what lies beside it can not be worked into it: {error}")
            yield copy

    def _topics_on(self, pages: SqlitePages, leaves: list[int]) -> dict[int, Topic]:
        """Return the topics by looking at each row: the list of tables may be lost."""
        found, definitions = {}, {}
        for number, values in (row for page in leaves for row in pages.rows(page)):
            texts = [str(value) for value in values]
            if len(texts) in (4, 5, 6) and texts[1].startswith("/") and "/" in texts[2]:
                found[number] = dict(zip(_TOPIC_COLUMNS, texts, strict=False))
            elif len(texts) >= 4 and texts[2] in ("ros2msg", "ros2idl"):
                definitions[texts[1]] = texts[3]
        if not found:
            raise self._damaged("nothing in it tells its topics")
        return {number: self._topic(row, definitions) for number, row in found.items()}

    def _is_empty(self) -> bool:
        if self.path.stat().st_size or any(_sides(self.path)):
            return False
        self.tail = Tail(self.shown, 0, 0, "nothing was written yet")
        return True

    def _check_size(self, database: sqlite3.Connection) -> None:
        """Refuse a file cut within a page: sqlite would take zeros for what is missing."""
        size, page_size = self.path.stat().st_size, _value(database, "PRAGMA page_size")
        if size % page_size:
            raise self._damaged(f"{size} bytes are no whole number of pages of {page_size}")

    def _check_topics(self, database: sqlite3.Connection, topics: Mapping[int, Topic]) -> None:
        """Refuse messages of topics that are not there: no choice of topics would give them."""
        known = ",".join(map(str, topics))
        stray = f"SELECT count(*) FROM messages NOT INDEXED WHERE topic_id NOT IN ({known})"
        if count := _value(database, stray):
            raise self._damaged(f"{count} messages are of no topic")

    def _topics(self, database: sqlite3.Connection) -> dict[int, Topic]:
        tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
        if not tables >= _TABLES:
            found = ", ".join(sorted(map(str, tables))[:5]) or "none at all"
            raise BagError(
                f"{self.shown} is an sqlite3 database but no bag: its tables are {found}; "
                "expected topics and messages"
            )
        columns = [row[1] for row in database.execute("PRAGMA table_info(topics)")]
        definitions = _definitions(database) if "message_definitions" in tables else {}
        topics = {}
        for values in database.execute("SELECT * FROM topics"):
            row = dict(zip(columns, values, strict=True))
            try:
                topics[int(row["id"])] = self._topic(row, definitions)
            except (KeyError, TypeError, ValueError) as error:
                raise self._damaged(f"the table of its topics, {error!r}") from None
        return topics

    def _topic(self, row: Mapping[str, object], definitions: Mapping[str, str]) -> Topic:
        name, kind = str(row["name"]), str(row["type"])
        if row["serialization_format"] != "cdr":
            raise BagError(
                f"{self.shown}: {name} is serialised as {row['serialization_format']!r}, "
                "expected 'cdr'"
            )
        type_hash = str(row.get("type_description_hash") or "")
        definition = definitions.get(kind) or standard_definition(kind, type_hash)
        return Topic(name, kind, definition, type_hash, _qos(row.get("offered_qos_profiles")))

    def _row(self, raw: Sequence[Any], topics: Mapping[int, Topic]) -> Row:
        number, topic, time, data = raw
        if topic not in topics or type(time) is not int or type(data) is not bytes or time < 0:
            raise self._damaged(f"message {number} has topic {topic!r} and time {time!r}")
        return Row(number, topics[topic], time, data)

    def _damaged(self, what: str) -> BagError:
        return BagError(f"{self.shown} is damaged: {what}; {REPAIR_ADVICE}")


@contextmanager
def opened(path: Path, shown: Path) -> Iterator[sqlite3.Connection]:
    """Open a database for reading. One with side files is copied first: sqlite applies them.

    Raises BagError where it changes meanwhile, or the copy does not fit the disk.
    """
    if not any(_sides(path)):
        before = _state(path)
        uri = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True)) as database:
            yield database
        if _state(path) != before:
            raise BagError(f"{shown} was written to while it was read; read it once more")
        return
    with (
        tempfile.TemporaryDirectory(prefix="smm_bag_") as folder,
        closing(sqlite3.connect(_copied(path, Path(folder), shown))) as database,
    ):
        yield database


def _value(database: sqlite3.Connection, query: str) -> int:
    return int(database.execute(query).fetchone()[0])


def _definitions(database: sqlite3.Connection) -> dict[str, str]:
    query = "SELECT topic_type, encoded_message_definition FROM message_definitions"
    return {str(name): str(text) for name, text in database.execute(query)}


def _qos(value: object) -> str:
    """Return offered profiles as the YAML list of rosbag2 version 9."""
    profiles = offered_profiles(str(value or ""))
    return dump_yaml(profiles) if profiles else ""


def _sides(path: Path) -> Iterator[Path]:
    for suffix in SIDE_FILES:
        side = path.with_name(path.name + suffix)
        if side.is_file() and side.stat().st_size:
            yield side


def _state(path: Path) -> list[tuple[int, int]]:
    files = [path, *_sides(path)]
    return [(status.st_size, status.st_mtime_ns) for status in (f.stat() for f in files)]


def _copied(path: Path, folder: Path, shown: Path) -> Path:
    """Copy a file and what lies beside it, both of the same moment."""
    try:
        for _ in range(_ATTEMPTS):
            before = _state(path)
            for source in (path, *_sides(path)):
                shutil.copyfile(source, folder / source.name)
            if _state(path) == before:
                return folder / path.name
    except OSError as error:
        raise BagError(
            f"can not copy {shown} and what lies beside it into {folder}: {error.strerror}; set "
            "TMPDIR to a folder with more space"
        ) from error
    raise BagError(f"{shown} is being written; read it when its recorder has ended")
