"""The scripted reset over a hand that is a handful of numbers."""

import math

import numpy as np
import pytest

from smm_ros.dclaw.hand import HandError
from smm_ros.dclaw.scripted_reset import ATTEMPTS, TOLERANCE, scripted_reset
from smm_ros.dclaw.spec import NUM_JOINTS, POSITION_HIGH, POSITION_LOW, RESET_POSE


class Fingers:
    """Goes wherever it is told at once, but for joints that are stuck for some ways."""

    def __init__(self, stuck=None, ways=10**9, valve=0.0, stuck_valve=False):
        self.angles, self.valve = np.full(NUM_JOINTS, 0.2), valve
        self.stuck, self.ways, self.stuck_valve = stuck, ways, stuck_valve
        self.time, self.told, self.is_held = 0.0, [], False
        self.fault = ""

    def pose(self):
        if self.fault:
            raise HandError(self.fault)
        self.time += 0.02
        return self.angles.copy(), self.valve

    def glide_to(self, pose, speed):
        self.told.append(pose)
        self.ways -= 1
        free = np.ones(NUM_JOINTS, bool)
        if self.stuck is not None and self.ways >= 0:
            free[self.stuck] = False
        self.angles = np.where(free, pose, self.angles)
        return 0.5

    def turn_valve(self, angle, speed):
        self.is_held = True
        if not self.stuck_valve:
            self.valve += math.remainder(angle - self.valve, 2 * math.pi)
        return 0.5

    def release_valve(self):
        self.is_held = False

    def now(self):
        return self.time


def run(fingers, angle=0.0):
    stages = list(scripted_reset(fingers, angle))
    names = [stage.name for stage in stages]
    return [n for i, n in enumerate(names) if i == 0 or names[i - 1] != n], stages[-1].attempt


def test_fingers_are_lifted_before_they_go_home_and_the_valve_is_free_in_the_end():
    fingers = Fingers(valve=1.0)
    order, attempts = run(fingers, angle=-0.5)
    assert order == [
        "lift the fingers", "fingers to their places", "turn the valve", "settle"
    ]  # fmt: skip
    assert attempts == 1
    np.testing.assert_allclose(fingers.angles, RESET_POSE)
    assert fingers.valve == pytest.approx(-0.5)
    assert not fingers.is_held
    proximal = fingers.told[0][::3]
    np.testing.assert_allclose(proximal, 0.2)  # not swung while the tips are on the valve


def test_the_valve_takes_the_shorter_way_and_full_turns_stay():
    fingers = Fingers(valve=4 * math.pi + 0.3)
    run(fingers, angle=0.0)
    assert fingers.valve == pytest.approx(4 * math.pi)


def test_a_finger_that_is_caught_is_swung_free_in_the_next_attempt():
    fingers = Fingers(stuck=3, ways=3)
    order, attempts = run(fingers)
    assert attempts == 2
    assert "untangle the fingers" in order
    np.testing.assert_allclose(fingers.angles, RESET_POSE)


@pytest.mark.parametrize(
    ("fingers", "message"),
    [
        (Fingers(stuck=4), r"in 3 attempts: joint_21 is \d+ degrees from its place; free it"),
        (Fingers(valve=1.0, stuck_valve=True), "the valve is 57 degrees from its place"),
    ],
)
def test_what_can_not_be_freed_is_named_after_some_attempts(fingers, message):
    with pytest.raises(HandError, match=message):
        run(fingers)
    assert not fingers.is_held


def test_a_fault_ends_it_at_once_and_the_valve_is_let_go():
    fingers = Fingers(valve=1.0)
    stages = scripted_reset(fingers, 0.0)
    while next(stages).name != "turn the valve":
        pass
    fingers.fault = "motor 11 reports overload"
    with pytest.raises(HandError, match="motor 11 reports overload"):
        next(stages)
    assert not fingers.is_held


def test_a_reset_that_is_given_up_lets_the_valve_go():
    fingers = Fingers(valve=1.0)
    stages = scripted_reset(fingers, 0.0)
    while next(stages).name != "turn the valve":
        pass
    stages.close()
    assert not fingers.is_held


def test_every_way_is_within_the_limits():
    fingers = Fingers(stuck=0)
    fingers.angles = np.full(NUM_JOINTS, 1.3)  # a hand may be found anywhere
    with pytest.raises(HandError):
        run(fingers)
    assert len(fingers.told) > ATTEMPTS
    for pose in fingers.told:
        assert ((pose >= POSITION_LOW) & (pose <= POSITION_HIGH)).all()


def test_within_the_tolerance_is_there():
    fingers = Fingers(stuck=2)
    fingers.angles[2] = RESET_POSE[2] + 0.9 * TOLERANCE
    assert run(fingers)[1] == 1
