"""The SDK's own client at the end of a virtual bus, in time that only passes when it waits."""

import pytest
from dynamixel_sdk import PortHandler, Protocol2PacketHandler

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.packets import ALERT
from smm_ros.dclaw.dynamixel.registers import Mode
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


class Bench:
    """Servos without a bus, each on a shaft that a damper holds."""

    INERTIA = 0.005
    """kg m^2."""

    @staticmethod
    def put(one, register, value):
        """Write a register; return the error."""
        return one.write(register.address, register.encode(value))

    @staticmethod
    def ask(one, register):
        """Return what a register holds."""
        error, data = one.read(register.address, register.size)
        assert error & ~ALERT == 0
        return register.decode(data)

    def servo(self, model=1030, mode=Mode.EXTENDED_POSITION, torque=False, **values):
        """Return a servo in a mode; further values are written by name."""
        made = VirtualServo(10, reg.model_of(model))
        assert self.put(made, reg.OPERATING_MODE, mode) == 0
        for name, value in values.items():
            assert self.put(made, getattr(reg, name.upper()), value) == 0
        if torque:
            assert self.put(made, reg.TORQUE_ENABLE, 1) == 0
        return made

    def run(self, one, seconds, period=0.0025, held=False):
        """Let a servo turn its shaft freely, or `held` fast, for some time."""
        for _ in range(round(seconds / period)):
            force = one.torque() - 0.1 * one.velocity
            velocity = 0.0 if held else one.velocity + period / self.INERTIA * force
            one.advance(one.angle + period * velocity, velocity, period)


@pytest.fixture(name="bench", scope="session")
def make_bench():
    """Return a bench for servos."""
    return Bench()
