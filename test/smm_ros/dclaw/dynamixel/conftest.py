"""Virtual servos on a pseudo-terminal, and a patient bus to them."""

import pytest

from smm_ros.dclaw.dynamixel.bus import DynamixelBus
from smm_ros.dclaw.virtual.hand import VirtualHand, VirtualHandConfig
from smm_ros.dclaw.virtual.port import VirtualPort

PATIENT = 0.5
"""Margin of a bus in tests, s: the machine may be busy, and nothing here measures time."""


@pytest.fixture(name="port")
def open_port():
    with VirtualPort(VirtualHand(VirtualHandConfig(model_number=1030))) as port:
        yield port


@pytest.fixture(name="bus")
def open_bus(port):
    bus = DynamixelBus(port.path, 1_000_000, margin=PATIENT)
    yield bus
    bus.close()
