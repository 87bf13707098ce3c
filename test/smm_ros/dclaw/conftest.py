import time
from collections.abc import Callable, Iterator

import pytest

from smm_ros.dclaw.calibration import Calibration
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.motors import MotorSettings
from smm_ros.dclaw.dynamixel_config import DynamixelConfig
from smm_ros.dclaw.dynamixel_hand import DynamixelHand
from smm_ros.dclaw.hand_guard import GuardConfig
from smm_ros.dclaw.mujoco_hand import MujocoHand
from smm_ros.dclaw.recovery import RecoveryConfig
from smm_ros.dclaw.virtual.hand import VirtualHand, VirtualHandConfig
from smm_ros.dclaw.virtual.port import VirtualPort

# Times are wide, since the machine may be busy; how short they can be is measured by benchmarks.
PATIENT = {
    "rate": 50.0,
    "margin": 0.1,
    "motors": MotorSettings(current=0.5, watchdog=2.0),
    "guard": GuardConfig(hold_after=1.0, limp_after=2.0, blind_for=0.5),
    "recovery": RecoveryConfig(rest=0.2),
}


# An adapter that hands on every byte at once: what the tests ask of it is done sooner.
QUICK = VirtualHandConfig(usb_latency=0.0)


@pytest.fixture
def hand() -> Iterator[MujocoHand]:
    """A simulated hand, connected, torque on."""
    hand = MujocoHand()
    hand.connect()
    hand.enable()
    yield hand
    hand.close()


@pytest.fixture
def port() -> Iterator[VirtualPort]:
    """Ten virtual motors behind a port."""
    with VirtualPort(VirtualHand(QUICK)) as port:
        yield port


@pytest.fixture
def drive(port: VirtualPort) -> Iterator[Callable[..., DynamixelHand]]:
    """Return a way to connect drivers to a port; they are closed before that of the tests is."""
    hands: list[DynamixelHand] = []

    def connected(
        port: VirtualPort, calibration: Calibration | None = None, **settings: object
    ) -> DynamixelHand:
        config = DynamixelConfig(port.path, **{**PATIENT, **settings})  # type: ignore[arg-type]
        hands.append(DynamixelHand(config, calibration))
        hands[-1].connect()
        return hands[-1]

    yield connected
    for hand in hands:
        hand.close()


@pytest.fixture
def driver(drive: Callable[..., DynamixelHand], port: VirtualPort) -> DynamixelHand:
    """The real hand's driver, connected to `port`, torque off."""
    hand = drive(port)
    hand.take_events()  # how it was set up
    return hand


@pytest.fixture
def torque(port: VirtualPort) -> Callable[[], list[int]]:
    """Return a way to ask the motors, not the driver, who holds torque."""
    return lambda: [servo.get(reg.TORQUE_ENABLE) for servo in port.hand.servos]


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object]], None]:
    """Return a way to wait for something to come true."""

    def wait(condition: Callable[[], object], seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.01)

    return wait
