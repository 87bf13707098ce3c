"""Messages wait in memory while the bag refuses them, and nothing is lost uncounted."""

import time

import pytest

from smm_ros.bag.reading import read_messages
from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.recording import Recording, SequenceMeter

TOPIC = installed_topic("/x", "std_msgs/msg/Header")
DATA = bytes(100)


def wait_for(condition, timeout=30.0):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class Door:
    """Opens the bag once it is unlocked."""

    def __init__(self, folder):
        self.folder, self.locked = folder, True

    def __call__(self):
        if self.locked:
            raise BagError("the door is locked")
        return BagWriter(self.folder, [TOPIC])


def test_what_came_before_the_bag_could_be_opened_is_in_it(tmp_path):
    door = Door(tmp_path / "run")
    recording = Recording(door, 0.05, 10_000)
    for number in range(5):
        recording.put("/x", number, number, DATA)
    wait_for(lambda: recording.status().fault)
    assert recording.status().fault == "the door is locked"
    assert recording.status().waiting_bytes == 500
    door.locked = False
    wait_for(lambda: recording.status().written == 5)
    assert recording.status().fault == ""
    recording.put("/x", 5, 5, DATA)
    assert recording.close() == ""
    assert [m.log_time_ns for m in read_messages(tmp_path / "run")] == list(range(6))


def test_too_much_is_dropped_and_counted(tmp_path):
    recording = Recording(Door(tmp_path / "run"), 0.05, 1000)
    for number in range(25):
        recording.put("/x", number, number, DATA)
    status = recording.status()
    assert (status.received, status.dropped, status.waiting_bytes) == (25, 15, 1000)
    assert recording.close() == "the door is locked"


def test_a_refused_write_is_tried_again_and_its_messages_kept(tmp_path, monkeypatch):
    recording = Recording(lambda: BagWriter(tmp_path / "run", [TOPIC]), 0.02, 10_000)
    recording.put("/x", 0, 0, DATA)
    wait_for(lambda: recording.status().written == 1)
    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", refuse)
        for number in range(1, 4):
            recording.put("/x", number, number, DATA)
        wait_for(lambda: recording.status().fault)
        assert "No space left" in recording.status().fault
        assert recording.status().waiting_bytes == 300
        recording.put("/x", 4, 4, DATA)
    wait_for(lambda: recording.status().written == 5)
    assert recording.close() == ""
    assert [m.log_time_ns for m in read_messages(tmp_path / "run")] == list(range(5))


def refuse(*args):
    raise OSError(28, "No space left on device")


def test_an_error_nobody_foresaw_reaches_the_one_who_asks():
    def open_bag():
        raise ZeroDivisionError

    recording = Recording(open_bag, 0.01, 1000)
    recording._thread.join(5.0)
    with pytest.raises(ZeroDivisionError):
        recording.status()


def test_missing_and_repeated_numbers_are_counted_per_hand_from_the_first_expected():
    meter = SequenceMeter({"a": 4})
    marks = [("a", 3), ("a", 5), ("b", 7), ("a", 6), ("a", 9), ("a", 6), ("b", 10), ("a", 10)]
    assert [meter.mark(hand, sequence) for hand, sequence in marks] == [
        False, True, True, True, True, False, True, True,
    ]  # fmt: skip
    assert meter.missing == {"a": 3, "b": 2}
    assert meter.received == {"a": 4, "b": 2}
    assert meter.repeated == {"a": 2}
