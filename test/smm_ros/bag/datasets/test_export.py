"""smm bag export: a whole dataset or none, and a word about everything that is not in it."""

import json
import subprocess
import sys

import pytest

from smm_ros.bag.datasets.export import FORMATS, main


@pytest.fixture
def bag(tmp_path, explore, write_bag):
    return write_bag(tmp_path / "bag", explore(episodes=4))


@pytest.fixture
def export(tmp_path):
    def run(*paths, to="parquet", out=None, more=()):
        words = [*map(str, paths), "--to", to, "--out", str(out or tmp_path / "set-v0"), *more]
        return main(words)

    return run


@pytest.mark.parametrize("to", FORMATS)
def test_an_export_tells_what_is_in_it(tmp_path, bag, export, capsys, to):
    assert export(bag, to=to) == 0
    assert (tmp_path / "set-v0").is_dir()
    out, err = capsys.readouterr()
    assert "wrote 20 transitions" in out
    assert "4 whole episodes of dclaw" in out
    assert not err
    for word in ("broken", "missing", "more than once", "not read"):
        assert word not in out


def test_what_is_missing_or_doubled_is_told(tmp_path, explore, write_bag, export, capsys):
    records = explore(episodes=4)
    bag = write_bag(tmp_path / "bag", records[:7] + records[9:12] + records[11:])
    assert export(bag) == 0
    out = capsys.readouterr().out
    assert "3 whole episodes" in out
    assert "1 broken episodes, written as 2 segments" in out
    assert "2 transitions of dclaw are missing" in out
    assert "1 transitions came more than once" in out


def test_what_a_crash_left_is_exported_and_the_rest_told(
    tmp_path, explore, write_bag, export, capsys
):
    bag = write_bag(tmp_path / "bag", explore(episodes=800))
    (file,) = bag.glob("*.mcap")
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size * 3 // 4)
    assert export(bag) == 0
    out = capsys.readouterr().out
    assert f"not read: {file}: " in out
    assert "1 broken episodes" in out


def test_broken_episodes_left_out_are_told(tmp_path, explore, write_bag, export, capsys):
    bag = write_bag(tmp_path / "bag", explore(episodes=2)[1:])
    assert export(bag, more=["--broken_episodes", "leave_out"]) == 0
    out = capsys.readouterr().out
    assert "wrote 5 transitions" in out
    assert "1 broken episodes left out, 4 transitions" in out


def test_a_dataset_of_broken_episodes_alone_is_none(tmp_path, explore, write_bag, export, capsys):
    bag = write_bag(tmp_path / "bag", explore(episodes=1)[1:])
    for to in FORMATS:
        assert export(bag, to=to, more=["--broken_episodes", "leave_out"]) == 1
        assert "all 1 episodes are broken" in capsys.readouterr().err
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bag"]


@pytest.mark.parametrize("to", FORMATS)
def test_a_bag_that_is_damaged_in_the_middle_leaves_no_dataset(
    tmp_path, explore, write_bag, export, capsys, to
):
    bag = write_bag(tmp_path / "bag", explore(episodes=800))
    (file,) = bag.glob("*.mcap")
    content = bytearray(file.read_bytes())
    content[len(content) * 3 // 4] ^= 1
    file.write_bytes(content)
    assert export(bag, to=to) == 1
    assert "error: " in capsys.readouterr().err
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bag"]


@pytest.mark.parametrize("to", FORMATS)
def test_nothing_is_overwritten(tmp_path, bag, export, capsys, to):
    (tmp_path / "set-v0").mkdir()
    assert export(bag, to=to) == 1
    assert "exists; name another folder" in capsys.readouterr().err
    assert list((tmp_path / "set-v0").iterdir()) == []


def test_what_is_stopped_leaves_nothing(tmp_path, bag, export, capsys, monkeypatch):
    def stop(self):
        raise KeyboardInterrupt

    monkeypatch.setattr("smm_ros.bag.datasets.export.SegmentReading.__iter__", stop)
    assert export(bag) == 130
    assert "interrupted; nothing was written" in capsys.readouterr().err
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bag"]


def test_a_hand_is_named_with_or_without_slashes_and_what_came_of_it_is_told_as_json(
    bag, export, capsys
):
    assert export(bag, more=["--hand", "/dclaw/", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["transitions"], told["hands"], told["doubled"]) == (20, ["dclaw"], 0)


def test_errors_name_what_is_wrong(tmp_path, bag, export, capsys):
    assert export(tmp_path / "missing") == 1
    assert "missing" in capsys.readouterr().err
    assert export(bag, more=["--hand", "other"]) == 1
    assert "no transitions of other" in capsys.readouterr().err
    assert export(bag, to="minari", out=tmp_path / "noversion") == 1
    assert "NAME-vNUMBER" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        export(bag, to="csv")
    assert stop.value.code == 2


def test_the_libraries_of_datasets_are_loaded_where_they_are_needed_only():
    script = (
        "import sys, smm_ros.cli, smm_ros.bag.cli\n"
        "import smm_ros.bag.datasets.export, smm_ros.bag.datasets.import_\n"
        "print(sorted({'pyarrow', 'minari', 'h5py'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
