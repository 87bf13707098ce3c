"""A bag on a disk that refuses, or loses its power: nothing is lost that need not be."""

import os
import resource
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from mcap.reader import make_reader
from rosbags.rosbag2 import Reader

from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter

STATES = installed_topic("/dclaw/joint_states", "sensor_msgs/msg/JointState")


@pytest.fixture
def file_size_limit():
    """Let the disk refuse what goes beyond a size, as a full one does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size or soft, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, ignored)


def test_what_a_full_disk_refuses_is_written_later(tmp_path, file_size_limit, write, numbers_in):
    folder = tmp_path / "run"
    writer = write(folder, range(20))
    size = (folder / "run_0.mcap").stat().st_size
    file_size_limit(size + 100)
    for number in range(20, 30):
        writer.write(STATES.name, 1000 * number, bytes(200))
    for _ in range(2):
        with pytest.raises(BagError, match="free space"):
            writer.flush()
        assert (folder / "run_0.mcap").stat().st_size == size
        assert numbers_in(folder) == list(range(20))
    file_size_limit(None)
    writer.close()
    assert numbers_in(folder) == list(range(30))


def test_what_a_full_disk_refuses_at_the_end_of_a_file_is_done_later(
    tmp_path, file_size_limit, write
):
    folder = tmp_path / "run"
    for act in (BagWriter.split, BagWriter.end):
        writer = write(folder, range(10))
        name = writer.file_name
        file_size_limit((folder / name).stat().st_size + 300)
        for _ in range(2):
            with pytest.raises(BagError, match="free space"):
                act(writer)
        file_size_limit(None)
        act(writer)
        writer.close()
        with (folder / name).open("rb") as file:
            assert len(list(make_reader(file, validate_crcs=True).iter_messages())) == 10
    with Reader(folder) as reader:
        assert reader.message_count == 20


def test_an_end_that_the_disk_did_not_confirm_is_not_written_twice(tmp_path, monkeypatch, write):
    folders = [tmp_path / name / "run" for name in ("well", "refused")]
    for folder in folders:
        writer = write(folder, range(10))
        if folder.parent.name == "refused":
            with monkeypatch.context() as patch:
                patch.setattr("os.fdatasync", refuse)
                with pytest.raises(BagError, match="No space left"):
                    writer.end()
        writer.close()
    well, refused = ((folder / "run_0.mcap").read_bytes() for folder in folders)
    assert refused == well


def test_what_comes_behind_an_end_that_the_disk_did_not_confirm_begins_the_next_file(
    tmp_path, monkeypatch, write, numbers_in, metadata
):
    folder = tmp_path / "run"
    writer = write(folder, range(10), max_file_bytes=2**13)
    writer.lose({"dropped": 1})
    with monkeypatch.context() as patch:
        patch.setattr("os.fdatasync", refuse)
        for number in range(10, 60):
            with suppress(BagError):
                writer.write(STATES.name, 1000 * number, bytes(200))
                writer.flush()
            writer.lose({"dropped": 1})
    assert writer.file_name == "run_0.mcap"
    writer.close()
    assert numbers_in(folder) == list(range(60))
    with Reader(folder) as reader:
        assert [time // 1000 for _, time, _ in reader.messages()] == list(range(60))
        assert reader.message_count == 60
    assert metadata(folder)["custom_data"] == {"dropped": "51"}


def test_a_metadata_file_that_is_refused_is_written_later(tmp_path, monkeypatch, metadata):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        writer = BagWriter(folder, [STATES])
        with pytest.raises(BagError, match="No space left"):
            writer.flush()
    assert not (folder / "metadata.yaml").exists()
    writer.flush()
    assert metadata(folder)["relative_file_paths"] == ["run_0.mcap"]
    writer.close()


def refuse(*args):
    raise OSError(28, "No space left on device")


def test_a_really_full_disk_is_told_and_nothing_is_lost_or_left_locked(
    small_disk, write, numbers_in
):
    folder, filler = small_disk / "run", small_disk / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(bytes(2**21))
    for _ in range(2):  # a lock left behind would be another error
        with pytest.raises(BagError, match="No space left on device"):
            BagWriter(folder, [STATES])
    filler.unlink()
    writer = write(folder, range(20))
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(bytes(2**21))
    writer.write(STATES.name, 20_000, bytes(2**14))
    with pytest.raises(BagError, match="No space left on device"):
        writer.flush()
    assert numbers_in(folder) == list(range(20))
    filler.unlink()
    writer.flush()
    writer.close()
    assert numbers_in(folder) == list(range(21))


def test_a_disk_that_turned_read_only_is_told_and_gone_on_with_when_it_is_mended(
    small_disk, write, numbers_in
):
    folder = small_disk / "run"
    write(folder, range(10)).close()
    remount(small_disk, "ro")
    for _ in range(2):
        with pytest.raises(BagError, match="Read-only file system"):
            BagWriter(folder, [STATES])
    assert numbers_in(folder) == list(range(10))
    remount(small_disk, "rw")
    write(folder, range(10, 20)).close()
    assert numbers_in(folder) == list(range(20))


def remount(folder, mode):
    subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)


class Disk:
    """What a power cut leaves: the files as they were when the disk last confirmed them."""

    def __init__(self, monkeypatch, folder):
        self._folder, self._contents, self.files = folder, {}, {}
        self._fsync = os.fsync
        monkeypatch.setattr("os.fsync", self._sync)
        monkeypatch.setattr("os.fdatasync", self._sync)

    def _sync(self, descriptor):
        self._fsync(descriptor)
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if path.is_file():
            self._contents[path.stat().st_ino] = path.read_bytes()
        elif path == self._folder:  # the names it has from now on; where nothing else is known, 0
            self.files = {entry.name: entry.stat().st_ino for entry in path.iterdir()}

    def cut_power(self, folder):
        """Lay out in a new folder what would be found."""
        folder.mkdir()
        for name, inode in self.files.items():
            (folder / name).write_bytes(self._contents.get(inode, b""))


def test_what_was_synced_outlasts_a_power_cut(
    tmp_path, monkeypatch, write, write_more, numbers_in
):
    folder = tmp_path / "run"
    disk = Disk(monkeypatch, folder)
    writer = write(folder, range(10))
    writer.flush(sync=True)
    write_more(writer, range(10, 15))
    writer.split()
    write_more(writer, range(15, 20))
    disk.cut_power(tmp_path / "after_split")
    writer.flush(sync=True)
    write_more(writer, range(20, 25))
    disk.cut_power(tmp_path / "after_sync")
    writer.close()
    disk.cut_power(tmp_path / "after_close")
    assert numbers_in(tmp_path / "after_split") == list(range(15))
    assert numbers_in(tmp_path / "after_sync") == list(range(20))
    with Reader(tmp_path / "after_close") as reader:
        assert [time // 1000 for _, time, _ in reader.messages()] == list(range(25))


def test_one_that_need_not_be_durable_asks_nothing_of_the_disk(tmp_path, monkeypatch, write):
    folder = tmp_path / "run"
    disk = Disk(monkeypatch, folder)
    write(folder, range(10), durable=False).close()
    assert disk.files == {}
