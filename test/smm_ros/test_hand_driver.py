import pytest

from smm_core.config import ConfigError
from smm_ros.dclaw.mujoco_hand import MujocoHand
from smm_ros.hand_driver import HandConfig, make_hand, require_driver


def test_simulated_hand_is_the_twin():
    assert isinstance(make_hand(HandConfig(sim=True)), MujocoHand)


def test_hand_without_a_driver_is_refused_with_what_to_do_instead():
    for refuse in (lambda: require_driver(False), lambda: make_hand(HandConfig(sim=False))):
        with pytest.raises(ConfigError, match="sim:=true"):
            refuse()
