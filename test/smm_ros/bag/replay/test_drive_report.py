"""The figures of a drive, as data and as text."""

import json
import math

import numpy as np
import pytest

from smm_ros.bag.replay.drive_report import as_data, as_text
from smm_ros.bag.replay.episode_drive import Tracking
from smm_ros.bag.replay.recorded_episode import RecordedEpisode, Stretch
from smm_ros.dclaw.spec import JOINT_NAMES


@pytest.fixture
def episode():
    stretch = Stretch(np.zeros((2, 9), np.float32), np.zeros((3, 9)))
    return RecordedEpisode("dclaw", 4, (stretch,), np.array([0.0, 3.0, 3.2]))


def test_errors_are_told_by_joint(episode):
    errors = np.zeros((2, 9))
    errors[:, 3] = -0.1, 0.3
    data = as_data(episode, Tracking(errors, 0.0, 3.1, clamped=1, late=2), "")
    assert data["mean_error"]["joint_20"] == pytest.approx(0.2)
    assert data["max_error"]["joint_20"] == pytest.approx(0.3)
    assert data["max_error"]["joint_10"] == 0
    assert list(data["mean_error"]) == list(JOINT_NAMES)
    assert (data["commands"], data["clamped_commands"], data["late_states"]) == (2, 1, 2)
    text = as_text(data)
    assert "2 recorded steps, 2 commands, 1 clamped, 2 late states" in text
    assert "joint_20                  0.2000  0.3000" in text
    assert "as it should" not in text


def test_the_valve_is_compared_where_it_ends_whatever_its_turns(episode):
    errors = np.zeros((2, 9))
    data = as_data(episode, Tracking(errors, 2 * math.pi, 3.1 - 2 * math.pi, 0, 0), "")
    assert data["valve_error"] == pytest.approx(-0.1)
    assert data["valve_turned"] == pytest.approx(3.1 - 4 * math.pi)
    assert data["valve_turned_recorded"] == pytest.approx(3.2)


def test_where_nothing_was_played_there_is_nothing_to_compare(episode):
    nothing = Tracking(np.zeros((0, 9)), math.nan, math.nan, 0, 0)
    data = as_data(episode, nothing, "the valve fell off")
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["mean_error"] == {}
    assert as_text(data).endswith("did not end as it should: the valve fell off")
