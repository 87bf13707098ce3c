"""Which hand a hand node drives: its settings, and the one place that knows the drivers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smm_core.config import Config, ConfigError, option
from smm_ros.dclaw.hand import Hand


@dataclass(frozen=True)
class HandConfig(Config):
    """Settings of the hand node."""

    sim: bool = option(True, "Drive the MuJoCo twin instead of the hand.")
    port: str = option("/dev/ttyUSB0", "Serial port of the hand's servos; not used with sim.")
    baud_rate: int = option(
        1_000_000, "Speed of the servo bus in bit/s; not used with sim.", low=9600, high=4_000_000
    )
    calibration: str = option(
        "", "Calibration file of the hand; empty: mounted as ROBEL's. Not used with sim."
    )
    bus_rate: float = option(
        100.0, "Cycles of the servo bus, Hz; not used with sim.", low=10.0, high=500.0
    )
    bus_margin: float = option(
        0.003,
        "Time beyond that on the wire that all motors may take to answer, s; not used with sim.",
        low=0.001,
        high=1.0,
    )
    motor_current: float = option(
        0.5, "Cap of each motor's current, A; not used with sim.", low=0.01, high=3.5
    )
    bus_watchdog: float = option(
        0.1, "Silence of the bus after which the motors stop by themselves, s.", low=0.02, high=2.5
    )
    motor_velocity: float = option(
        8.0, "Bound on each motor's speed, rad/s, kept by itself; 0: none.", low=0.0, high=700.0
    )
    motor_acceleration: float = option(
        0.0, "Bound on each motor's acceleration, rad/s^2; 0: none.", low=0.0, high=12_000.0
    )
    hold_after: float = option(
        0.15, "Time without a command after which the hand holds, s.", low=0.02, high=2.0
    )
    limp_after: float = option(
        1.0, "Time without a command after which torque goes off, s.", low=0.02, high=10.0
    )
    idle_after: float = option(
        30.0,
        "Time after which a hand that was switched on and never steered lets go, s.",
        low=0.02,
        high=3600.0,
    )
    blind_for: float = option(
        0.035, "Time without a measurement after which torque goes off, s.", low=0.01, high=1.0
    )
    recoveries_per_hour: int = option(
        12, "Overloaded motors started anew before a person is waited for.", low=0, high=1000
    )
    seed: int = option(0, "Seed of the twin's random numbers.", low=0)
    real_time_factor: float = option(
        1.0, "Simulated seconds per second of wall time; 0: as fast as it can.", low=0.0
    )
    command_timeout: float = option(
        5.0,
        "Wall time in s without a command after which the hand leaves lock step and holds.",
        low=0.01,
    )
    publish_clock: bool = option(True, "Publish /clock from the twin; only with sim.")
    autostart: bool = option(True, "Configure and activate at start, without being asked.")


def make_hand(config: HandConfig) -> Hand:
    """Return the hand, not yet connected.

    Raises:
        ConfigError: settings or a calibration that can not be used.
        OSError: the calibration can not be read.
    """
    # Each driver has libraries that the other does not need.
    if config.sim:
        from smm_ros.dclaw.mujoco_hand import MujocoHand

        return MujocoHand(seed=config.seed)
    return _dynamixel_hand(config)


def _dynamixel_hand(config: HandConfig) -> Hand:
    from smm_ros.dclaw.calibration import read_calibration
    from smm_ros.dclaw.dynamixel.motors import MotorSettings
    from smm_ros.dclaw.dynamixel_config import DynamixelConfig
    from smm_ros.dclaw.dynamixel_hand import DynamixelHand
    from smm_ros.dclaw.hand_guard import GuardConfig
    from smm_ros.dclaw.recovery import RecoveryConfig

    try:
        calibration = read_calibration(Path(config.calibration)) if config.calibration else None
        settings = DynamixelConfig(
            port=config.port,
            baud_rate=config.baud_rate,
            rate=config.bus_rate,
            motors=MotorSettings(
                config.motor_current,
                config.bus_watchdog,
                config.motor_velocity,
                config.motor_acceleration,
            ),
            margin=config.bus_margin,
            guard=GuardConfig(
                config.hold_after, config.limp_after, config.idle_after, config.blind_for
            ),
            recovery=RecoveryConfig(config.recoveries_per_hour),
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return DynamixelHand(settings, calibration)
