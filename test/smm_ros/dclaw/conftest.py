from collections.abc import Iterator

import pytest

from smm_ros.dclaw.mujoco_hand import MujocoHand


@pytest.fixture
def hand() -> Iterator[MujocoHand]:
    """A simulated hand, connected, torque on."""
    hand = MujocoHand()
    hand.connect()
    hand.enable()
    yield hand
    hand.close()
