"""Which hand is driven, and with which settings."""

import pytest

from smm_core.config import ConfigError
from smm_ros.dclaw.calibration import default_calibration
from smm_ros.dclaw.dynamixel_hand import DynamixelHand
from smm_ros.dclaw.mujoco_hand import MujocoHand
from smm_ros.hand_driver import HandConfig, make_hand


def test_simulated_hand_is_the_twin():
    assert isinstance(make_hand(HandConfig()), MujocoHand)


def test_the_hand_itself_has_the_settings_of_the_node(tmp_path):
    path = tmp_path / "hand.yaml"
    default_calibration().write(path)
    settings = {"port": "/dev/ttyUSB7", "bus_rate": 200.0, "motor_current": 0.3}
    hand = make_hand(HandConfig(sim=False, calibration=str(path), limp_after=2.0, **settings))
    assert isinstance(hand, DynamixelHand)
    assert (hand.config.port, hand.config.rate) == ("/dev/ttyUSB7", 200.0)
    assert hand.config.motors.current == 0.3
    assert hand.config.guard.limp_after == 2.0


def test_settings_that_do_not_fit_together_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="limp_after is 0.1, expected at least hold_after 0.15"):
        make_hand(HandConfig(sim=False, limp_after=0.1))
    path = tmp_path / "hand.yaml"
    path.write_text("joint_10: {}")
    with pytest.raises(ConfigError, match=r"hand.yaml: .*missing or unknown"):
        make_hand(HandConfig(sim=False, calibration=str(path)))
    with pytest.raises(OSError, match="none.yaml"):
        make_hand(HandConfig(sim=False, calibration=str(tmp_path / "none.yaml")))
