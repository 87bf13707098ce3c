import json

import pytest

from smm_ros.bench import cli


@pytest.fixture
def bench(machine, lines, monkeypatch, tmp_path):
    """Return a function that runs `smm bench` over made-up comparisons; the folder is 'out'."""
    known = {}

    def run(*words, **comparisons):
        known.update(comparisons)
        monkeypatch.setattr(cli, "COMPARISONS", tuple(known))
        monkeypatch.setattr(cli, "load", known.__getitem__)
        monkeypatch.chdir(tmp_path)
        return cli.main(["--folder", "out", "--threads", "1", *words])

    return run


def fast_and_slow(machine, lines, name="fake", **fields):
    return machine.comparison(
        machine.contestant(lines("a"), [100.0, 90.0, 110.0]),
        machine.contestant(lines("b", **fields), [200.0, 190.0, 220.0]),
        name=name,
    )


def test_all_files_are_written(bench, machine, lines, tmp_path, capsys):
    assert bench(fake=fast_and_slow(machine, lines)) == 0
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {"command", "git", "versions", "processor", "cores", "threads"} <= found.keys()
    (comparison,) = found["comparisons"]
    assert [line["figures"] for line in comparison["lines"]] == [
        [100.0, 90.0, 110.0],
        [200.0, 190.0, 220.0],
    ]
    assert comparison["lines"][1]["base"] == "a"
    assert "one against another" in (tmp_path / "out" / "table.md").read_text()
    assert (tmp_path / "out" / "bench.png").read_bytes()[:4] == b"\x89PNG"
    assert "one against another" in capsys.readouterr().out


def test_the_picture_has_bars_and_curves_and_lines_without_a_base(bench, machine, lines, tmp_path):
    growing = machine.comparison(
        *(machine.contestant(lines(n, x=x, unit="ms", group="size"), [1.0] * 3)
          for n, x in (("a", 1.0), ("b", 10.0))),
        name="growing",
    )  # fmt: skip
    alone = machine.comparison(machine.contestant(lines("c", base=""), [0.0] * 3), name="alone")
    both = {"growing": growing, "alone": alone, "fake": fast_and_slow(machine, lines)}
    assert bench(**both) == 0
    assert (tmp_path / "out" / "bench.png").is_file()


def test_what_is_skipped_keeps_nothing_else_from_being_measured(bench, machine, lines, tmp_path):
    lacking = machine.lacking("no wind tunnel", "wind")
    assert bench(wind=lacking, fake=fast_and_slow(machine, lines)) == 0
    text = (tmp_path / "out" / "table.md").read_text()
    assert "skipped: no wind tunnel" in text
    assert "| b | 200 |" in text


def test_what_fails_keeps_nothing_else_from_being_measured_and_is_told(
    bench, machine, lines, tmp_path, capsys
):
    broken = machine.comparison(machine.contestant(lines("a"), [], error=OSError("belt torn")))
    assert bench(broken=broken, fake=fast_and_slow(machine, lines)) == 1
    assert "belt torn" in (tmp_path / "out" / "table.md").read_text()
    assert "| b | 200 |" in (tmp_path / "out" / "table.md").read_text()


def test_ctrl_c_ends_all_and_keeps_what_was_measured(bench, machine, lines, tmp_path):
    cut = machine.comparison(machine.contestant(lines("a"), [7.0], error=KeyboardInterrupt()))
    later = fast_and_slow(machine, lines)
    assert bench(cut=cut, later=later) == 130
    (comparison,) = json.loads((tmp_path / "out" / "results.json").read_text())["comparisons"]
    assert comparison["state"] == "interrupted"
    assert comparison["lines"][0]["figures"] == [7.0]


def test_only_what_is_named_is_measured(bench, machine, lines, tmp_path):
    other = machine.lacking("this is never asked")
    assert bench("fake", other=other, fake=fast_and_slow(machine, lines)) == 0
    assert "never asked" not in (tmp_path / "out" / "table.md").read_text()


def test_a_folder_that_is_there_is_refused(bench, machine, lines, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    assert bench(fake=fast_and_slow(machine, lines)) == 1
    assert "out exists" in capsys.readouterr().err
    assert not machine.calls


def test_without_a_folder_each_run_gets_its_own(bench, machine, lines, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = cli._folder(None)
    first.mkdir(parents=True)
    monkeypatch.setattr(cli.time, "strftime", lambda form: first.name)
    assert not cli._folder(None).exists()


def test_json_alone_is_on_the_standard_output(bench, machine, lines, capsys):
    assert bench("--json", fake=fast_and_slow(machine, lines)) == 0
    assert json.loads(capsys.readouterr().out)["comparisons"][0]["name"] == "fake"


def test_an_unknown_name_is_refused_with_those_there_are(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["sax"])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert all(name in error for name in ("sax", *cli.COMPARISONS))


def test_a_comparison_whose_packages_are_not_here_is_skipped_with_their_name(monkeypatch):
    def fail(name):
        raise ModuleNotFoundError("No module named 'rclpy'", name="rclpy")

    monkeypatch.setattr(cli.importlib, "import_module", fail)
    from smm_ros.bench.comparison import Setting
    from smm_ros.bench.turns import compare

    assert compare(cli.load("graph"), Setting()).state == "skipped: No module named 'rclpy'"


@pytest.mark.parametrize("name", cli.COMPARISONS)
def test_every_comparison_says_what_it_compares(name):
    found = cli.load(name)
    assert found.name == name
    assert found.title
    assert found.turns >= found.quick_turns >= 1
