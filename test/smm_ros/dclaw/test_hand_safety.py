"""Whatever is commanded, and whatever breaks meanwhile: what the motors are told stays safe.

Watched where it arrives, in the motors.
"""

import contextlib
import math
import time
from unittest.mock import patch

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from smm_ros.dclaw.calibration import default_calibration
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel import units
from smm_ros.dclaw.dynamixel.motors import MotorSettings
from smm_ros.dclaw.dynamixel_config import DynamixelConfig
from smm_ros.dclaw.dynamixel_hand import DynamixelHand
from smm_ros.dclaw.hand import HandError
from smm_ros.dclaw.hand_guard import OUTSIDE, GuardConfig
from smm_ros.dclaw.recovery import RecoveryConfig
from smm_ros.dclaw.spec import NUM_JOINTS, POSITION_HIGH, POSITION_LOW
from smm_ros.dclaw.virtual.hand import VirtualHand
from smm_ros.dclaw.virtual.port import VirtualPort
from smm_ros.dclaw.virtual.servo import VirtualServo

CAP = 0.3
"""Of the current, A."""
SETTINGS = {
    "margin": 0.05,
    "motors": MotorSettings(current=CAP, watchdog=0.5),
    "guard": GuardConfig(hold_after=0.15, limp_after=0.5, idle_after=1.0, blind_for=0.2),
    "recovery": RecoveryConfig(rest=0.1),
}
FAULTS = (
    "overload 11", "shock 22", "silent 30", "heard 30", "cut 10", "join 10", "unplug", "plug",
    "brownout", "reboot 21", "slow 12 30", "slow 12 0", "hiccup 40", "drop 0.01", "drop 0",
    "corrupt 0.01", "corrupt 0", "heat 31 60", "heat 31 0", "turn 50 3",
)  # fmt: skip

angles = st.one_of(
    st.floats(-2.0, 2.0), st.floats(), st.sampled_from([math.nan, math.inf, -math.inf, 1e308])
)
actions = st.one_of(
    st.lists(angles, min_size=NUM_JOINTS, max_size=NUM_JOINTS).map(np.array),
    st.sampled_from(["enable", "enable", "disable", "read", "reset", "break the reset off"]),
    st.sampled_from(FAULTS),
)


class Watch:
    """Writes down what arrives at motors and must not."""

    def __init__(self):
        self.wrong = []
        self.may_be_on = False
        self._joints = {m.motor: i for i, m in enumerate(default_calibration().motors)}
        self._take = VirtualServo._take

    def take(self, servo, register, value):
        """Look at a write before the motor carries it out."""
        motor = servo.get(reg.ID)
        joint = self._joints[motor]
        if register is reg.GOAL_POSITION and joint < NUM_JOINTS:
            self._look_at_goal(servo, joint, value)
        if register is reg.TORQUE_ENABLE and value:
            self._look_at_start(servo, motor)
        self._take(servo, register, value)

    def _look_at_goal(self, servo, joint, ticks):
        angle = ticks * units.POSITION + default_calibration().motors[joint].zero
        low, high = POSITION_LOW[joint] - OUTSIDE, POSITION_HIGH[joint] + OUTSIDE
        # To where it is a goal may always be set: it is what keeps a motor from a jump.
        jump = abs(ticks - servo.get(reg.PRESENT_POSITION))
        if not low - 0.01 <= angle <= high + 0.01 and jump > 50:
            self.wrong.append(f"goal {angle} of joint {joint}")

    def _look_at_start(self, servo, motor):
        if not self.may_be_on:
            self.wrong.append(f"motor {motor} switched on after the hand was switched off")
        jump = abs(servo.get(reg.GOAL_POSITION) - servo.get(reg.PRESENT_POSITION))
        if jump > 100:
            self.wrong.append(f"motor {motor} switched on {jump} ticks from its goal")
        if servo.get(reg.GOAL_CURRENT) > math.ceil(CAP / servo.model.current_unit):
            self.wrong.append(f"motor {motor} switched on without a cap")
        if servo.get(reg.OPERATING_MODE) != reg.Mode.CURRENT_BASED_POSITION:
            self.wrong.append(f"motor {motor} switched on in another mode")


def act(hand, port, watch, action, stages):
    """Do one thing to the hand, or to its motors; only what is documented may be raised."""
    with contextlib.suppress(HandError):
        if isinstance(action, np.ndarray):
            hand.command(action)
        elif action == "enable":
            watch.may_be_on = True
            hand.enable()
        elif action == "disable":
            hand.disable()
            watch.may_be_on = False
        elif action == "read":
            assert np.isfinite(hand.read().joint_position).all()
        elif action == "reset":
            stages.append(hand.reset(0.5))
        elif action == "break the reset off" and stages:
            stages.pop().close()
        else:
            port.command(action)
        if stages:
            next(stages[-1], None)


@settings(
    max_examples=8,
    phases=(Phase.generate,),  # each example takes seconds
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(actions, min_size=10, max_size=30))
def test_whatever_is_commanded_and_breaks_no_motor_is_told_what_is_unsafe(story):
    watch = Watch()

    def take(servo, register, value):
        watch.take(servo, register, value)

    with VirtualPort(VirtualHand()) as port, patch.object(VirtualServo, "_take", take):
        hand = DynamixelHand(DynamixelConfig(port.path, **SETTINGS))
        hand.connect()
        stages = []
        act(hand, port, watch, "enable", stages)
        for action in story:
            act(hand, port, watch, action, stages)
            time.sleep(0.02)
        for cure in ("plug", "heard 30", "join 10", "drop 0", "corrupt 0", "slow 12 0"):
            port.command(cure)
        end = time.monotonic() + 1.0
        while hand.fault and not hand.report().is_held and time.monotonic() < end:
            time.sleep(0.02)
        with contextlib.suppress(HandError):  # a motor that starts anew just now says nothing
            hand.close()
        assert [servo.get(reg.TORQUE_ENABLE) for servo in port.hand.servos] == [0] * 10
    assert watch.wrong == []
