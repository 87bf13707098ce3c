import re
import subprocess
import sys

import matplotlib.image
import pytest

from smm_ros.bag.reading import read_transitions


@pytest.mark.timeout(180)
def test_the_demo_ends_with_figures_a_picture_a_bag_and_a_checkpoint(ros_environment, tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "smm_ros.cli", "demo", "--folder", str(folder)]
    command += ["--steps", "300", "--episodes", "8"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"300 transitions in \d+ s; in the bag, without a gap: yes", done.stdout)
    assert re.search(r"uniform random actions +[\d.]+ nats, [\d.]+% of the maximum", done.stdout)
    assert matplotlib.image.imread(folder / "exploration.png").size
    assert (folder / "checkpoints" / "checkpoint-000000300.safetensors").is_file()
    assert [r.sequence for r in read_transitions(folder / "bag")] == list(range(300))


def test_a_wrong_number_of_steps_is_refused(tmp_path):
    command = [sys.executable, "-m", "smm_ros.cli", "demo", "--steps", "0"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 2
    assert "at least 1" in done.stderr
    assert not list(tmp_path.iterdir())
