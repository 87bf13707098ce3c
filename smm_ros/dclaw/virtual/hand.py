"""The hand's twin moved by virtual servos: ten motors, their bus, and the physics between them."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco

from smm_ros.dclaw.calibration import Calibration, default_calibration
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.mujoco_hand import MujocoHand
from smm_ros.dclaw.spec import PHYSICS_STEP
from smm_ros.dclaw.virtual.bus import VirtualBus
from smm_ros.dclaw.virtual.servo import VirtualServo

MOST_LAG = 0.25
"""Physics that is later than this does not catch up any more, s: this process did not run."""


@dataclass(frozen=True)
class VirtualHandConfig:
    """What the virtual hand is made of."""

    model_number: int = 1050
    """Of all servos."""
    firmware: int = 45
    baud_rate: int = 1_000_000
    """bit/s."""
    return_delay_us: int = 0
    usb_latency: float = 0.001
    """Latency timer of the USB adapter, s."""
    fast_sync_read: bool = True
    """Whether the firmware answers to fast sync reads, and fast bulk reads."""
    seed: int = 0
    """Of the faults."""


FACTORY = VirtualHandConfig(baud_rate=57_600, return_delay_us=500, usb_latency=0.016)
"""A hand as it comes out of the box; but the ids are set."""


class VirtualHand:
    """Virtual servos on the joints of the twin; `advance` integrates up to a time."""

    def __init__(
        self,
        config: VirtualHandConfig | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        """Build the hand in its reset pose, limp; raises ValueError for an unknown model."""
        config = config or VirtualHandConfig()
        self._mounted = (calibration or default_calibration()).motors
        twin = MujocoHand()
        twin.connect()  # torque off: only what the servos do acts on the joints
        self.model, self.data = twin.model, twin.data
        model = reg.model_of(config.model_number)
        self.servos = [VirtualServo(m.motor, model, config.firmware) for m in self._mounted]
        self.bus = VirtualBus(self.servos, config.usb_latency, config.fast_sync_read, config.seed)
        self.lost = 0.0
        """Time so far for which physics was not integrated, s."""
        self._time: float | None = None
        for servo in self.servos:
            servo.set(reg.BAUD_RATE, reg.BAUD_RATES.index(config.baud_rate))
            servo.set(reg.RETURN_DELAY_TIME, config.return_delay_us // 2)
        self._turn_shafts(0.0)
        for servo in self.servos:
            servo.reboot()
        self._turn_shafts(1.0)

    @property
    def time(self) -> float | None:
        """Time that the physics has come to, s; None before the first `advance`."""
        return self._time

    def servo(self, servo_id: int) -> VirtualServo:
        """Return the servo of an id; raises ValueError where there is none."""
        for servo in self.servos:
            if servo.get(reg.ID) == servo_id:
                return servo
        ids = ", ".join(str(s.get(reg.ID)) for s in self.servos)
        raise ValueError(f"there is no servo {servo_id}; there are {ids}")

    def advance(self, now: float) -> None:
        """Integrate the physics up to a time, s."""
        if self._time is None:
            self._time = now
        if now - self._time > MOST_LAG:
            self._skip(now - self._time)
        while self._time + PHYSICS_STEP <= now:
            self._step()
            self._time += PHYSICS_STEP
        for servo in self.servos:
            servo.since = now - self._time

    def _skip(self, seconds: float) -> None:
        """Stand still for some time in which this process did not run.

        The servos heard nothing meanwhile, so their watchdogs trip: others may have run, and found
        them silent. A machine that sleeps as a whole stops time.monotonic(), and is not seen here.
        """
        self.lost += seconds
        self._time = (self._time or 0.0) + seconds
        for servo in self.servos:
            servo.skip(seconds)

    def _step(self) -> None:
        for i, (servo, mounted) in enumerate(zip(self.servos, self._mounted, strict=True)):
            self.data.qfrc_applied[i] = mounted.direction * servo.torque()
        mujoco.mj_step(self.model, self.data)
        self._turn_shafts(PHYSICS_STEP)

    def _turn_shafts(self, period: float) -> None:
        angles, velocities = self.data.qpos.tolist(), self.data.qvel.tolist()
        for i, (servo, mounted) in enumerate(zip(self.servos, self._mounted, strict=True)):
            angle = mounted.direction * (angles[i] - mounted.zero)
            servo.advance(angle, mounted.direction * velocities[i], period)
