"""Both descriptions are what the table says."""

from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2] / "urdf"


@pytest.mark.parametrize("name", ["dclaw.xml", "dclaw_parts.xacro"])
def test_the_committed_file_is_the_one_that_the_table_gives(generate, name):
    generated = generate.generate()[name]
    committed = (FOLDER / name).read_text(encoding="utf-8")
    assert generated == committed, "run `python urdf/generate.py` and commit what it writes"


def test_a_changed_number_reaches_both_files(generate, monkeypatch, tmp_path):
    table = yaml.safe_load((FOLDER / "dclaw.yaml").read_text(encoding="utf-8"))
    table["links"][2]["geoms"][0]["mass"] = 0.5
    (tmp_path / "dclaw.yaml").write_text(yaml.safe_dump(table), encoding="utf-8")
    monkeypatch.setattr(generate, "FOLDER", tmp_path)
    assert generate.main() == 0
    assert 'mass="0.5"' in (tmp_path / "dclaw.xml").read_text()
    # The middle link's other parts weigh 12 g.
    assert 'mass="0.512"' in (tmp_path / "dclaw_parts.xacro").read_text()
