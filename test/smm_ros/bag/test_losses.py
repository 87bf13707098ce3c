"""What is known to be missing is told with the messages, and outlasts what they outlast."""

import shutil

import pytest
from mcap.reader import make_reader

from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter

STATES = installed_topic("/dclaw/joint_states", "sensor_msgs/msg/JointState")


@pytest.fixture
def losses_in(metadata):
    """Return a function that reads what a bag's metadata tells of losses."""

    def read(folder):
        told = metadata(folder)["custom_data"]
        return {name: int(text) for name, text in told.items()} if told else None

    return read


def test_losses_are_told_in_words_that_rosbag2_takes(tmp_path, write, metadata, losses_in):
    """Its custom data is a map of text to text, which rosbags holds its own writer to."""
    folder = tmp_path / "run"
    writer = write(folder, range(10))
    writer.lose({"dropped": 2, "dclaw/gaps": 0})
    writer.flush()
    writer.lose({"dropped": 1})
    writer.close()
    assert losses_in(folder) == {"dropped": 3, "dclaw/gaps": 0}
    assert all(type(text) is str for text in metadata(folder)["custom_data"].values())
    with (folder / "run_0.mcap").open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        told = [r.metadata for r in reader.iter_metadata() if r.name == "smm_ros.losses"]
        assert all(record.pop("crc32") for record in told)
        assert reader.get_summary().statistics.metadata_count == len(told) + 1
        assert len(list(reader.iter_messages())) == 10
    assert told == [{"dropped": "2", "dclaw/gaps": "0"}, {"dropped": "3", "dclaw/gaps": "0"}]


def test_a_bag_of_which_nobody_counted_losses_says_nothing_of_them(tmp_path, write, losses_in):
    write(tmp_path / "run", range(10)).close()
    assert losses_in(tmp_path / "run") is None


def test_losses_survive_a_crash_and_are_added_up_over_files_and_writers(
    tmp_path, write, crash, losses_in
):
    folder = tmp_path / "run"
    for first in (0, 10, 20):
        writer = write(folder, range(first, first + 10))
        writer.lose({"dropped": 1, "skipped": 0})
        writer.flush()
        writer.split()
        writer.lose({"dropped": 2})
        writer.flush()
        writer.lose({"dropped": 100})  # not flushed when the crash comes
        crash(writer)
    assert losses_in(folder)["dropped"] < 9  # what metadata.yaml said before the last crash
    BagWriter(folder, [STATES]).close()
    assert losses_in(folder) == {"dropped": 9, "skipped": 0}


def test_every_cut_of_a_file_with_losses_is_mended(tmp_path, numbers_in, losses_in):
    folder = tmp_path / "run"
    writer = BagWriter(folder, [STATES])
    ends = []
    for number in range(3):
        writer.lose({"dropped": 1})
        writer.write(STATES.name, 1000 * number, bytes(200))
        writer.flush()
        ends.append((folder / "run_0.mcap").stat().st_size)
    writer.close()
    whole = (folder / "run_0.mcap").read_bytes()
    for cut in range(ends[0], len(whole) - 1, 61):
        shutil.rmtree(folder)
        folder.mkdir()
        (folder / "run_0.mcap").write_bytes(whole[:cut])
        BagWriter(folder, [STATES], durable=False).close()
        least = sum(end <= cut for end in ends)
        assert least <= losses_in(folder)["dropped"] <= len(numbers_in(folder))
        with (folder / "run_0.mcap").open("rb") as file:
            reader = make_reader(file, validate_crcs=True)
            assert len(list(reader.iter_messages())) >= least
            assert len(list(reader.iter_metadata())) >= least + 1
