"""What all tests share: one thread for the maths, and a ROS domain of its own for each test."""

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from hypothesis import settings

# Small networks are faster on one thread, and tests may run beside one another. To be set before
# torch or numpy are imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes says how busy the machine is, not whether a property holds.
settings.register_profile("smm_ros", deadline=None)
settings.load_profile("smm_ros")

# Below 102 the ports of a domain stay clear of those that the system hands out.
DOMAINS = range(80, 102)


@pytest.fixture
def ros_domain(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Hold a ROS domain that no other test on this machine uses, set in the environment.

    Processes that the test starts inherit it; discovery stays on this machine.
    """
    domain, lock = _take_domain()
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    yield domain
    lock.close()


def _take_domain() -> tuple[int, IO[str]]:
    """Lock the first free domain; the lock ends with the file, also when the process is killed."""
    for domain in DOMAINS:
        path = Path(tempfile.gettempdir(), f"smm_ros_test_domain_{domain}.lock")
        lock = path.open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            return domain, lock
    raise RuntimeError(f"every ROS domain in {DOMAINS} is in use by a running test")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a folder that is a file system of its own, of 1 MiB; only root can make one."""
    folder = tmp_path / "small_disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "small_disk", str(folder)]
    try:
        made = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no `mount` here")
    if made.returncode:
        pytest.skip(f"no file system can be mounted: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
