import os
import signal
import subprocess
import sys

import pytest

from smm_ros.sequence_file import SequenceError, SequenceFile


def test_numbers_go_on_where_they_were_left(tmp_path):
    first = SequenceFile(tmp_path / "hand.sequence")
    assert [first.take_sequence() for _ in range(3)] == [0, 1, 2]
    assert first.take_episode() == 0
    first.close()
    again = SequenceFile(tmp_path / "hand.sequence")
    assert (again.take_sequence(), again.take_episode()) == (3, 1)


def test_numbers_are_skipped_forwards_only_and_for_good(tmp_path):
    numbers = SequenceFile(tmp_path / "hand.sequence")
    numbers.skip_to(7)
    numbers.skip_to(3)
    numbers.close()
    assert SequenceFile(tmp_path / "hand.sequence").take_sequence() == 7


def test_without_a_path_numbers_begin_at_zero():
    assert SequenceFile(None).take_sequence() == 0


def test_a_killed_process_has_not_lost_a_number(tmp_path):
    path = tmp_path / "hand.sequence"
    program = (
        "import sys; from pathlib import Path; from smm_ros.sequence_file import SequenceFile\n"
        "numbers = SequenceFile(Path(sys.argv[1]))\n"
        "while True: print(numbers.take_sequence(), flush=True)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
    )
    for _ in range(100):
        process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    used = [int(line) for line in process.stdout.read().split()]
    process.wait()
    assert SequenceFile(path).sequence > max(used, default=99)


def test_a_torn_file_is_refused(tmp_path):
    path = tmp_path / "hand.sequence"
    path.write_bytes(b"123")
    with pytest.raises(SequenceError, match="3 bytes, expected 16"):
        SequenceFile(path)
