"""The SDK's own client at the end of a virtual bus, in time that only passes when it waits."""

import pytest
from dynamixel_sdk import PortHandler, Protocol2PacketHandler

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.virtual.bus import VirtualBus
from smm_ros.dclaw.virtual.servo import VirtualServo

STEP = 20e-6
"""Time that passes at each look for bytes, s."""


class SimulatedPort(PortHandler):
    """The SDK's port with a virtual bus in place of a file."""

    def __init__(self, bus):
        super().__init__("simulated")
        self.bus, self.now, self._arrived = bus, 0.0, b""
        self.tx_time_per_byte = 1000.0 / self.baudrate * 10.0

    def pass_time(self, seconds):
        self.now += seconds
        for servo in self.bus.servos:
            servo.advance(servo.angle, 0.0, seconds)
        self._arrived += self.bus.take(self.now)

    def getCurrentTime(self):  # noqa: N802 - the SDK's names, from here on
        return self.now * 1000.0

    def clearPort(self):  # noqa: N802
        self._arrived = b""

    def readPort(self, length):  # noqa: N802
        self.pass_time(STEP)
        data, self._arrived = self._arrived[:length], self._arrived[length:]
        return data

    def writePort(self, packet):  # noqa: N802
        self.bus.receive(bytes(packet), self.now)
        return len(packet)


class Client:
    """A bus of servos, and the SDK's port and packet handler to it."""

    def __init__(self, ids=(10, 11, 12), **options):
        self.servos = [VirtualServo(i, reg.model_of(1030)) for i in ids]
        for servo in self.servos:
            servo.set(reg.BAUD_RATE, reg.BAUD_RATES.index(1_000_000))
            servo.set(reg.RETURN_DELAY_TIME, 0)
        self.bus = VirtualBus(self.servos, **options)
        self.port, self.sdk = SimulatedPort(self.bus), Protocol2PacketHandler()

    @property
    def faults(self):
        return self.bus.faults


@pytest.fixture(name="client", scope="session")
def make_client():
    """Return a way to make clients."""
    return Client
