import json
import subprocess
import sys

import pytest

from smm_ros.priority import BACKGROUND

# Prints niceness, and that of the session where there is such a thing, before and behind.
LOOK = """
import json, os
from pathlib import Path
from smm_ros.priority import step_back

def look():
    path = Path("/proc/self/autogroup")  # empty for a process that is in no such group
    words = path.read_text().split() if path.exists() else []
    is_batch = os.sched_getscheduler(0) == os.SCHED_BATCH
    return os.nice(0), words[-1] if words else None, is_batch

before = look()
step_back()
print(json.dumps([before, look()]))
"""


def looked(new_session):
    command = [sys.executable, "-c", LOOK]
    done = subprocess.run(command, start_new_session=new_session, capture_output=True, check=True)
    return json.loads(done.stdout)


def test_a_process_that_steps_back_is_nicer_and_interrupts_nobody():
    (before, *_), (behind, _, is_batch) = looked(new_session=False)
    assert behind == min(19, before + BACKGROUND)
    assert is_batch


def test_the_session_of_others_stays_as_it_is():
    (_, before, _), (_, behind, _) = looked(new_session=False)
    assert behind == before


def test_a_session_of_its_own_steps_back_too():
    (_, before, _), (_, behind, _) = looked(new_session=True)
    if before is None:
        pytest.skip("sessions are not weighed here")
    assert behind == str(BACKGROUND)
