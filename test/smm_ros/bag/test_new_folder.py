"""A new folder is there whole or not at all."""

import os
import signal
import subprocess
import sys

import pytest

from smm_ros.bag.new_folder import FolderError, new_folder


def test_it_appears_when_it_is_finished(tmp_path):
    out = tmp_path / "deep" / "out"
    with new_folder(out) as folder:
        folder.mkdir()
        (folder / "content").touch()
        assert folder.name == "out"
        assert not out.exists()
    assert [entry.name for entry in out.iterdir()] == ["content"]
    assert [entry.name for entry in out.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_nothing_is_left(tmp_path, error):
    def fail():
        with new_folder(tmp_path / "out") as folder:
            folder.mkdir()
            (folder / "half").touch()
            raise error

    pytest.raises(error, fail)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_already_stays(tmp_path):
    (tmp_path / "out").write_text("mine")
    with (
        pytest.raises(FolderError, match=r"out exists; name another"),
        new_folder(tmp_path / "out"),
    ):
        pass
    assert (tmp_path / "out").read_text() == "mine"


def test_a_killed_process_leaves_its_half_under_another_name(tmp_path):
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from smm_ros.bag.new_folder import new_folder\n"
        "with new_folder(Path(sys.argv[1])) as folder:\n"
        "    folder.mkdir(); print('begun', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "out")], stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"begun\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.partial"]
    with pytest.raises(FolderError, match=r"out\.partial exists"), new_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "out.partial" / "out").is_dir()
