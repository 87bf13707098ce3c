"""What a recorder says: the worst first, and each figure under its name."""

from dataclasses import replace

import pytest

from smm_ros.recorder_report import recorder_report
from smm_ros.recording import RecordingStatus
from smm_ros.reports import Level
from smm_ros.tape import TapeStatus

HAND = {"transitions": 9, "gaps": 2, "dropped": 1, "skipped": 3, "repeated": 0, "restarts": 0}
WELL = RecordingStatus(
    received=20, dropped=0, waiting_bytes=10, fault="", busy=0.1, tape=TapeStatus(written=18)
)


@pytest.mark.parametrize(
    ("change", "level", "said"),
    [
        ({}, Level.OK, "recording"),
        ({"tape": TapeStatus(notes=("odd", "file"))}, Level.WARN, "odd; file"),
        ({"dropped": 4}, Level.WARN, "4 messages dropped, 0 transitions never arrived"),
        ({"tape": TapeStatus(hands={"a": HAND})}, Level.WARN, "2 transitions never arrived"),
        ({"tape": TapeStatus(hands={"a": HAND | {"restarts": 1}})}, Level.WARN, "a began again"),
        ({"dropped": 4, "tape": TapeStatus(notes=("odd",))}, Level.WARN, "never arrived; odd"),
        ({"tape": TapeStatus(unreadable=3)}, Level.WARN, "3 transitions can not be read"),
        ({"busy": 5.2, "dropped": 4}, Level.WARN, "the disk has not answered for 5 s"),
        ({"fault": "full", "busy": 5.0, "dropped": 4}, Level.ERROR, "full (0 MB free)"),
    ],
)
def test_the_worst_is_said(change, level, said):
    found, text, _ = recorder_report(replace(WELL, **change), is_recording=True)
    assert (found, said in text) == (level, True)


def test_stopped_is_well():
    level, text, values = recorder_report(WELL, is_recording=False)
    assert (level, text, values["state"]) == (Level.OK, "stopped", "stopped")


def test_each_hand_has_its_counts():
    hands = {"a": HAND, "b": HAND | {"repeated": 5, "restarts": 1}}
    status = replace(WELL, tape=TapeStatus(hands=hands, written=18))
    _, _, values = recorder_report(status, is_recording=True)
    assert (values["received"], values["written"]) == (20, 18)
    assert [values[f"a/{why}"] for why in ("gaps", "dropped", "skipped")] == [2, 1, 3]
    assert "a/transitions recorded before" not in values
    assert "a/numbers begun again" not in values
    assert values["b/transitions recorded before"] == 5
    assert values["b/numbers begun again"] == 1
