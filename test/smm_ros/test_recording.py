"""Messages wait in memory while the bag refuses them, and nothing is lost uncounted."""

import os
import subprocess
import sys
import threading
import time
import tracemalloc

import pytest
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import Reader

from smm_ros.bag.mcap_file import BagError
from smm_ros.bag.metadata import read_metadata
from smm_ros.bag.reading import read_messages, read_transitions
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.conversions import transition_to_msg
from smm_ros.recording import MESSAGE_BYTES, Recording
from smm_ros.tape import Message, Tape

TOPIC = installed_topic("/x", "std_msgs/msg/Header")
TRANSITIONS = installed_topic("/dclaw/transitions", "smm_ros/msg/Transition")
DATA = bytes(100)
SIZE = len(DATA) + MESSAGE_BYTES


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


def record(folder, open_bag=None, period=0.02, memory=10_000, **how):
    topics = [TOPIC, TRANSITIONS]
    tape = Tape(
        folder,
        open_bag or (lambda: BagWriter(folder, topics)),
        transition_topics=[TRANSITIONS.name],
        **how,
    )
    return Recording(tape, period, memory, [TRANSITIONS.name])


def put(recording, *numbers):
    return [recording.put(Message("/x", number, number, DATA)) for number in numbers]


def times_in(folder):
    return [m.log_time_ns for m in read_messages(folder, ["/x"])]


def custom_data(folder):
    return read_metadata(folder).custom_data


def test_what_came_before_the_bag_could_be_opened_is_in_it(tmp_path):
    door = Door(tmp_path / "run")
    recording = record(tmp_path / "run", door)
    put(recording, *range(5))
    wait_for(lambda: recording.status().fault)
    assert recording.status().fault == "the door is locked"
    assert recording.status().waiting_bytes == 5 * SIZE
    door.locked = False
    wait_for(lambda: recording.status().tape.written == 5)
    assert recording.status().fault == ""
    put(recording, 5)
    assert recording.close() == ""
    assert times_in(tmp_path / "run") == list(range(6))


def test_too_much_is_dropped_and_counted(tmp_path):
    recording = record(tmp_path / "run", Door(tmp_path / "run"), memory=10 * SIZE)
    assert put(recording, *range(25)) == [True] * 10 + [False] * 15
    status = recording.status()
    assert (status.received, status.dropped, status.waiting_bytes) == (25, 15, 10 * SIZE)
    assert recording.close() == "10 messages were lost: the door is locked"
    assert recording.status().dropped == 25


def test_what_small_messages_take_in_memory_stays_within_the_limit(tmp_path):
    recording = record(tmp_path / "run", Door(tmp_path / "run"), memory=2**21)
    tracemalloc.start()
    now = time.time_ns()
    while recording.put(Message("/x", now + 1, now + 2, bytes(now % 9))):
        now += 1
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    recording.close()
    assert 2**20 < taken < 2**21


def test_a_refused_write_is_tried_again_and_its_messages_kept(tmp_path, monkeypatch):
    recording = record(tmp_path / "run")
    put(recording, 0)
    wait_for(lambda: recording.status().tape.written == 1)
    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", refuse)
        put(recording, 1, 2, 3)
        wait_for(lambda: recording.status().fault)
        assert "No space left" in recording.status().fault
        assert recording.status().waiting_bytes == 3 * SIZE
        put(recording, 4)
    wait_for(lambda: recording.status().tape.written == 5)
    assert recording.close() == ""
    assert times_in(tmp_path / "run") == list(range(5))


def refuse(*args):
    raise OSError(28, "No space left on device")


def test_an_error_nobody_foresaw_reaches_the_one_who_asks(tmp_path):
    def open_bag():
        raise ZeroDivisionError

    recording = record(tmp_path / "run", open_bag)
    recording._thread.join(5.0)
    with pytest.raises(ZeroDivisionError):
        recording.status()


def test_a_disk_that_hangs_holds_nobody_up_and_is_told(tmp_path, monkeypatch):
    recording = record(tmp_path / "run")
    put(recording, 0)
    wait_for(lambda: recording.status().tape.written == 1)
    goes_on = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", lambda *args: goes_on.wait(60.0) and refuse())
        put(recording, 1)
        wait_for(lambda: recording.status().busy > 0.05)
        assert put(recording, 2, 3) == [True, True]
        answers = [recording.sync(), recording.split(), recording.stop()]
        assert not any(answer.done() for answer in answers)
        assert recording.status().waiting_bytes == 3 * SIZE
        goes_on.set()
        wait_for(lambda: recording.status().fault)
    assert "is ended" in answers[-1].result(30.0)
    assert times_in(tmp_path / "run") == [0, 1, 2, 3]


def test_after_a_stop_every_tool_reads_the_bag_and_a_start_goes_on_with_the_next_file(tmp_path):
    folder = tmp_path / "run"
    recording = record(folder)
    put(recording, *range(5))
    assert recording.stop().result(30.0) == f"run_0.mcap is ended; 5 messages in {folder}"
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with Reader(folder) as reader:
        assert [time for _, time, _ in reader.messages()] == list(range(5))
    put(recording, 5, 6, 7)
    wait_for(lambda: recording.status().tape.skipped == 3)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    answer = recording.start().result(30.0)
    assert answer == "recording to run_1.mcap; 3 messages went by unrecorded"
    put(recording, 8)
    assert recording.close() == ""
    assert times_in(folder) == [0, 1, 2, 3, 4, 8]
    assert custom_data(folder) == {"dropped": "0", "skipped": "3"}


def test_orders_are_for_what_came_before_them_and_for_nothing_after(tmp_path):
    folder = tmp_path / "run"
    recording = record(folder, period=10.0)
    put(recording, 0, 1)
    recording.split()
    put(recording, 2)
    recording.stop()
    put(recording, 3)
    recording.start()
    put(recording, 4)
    recording.sync().result(30.0)
    assert [times_in(folder / f"run_{n}.mcap") for n in range(3)] == [[0, 1], [2], [4]]
    recording.close()


def test_an_order_that_the_disk_refuses_is_done_when_it_can_be(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    recording = record(folder)
    put(recording, 0)
    recording.sync().result(30.0)
    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", refuse)
        answers = [recording.split(), recording.stop()]
        wait_for(lambda: recording.status().fault)
        assert not any(answer.done() for answer in answers)
    assert "run_1.mcap begun" in answers[0].result(30.0)
    assert "run_1.mcap is ended" in answers[1].result(30.0)
    assert recording.close() == ""
    with Reader(folder) as reader:
        assert reader.message_count == 1


def test_what_was_dropped_before_a_stop_is_told_in_the_bag_that_it_ends(tmp_path):
    folder = tmp_path / "run"
    recording = record(folder, memory=2 * SIZE, period=10.0)
    recording.sync().result(30.0)
    put(recording, *range(5))
    recording.stop().result(30.0)
    assert custom_data(folder) == {"dropped": "3", "skipped": "0"}
    recording.close()


def test_a_folder_that_was_moved_away_while_stopped_is_made_anew(tmp_path):
    folder = tmp_path / "run"
    recording = record(folder)
    put(recording, 0)
    recording.stop().result(30.0)
    folder.rename(tmp_path / "first")
    recording.start().result(30.0)
    put(recording, 1)
    assert recording.close() == ""
    assert (times_in(tmp_path / "first"), times_in(folder)) == ([0], [1])


def test_one_that_starts_stopped_touches_nothing(tmp_path):
    recording = record(tmp_path / "run", is_recording=False)
    put(recording, 0)
    wait_for(lambda: recording.status().tape.skipped == 1)
    assert not recording.status().tape.is_recording
    assert recording.close() == ""
    assert not (tmp_path / "run").exists()


def refuse_while(monkeypatch, condition):
    """Let the disk confirm nothing while a condition holds."""
    real = os.fdatasync
    monkeypatch.setattr("os.fdatasync", lambda file: refuse() if condition() else real(file))


def test_what_waits_behind_a_refused_order_is_written_before_the_end(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    recording = record(folder, period=10.0)
    recording.sync().result(30.0)
    refusals = iter([True])
    refuse_while(monkeypatch, lambda: next(refusals, False))
    put(recording, 0)
    recording.sync()
    wait_for(lambda: recording.status().fault)
    put(recording, *range(1, 6))
    assert recording.close() == ""
    assert times_in(folder) == list(range(6))
    assert custom_data(folder)["dropped"] == "0"


def test_what_is_not_written_when_the_time_to_end_is_up_is_told_in_the_bag(
    tmp_path, make_record, monkeypatch
):
    folder = tmp_path / "run"
    recording = record(folder, period=10.0)
    put_transitions(recording, make_record, 0)
    refuse_while(monkeypatch, lambda: recording.status().dropped == 0)
    put(recording, 0)
    recording.sync()
    wait_for(lambda: recording.status().fault)
    put_transitions(recording, make_record, 1, 2)
    put(recording, 1)
    assert "3 messages were lost: can not write bag" in recording.close()
    assert (recording.status().dropped, times_in(folder)) == (3, [0])
    told = custom_data(folder)
    assert [told[k] for k in ("dropped", "dclaw/dropped", "dclaw/gaps")] == ["3", "2", "0"]


ENDLESS_WRITER = """
import sys, time
from pathlib import Path
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.recording import Recording
from smm_ros.tape import Message, Tape

topic = installed_topic("/x", "std_msgs/msg/Header")
folder = Path(sys.argv[1])
tape = Tape(folder, lambda: BagWriter(folder, [topic], 2**17))
recording = Recording(tape, 0.5, 2**20)
while True:
    now = time.time_ns()
    recording.put(Message("/x", now, now, bytes(1000)))
    print(now, flush=True)
    time.sleep(0.01)
"""


@pytest.mark.parametrize("seconds", [0.8, 1.37, 2.11])
def test_a_killed_recording_loses_less_than_a_second(tmp_path, seconds):
    folder = tmp_path / "run"
    writer = subprocess.Popen(
        [sys.executable, "-c", ENDLESS_WRITER, str(folder)], stdout=subprocess.PIPE, text=True
    )
    first = int(writer.stdout.readline())
    put = [first]
    while put[-1] < first + seconds * 1e9:
        put.append(int(writer.stdout.readline()))
    writer.kill()
    put += [int(line) for line in writer.stdout if line.endswith("\n")]
    writer.wait()
    recorded = [message.log_time_ns for message in read_messages(folder)]
    assert recorded == put[: len(recorded)], "something before the end is missing"
    lost = (put[-1] - recorded[-1]) * 1e-9
    print(f"lost {lost:.3f} s of {(put[-1] - first) * 1e-9:.3f} s")
    assert lost < 1.0


def put_transitions(recording, make_record, *numbers):
    """Take them one by one, as they come, while the disk works."""
    for number in numbers:
        data = serialize_message(transition_to_msg(make_record(number)))
        recording.put(Message(TRANSITIONS.name, number, number, data))
        if not recording.status().fault:
            recording.sync().result(30.0)


def test_each_transition_that_is_missing_is_counted_by_its_reason(
    tmp_path, make_record, monkeypatch
):
    folder = tmp_path / "run"
    size = len(serialize_message(transition_to_msg(make_record(0)))) + MESSAGE_BYTES
    recording = record(folder, memory=2 * size)
    put_transitions(recording, make_record, 0)
    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", refuse)
        put(recording, 0)
        wait_for(lambda: recording.status().fault)
        put_transitions(recording, make_record, 1, 2, 3, 4)  # one finds room, three do not
    wait_for(lambda: not recording.status().fault)
    put_transitions(recording, make_record, 6)  # 5 never came
    recording.stop().result(30.0)
    put_transitions(recording, make_record, 7, 8)
    recording.start().result(30.0)
    put_transitions(recording, make_record, 9, 9, 3)
    counts = recording.status().tape.hands["dclaw"]
    assert recording.close() == ""
    assert [r.sequence for r in read_transitions(folder)] == [0, 1, 6, 9]
    missing = {"gaps": 1, "dropped": 3, "skipped": 2}
    assert counts == {"transitions": 4, **missing, "repeated": 2, "restarts": 0}
    told = {"dropped": "3", "skipped": "2"}
    assert custom_data(folder) == told | {f"dclaw/{why}": str(n) for why, n in missing.items()}
