"""Which hand a hand node drives: its settings, and the one place that knows the drivers."""

from __future__ import annotations

from dataclasses import dataclass

from smm_core.config import Config, ConfigError, option
from smm_ros.dclaw.hand import Hand


@dataclass(frozen=True)
class HandConfig(Config):
    """Settings of the hand node."""

    sim: bool = option(True, "Drive the MuJoCo twin instead of the hand.")
    port: str = option("/dev/ttyUSB0", "Serial port of the hand's servos; not used with sim.")
    baud_rate: int = option(
        1_000_000, "Speed of the servo bus in bit/s; not used with sim.", low=9600, high=4_500_000
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


def require_driver(sim: bool) -> None:
    """Raise ConfigError where there is no driver for the hand that is asked for."""
    if not sim:
        raise ConfigError(
            "sim is false, but this release has no driver for the D'Claw hardware yet; "
            "use its MuJoCo twin: sim:=true"
        )


def make_hand(config: HandConfig) -> Hand:
    """Return the hand, not yet connected; raises ConfigError where there is no driver for it."""
    require_driver(config.sim)
    # Only a hand node of the twin needs MuJoCo, and it takes long to import.
    from smm_ros.dclaw.mujoco_hand import MujocoHand

    return MujocoHand(seed=config.seed)
