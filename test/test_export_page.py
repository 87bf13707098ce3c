"""What docs/export.md shows to be done can be done as it is written."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from smm_ros.bag.datasets.export import main
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.records import TransitionRecord
from smm_ros.transition_wire import serialize_transition

PAGE = Path(__file__).resolve().parents[1] / "docs" / "export.md"
COMMANDS = re.findall(r"^    smm bag (\w+) (.*)$", PAGE.read_text(), re.MULTILINE)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The datasets that the page's first commands make, in the present folder."""
    monkeypatch.chdir(tmp_path)
    topic = installed_topic("/dclaw/transitions", "smm_ros/msg/Transition")
    writer = BagWriter(Path("runs/dclaw/bag"), [topic])
    zeros = np.zeros(12, np.float32)
    for step in range(50):
        record = TransitionRecord(
            stamp_ns=10**8 * step,
            hand="dclaw",
            sequence=step,
            episode=0,
            step=step,
            skill=0,
            policy_version=0,
            observation=zeros,
            action=zeros[:9],
            next_observation=zeros,
            log_p_shaping=-0.5,
            terminated=False,
            truncated=step == 49,
        )
        writer.write(topic.name, record.stamp_ns, serialize_transition(record))
    writer.close()
    for command, words in COMMANDS:
        if command == "export":
            assert main(words.replace("*", "dclaw").split()) == 0
    return tmp_path


def test_the_page_shows_an_export_to_each_format_and_an_import():
    assert [command for command, _ in COMMANDS] == ["export", "export", "export", "import"]


@pytest.mark.parametrize("section", ["Parquet", "LeRobot", "Minari"])
def test_a_snippet_runs(data, section):
    if section == "LeRobot" and find_spec("lerobot") is None:
        pytest.skip("LeRobot is not installed here: it requires an older torch")
    text = PAGE.read_text().partition(f"\n## {section}\n")[2]
    (snippet,) = re.findall(r"```python\n(.*?)```", text.partition("\n## ")[0], re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", snippet], capture_output=True, text=True, cwd=data
    )
    assert done.returncode == 0, done.stderr
