"""Damage of any kind: the exact data or a clear word, and never a message that was not recorded.

What has checksums (the messages of our own bags) is held to that bit by bit. Damage that hits
nothing a reader goes by may go unsaid, as long as the data is exact.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smm_ros.bag.check import check
from smm_ros.bag.contents import read_contents
from smm_ros.bag.finding import Level
from smm_ros.bag.mcap_file import BagError, is_closed
from smm_ros.bag.metadata import read_metadata
from smm_ros.bag.reading import read_messages, read_transitions
from smm_ros.bag.repair import repair
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.transition_wire import serialize_transition

TRANSITIONS = installed_topic("/dclaw/transitions", "smm_ros/msg/Transition")
HEADERS = installed_topic("/headers", "std_msgs/msg/Header")
SETTINGS = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Bag:
    """A bag to be damaged over and over: one file, and what a reader should find in it."""

    def __init__(self, source: Path, work: Path) -> None:
        self.work, self.folder = work, work / "run"
        self.content = source.read_bytes()
        self.file = self.folder / source.name
        self._metadata = source.parent / "metadata.yaml"
        self.put(self.content)
        self.told_dropped = 0
        """What the file says of messages that were dropped, by the newest repair of it."""
        self.messages = [_key(message) for message in read_messages(self.folder)]

    def put(self, content: bytes) -> None:
        """Lay the bag down with other content in its file."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        shutil.copy(self._metadata, self.folder)
        self.file.write_bytes(content)

    def repaired(self) -> list[Any] | None:
        """Return the messages of a repaired copy, None where nothing could be saved."""
        out = self.work / "repaired"
        shutil.rmtree(out, ignore_errors=True)
        before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in self.folder.iterdir()}
        try:
            report = repair(self.folder, out)
        except BagError:
            return None
        finally:
            after = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in self.folder.iterdir()}
            assert after == before, "the original was changed"
        errors = [f for f in check(out)[0] if f.level is Level.ERROR]
        assert errors == []
        (account, *_) = report.accounts
        self.told_dropped = account.told_losses.get("dropped", 0)
        return [_key(message) for message in read_messages(out)]


def _key(message: Any) -> Any:
    return message.topic.name, message.topic.type, *message[1:]


def _is_subsequence(some: list[Any], all_of_them: list[Any]) -> bool:
    rest = iter(all_of_them)
    return all(message in rest for message in some)


def _write(folder: Path, records: list[Any], close: bool) -> Path:
    """Write three chunks of two topics."""
    writer = BagWriter(folder, [TRANSITIONS, HEADERS])
    for number, record in enumerate(records):
        writer.write(TRANSITIONS.name, record.stamp_ns, serialize_transition(record))
        writer.write(HEADERS.name, record.stamp_ns, bytes((0, 1, *[0] * 10, 1, 0, 0, 0, 0)))
        if number % 4 == 3:
            writer.lose({"dropped": 1})
            writer.flush()
    copy = folder.parent / "torn" / f"{folder.name}_0.mcap"
    copy.parent.mkdir()
    for file in folder.iterdir():  # as a kill would leave it
        shutil.copy(file, copy.parent)
    writer.close()
    return folder / copy.name if close else copy


@pytest.fixture(params=["ended", "torn"])
def bag(request: Any, tmp_path: Path, explore: Callable[..., Any]) -> Bag:
    records = explore(episodes=3, steps=4)
    return Bag(_write(tmp_path / "made" / "run", records, request.param == "ended"), tmp_path)


@pytest.fixture(params=[("mcap", "storage"), ("mcap", "message"), ("sqlite3", "none")])
def foreign(
    request: Any, tmp_path: Path, explore: Callable[..., Any], foreign_bag: Callable[..., Path]
) -> Bag:
    folder = foreign_bag(tmp_path / "made" / "run", explore(episodes=3), *request.param)
    return Bag(next(p for p in folder.iterdir() if p.suffix != ".yaml"), tmp_path)


def _assert_exact_or_told(bag: Bag) -> list[Any]:
    """Hold reading, `check` and `repair` to the bag; return what `repair` saves."""
    reading, found, is_told = read_messages(bag.folder), [], False
    try:
        for message in reading:
            found.append(_key(message))
    except BagError:
        is_told = True
    assert found == bag.messages[: len(found)]
    saved = bag.repaired() or []
    assert _is_subsequence(saved, bag.messages)
    if not is_told:  # then there is no more of it
        assert found == saved
        assert reading.report.unended or found == bag.messages
    findings, num_messages = check(bag.folder)
    assert num_messages == len(saved)
    assert list(findings) or found == bag.messages
    return saved


def _assert_a_recorder_loses_nothing(bag: Bag, saved: list[Any]) -> None:
    """Hold one that goes on with the folder to what could be saved before."""
    was_closed, before = is_closed(bag.file), bag.file.read_bytes()
    told = bag.told_dropped if saved else 0
    writer = BagWriter(bag.folder, [TRANSITIONS, HEADERS], durable=False)
    writer.close()
    assert _is_subsequence(saved, bag.repaired() or [])
    metadata = read_metadata(bag.folder)
    assert metadata is not None
    if writer.notes:
        assert bag.file.read_bytes() == before
        assert metadata.num_messages == 0
    else:
        assert metadata.num_messages == len(bag.messages if was_closed else saved)
        assert told <= int(metadata.custom_data.get("dropped", 0)) <= 3


def _assert_contents_exact_or_refused(bag: Bag, saved: list[Any]) -> None:
    with suppress(BagError):
        contents = read_contents([bag.folder])
        messages = bag.messages if is_closed(bag.file) else saved
        assert contents.counts == Counter(topic for topic, *_ in messages)
        times = [time for _, _, time, *_ in messages]
        assert (contents.start_ns, contents.end_ns) == (min(times), max(times))


@SETTINGS
@given(data=st.data())
def test_any_wrong_bit(bag: Bag, data: st.DataObject) -> None:
    bit = data.draw(st.integers(0, 8 * len(bag.content) - 1))
    content = bytearray(bag.content)
    content[bit // 8] ^= 1 << bit % 8
    bag.put(content)
    saved = _assert_exact_or_told(bag)
    assert len(saved) >= len(bag.messages) * 2 // 3  # it costs one of three chunks
    _assert_contents_exact_or_refused(bag, saved)
    _assert_a_recorder_loses_nothing(bag, saved)


@SETTINGS
@given(data=st.data())
def test_a_cut_at_any_byte(bag: Bag, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(bag.content)))
    bag.put(bag.content[:cut])
    saved = _assert_exact_or_told(bag)
    _assert_contents_exact_or_refused(bag, saved)
    _assert_a_recorder_loses_nothing(bag, saved)


@SETTINGS
@given(data=st.data())
def test_bytes_put_in_taken_out_or_overwritten(bag: Bag, data: st.DataObject) -> None:
    start, end = sorted(data.draw(st.integers(0, len(bag.content))) for _ in range(2))
    middle = data.draw(st.binary(max_size=200) | st.just(bytes(end - start)))
    bag.put(bag.content[:start] + middle + bag.content[end:])
    _assert_a_recorder_loses_nothing(bag, _assert_exact_or_told(bag))


@settings(SETTINGS, max_examples=25)
@given(data=st.data())
def test_damaged_bags_without_checksums_are_read_without_a_crash(
    foreign: Bag, data: st.DataObject
) -> None:
    """A wrong bit in a message goes unnoticed there; a cut does not."""
    content = bytearray(foreign.content)
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
        foreign.put(content)
        for read in (read_messages, read_transitions):
            try:
                found = sum(1 for _ in read(foreign.folder))
            except BagError:
                continue
            assert found <= len(foreign.messages)
        check(foreign.folder)
        with suppress(BagError):
            repair(foreign.folder, foreign.work / f"repaired_{os.urandom(8).hex()}")
        with suppress(BagError):
            read_contents([foreign.folder])
        with suppress(BagError):
            BagWriter(foreign.folder, [HEADERS], durable=False).close()
    else:
        foreign.put(content[:place])
        _assert_exact_or_told(foreign)


@settings(SETTINGS, max_examples=25)
@given(
    content=st.binary(max_size=300)
    | st.binary(max_size=300).map(lambda rest: b"\x89PNG\r\n\x1a\n" + rest)
    | st.binary(max_size=300).map(lambda rest: b"#ROSBAG V2.0\n" + rest)
    | st.binary(max_size=300).map(lambda rest: b"\x89MCAP0\r\n" + rest)
    | st.binary(max_size=300).map(lambda rest: b"SQLite format 3\0" + rest),
    suffix=st.sampled_from(["mcap", "db3", "mcap.zstd", "db3.zstd"]),
)
def test_foreign_files_give_no_message(tmp_path: Path, content: bytes, suffix: str) -> None:
    folder = tmp_path / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / f"run_0.{suffix}").write_bytes(content)
    with suppress(BagError):
        reading = read_messages(folder)
        assert list(reading) == []
        assert reading.report.tails or len(content) < 20
    assert list(check(folder)[0])
    with pytest.raises(BagError, match="nothing can be saved"):
        repair(folder, tmp_path / "repaired")
