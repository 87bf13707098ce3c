"""The files of a bag: in the order recorded, all of one storage, none forgotten."""

import pytest
import yaml

from smm_ros.bag import bag_files, check, info
from smm_ros.bag.bag_files import BagFile, Storage, files_at, find_files, unpacked
from smm_ros.bag.finding import Level
from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.metadata import read_metadata

MCAP = b"\x89MCAP0\r\n"
SQLITE = b"SQLite format 3\0"


def make(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def describe(folder, *names):
    info = {
        "version": 9,
        "storage_identifier": "mcap",
        "relative_file_paths": list(names),
        "starting_time": {"nanoseconds_since_epoch": 0},
        "duration": {"nanoseconds": 0},
        "message_count": 0,
        "topics_with_message_count": [],
    }
    (folder / "metadata.yaml").write_text(yaml.safe_dump({"rosbag2_bagfile_information": info}))


def names(files):
    return [file.path.name for file in files]


def test_files_are_in_the_order_of_their_numbers(tmp_path):
    folder = make(tmp_path / "run", *(f"run_{n}.mcap" for n in range(12)), "notes.txt")
    assert names(files_at(folder)) == [f"run_{n}.mcap" for n in range(12)]


def test_metadata_gives_the_order_and_what_it_does_not_name_follows(tmp_path):
    folder = make(tmp_path / "run", "b.mcap", "a.mcap", "run_0.mcap", "run_1.mcap")
    describe(folder, "run/b.mcap", "a.mcap")
    assert names(files_at(folder)) == ["b.mcap", "a.mcap", "run_0.mcap", "run_1.mcap"]


def test_a_metadata_yaml_that_can_not_be_read_leaves_the_numbers(tmp_path):
    folder = make(tmp_path / "run", "run_1.mcap", "run_0.mcap")
    for text in ("{", "[]", "\0", "rosbag2_bagfile_information: 3"):
        (folder / "metadata.yaml").write_text(text)
        assert names(files_at(folder)) == ["run_0.mcap", "run_1.mcap"]


def test_a_file_that_metadata_names_and_is_gone_is_told(tmp_path):
    folder = make(tmp_path / "run", "run_1.mcap")
    describe(folder, "run_0.mcap", "run_1.mcap")
    with pytest.raises(BagError, match=r"lacks run_0\.mcap.*smm bag repair"):
        find_files(folder)
    assert names(files_at(folder, incomplete=True)) == ["run_1.mcap"]


def test_a_bag_that_grows_while_it_is_looked_at_lacks_nothing(
    tmp_path, monkeypatch, capsys, write
):
    folder = tmp_path / "run"
    writer = write(folder, [])

    def reading_while_it_is_split(path):
        writer.split()
        metadata = read_metadata(path)
        writer.split()
        return metadata

    for module in (bag_files, check, info):
        monkeypatch.setattr(module, "read_metadata", reading_while_it_is_split)
    assert names(find_files(folder)) == [f"run_{n}.mcap" for n in range(3)]
    assert check.check(folder)[0].count(Level.ERROR) == 0
    assert info.main([str(folder)]) == 0
    assert "is missing" not in capsys.readouterr().out
    writer.close()


def test_packed_files_are_known_by_their_names_and_a_plain_one_goes_before(tmp_path):
    folder = make(tmp_path / "run", "run_0.db3.zstd", "run_1.db3.zstd", "run_1.db3")
    describe(folder, "run_0.db3", "run_1.db3.zstd")
    assert files_at(folder) == [
        BagFile(folder / "run_0.db3.zstd", Storage.SQLITE, True),
        BagFile(folder / "run_1.db3", Storage.SQLITE),
    ]


def test_two_storages_in_one_folder_are_refused(tmp_path):
    folder = make(tmp_path / "run", "run_0.db3", "run_1.mcap")
    with pytest.raises(BagError, match="mixes mcap and sqlite3"):
        find_files(folder)


@pytest.mark.parametrize(("content", "storage"), [(MCAP, Storage.MCAP), (SQLITE, Storage.SQLITE)])
def test_a_file_of_any_name_is_known_by_how_it_starts(tmp_path, content, storage):
    (tmp_path / "recording").write_bytes(content + bytes(100))
    assert find_files(tmp_path / "recording")[0].storage is storage


@pytest.mark.parametrize("name", ["x.bag", "x"])
def test_a_bag_of_ros_1_is_called_so(tmp_path, name):
    make(tmp_path / "run")
    (tmp_path / "run" / name).write_bytes(b"#ROSBAG V2.0\n" + bytes(100))
    with pytest.raises(BagError, match="ROS 1"):
        find_files(tmp_path / "run" / name)
    if name == "x.bag":
        with pytest.raises(BagError, match="ROS 1"):
            find_files(tmp_path / "run")


def test_what_is_no_bag_is_told_with_how_it_starts(tmp_path):
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(BagError, match="PNG"):
        find_files(tmp_path / "picture.png")


def test_a_packed_file_that_is_cut_short_gives_its_beginning_and_a_reason(tmp_path):
    zstandard = pytest.importorskip("zstandard")
    plain = bytes(range(256)) * 40_000
    packed = zstandard.compress(plain)
    path = tmp_path / "run_0.mcap.zstd"
    for size, trouble in ((len(packed), ""), (len(packed) // 2, "breaks off")):
        path.write_bytes(packed[:size])
        with unpacked(BagFile(path, Storage.MCAP, True)) as (content, said):
            assert plain.startswith(content.read_bytes())
            assert (content.stat().st_size == len(plain)) == (not trouble)
            assert trouble in said
    assert not content.exists()


def test_a_file_that_is_named_twice_is_refused_by_whatever_names(tmp_path):
    (tmp_path / "bag").mkdir()
    file = tmp_path / "bag" / "bag_0.mcap"
    file.write_bytes(b"")
    (tmp_path / "link.mcap").symlink_to(file)
    (tmp_path / "hard.mcap").hardlink_to(file)
    for again in (tmp_path / "bag", file, tmp_path / "link.mcap", tmp_path / "hard.mcap"):
        with pytest.raises(BagError, match="name each file once"):
            find_files([tmp_path / "bag", again])
