"""What a servo does with its motor: torque from registers, along a profile to the goal."""

from __future__ import annotations

import math

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel import units
from smm_ros.dclaw.dynamixel.registers import Mode, Model
from smm_ros.dclaw.virtual.control_table import ControlTable

STIFFNESS = 2.0 / 800
"""N m/rad for each step of the position P gain: the twin's 2 N m/rad at the default gain."""
DAMPING = STIFFNESS / 16
"""N m s/rad for each step of the position D gain."""
_REVERSE = 0x01


class MotorControl:
    """The control of one motor by its servo's table."""

    def __init__(self, table: ControlTable, model: Model) -> None:
        self.torque = 0.0
        """Of the motor now, N m."""
        self._table, self._model = table, model
        self._target = self._target_velocity = 0.0

    @property
    def sign(self) -> int:
        """Which way it counts: -1 if it is reversed."""
        return -1 if self._table.get(reg.DRIVE_MODE) & _REVERSE else 1

    def stop(self, angle: float) -> None:
        """Have the shaft stay at an angle, rad, until there is a goal."""
        self._target, self._target_velocity = angle, 0.0

    def update(self, angle: float, velocity: float) -> float:
        """Return the torque where the shaft is (rad, rad/s), N m."""
        get, mode = self._table.get, self._table.get(reg.OPERATING_MODE)
        limit = self._torque_limit()
        if not get(reg.TORQUE_ENABLE):
            wanted = 0.0
        elif mode == Mode.CURRENT:
            unit = self._model.current_unit * self._model.torque_constant
            wanted = self.sign * get(reg.GOAL_CURRENT) * unit
        elif mode == Mode.PWM:
            wanted = self.sign * get(reg.GOAL_PWM) / 885 * self._model.stall_torque
        else:
            wanted = STIFFNESS * get(reg.POSITION_P_GAIN) * (self._target - angle)
            wanted -= DAMPING * get(reg.POSITION_D_GAIN) * velocity
        self.torque = max(-limit, min(limit, wanted))
        return self.torque

    def follow(self, turns: int, period: float) -> None:
        """Bring what is controlled towards the goal for a time (s), by profile or speed.

        `turns` are those of the shaft that GOAL_POSITION does not count.
        """
        get = self._table.get
        if not get(reg.TORQUE_ENABLE) or get(reg.BUS_WATCHDOG) == -1:
            return
        if get(reg.OPERATING_MODE) == Mode.VELOCITY:
            self._target += self.sign * get(reg.GOAL_VELOCITY) * units.VELOCITY * period
            return
        fastest = get(reg.PROFILE_VELOCITY) * units.VELOCITY or math.inf
        acceleration = get(reg.PROFILE_ACCELERATION) * units.ACCELERATION or math.inf
        way = self._goal_angle(turns) - self._target
        if math.isinf(fastest) and math.isinf(acceleration):
            self._target += way
            return
        # As fast as can still be braked on the way that is left.
        braking = math.inf if math.isinf(acceleration) else math.sqrt(2 * acceleration * abs(way))
        wanted = math.copysign(min(fastest, braking, abs(way) / period), way)
        most = acceleration * period
        self._target_velocity += max(-most, min(most, wanted - self._target_velocity))
        self._target += self._target_velocity * period

    def _torque_limit(self) -> float:
        get = self._table.get
        is_capped = get(reg.OPERATING_MODE) in (Mode.CURRENT, Mode.CURRENT_BASED_POSITION)
        cap = abs(get(reg.GOAL_CURRENT)) if is_capped else math.inf
        return min(
            cap * self._model.current_unit * self._model.torque_constant,
            self._model.stall_torque * get(reg.PWM_LIMIT) / 885,
        )

    def _goal_angle(self, turns: int) -> float:
        """Return the angle of the shaft that GOAL_POSITION is, rad."""
        goal, offset = self._table.get(reg.GOAL_POSITION), self._table.get(reg.HOMING_OFFSET)
        return self.sign * (goal - offset + 4096 * turns) * units.POSITION
