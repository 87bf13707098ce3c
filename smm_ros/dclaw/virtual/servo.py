"""One servo as its bus sees it: the control table, its rules, and the motor's control.

Rules are those of the e-manual's pages of the X430 series. Where it is silent the servo does what
is worst for a driver: a goal that was written before torque was switched on is driven to at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel import units
from smm_ros.dclaw.dynamixel.packets import ALERT, StatusError
from smm_ros.dclaw.dynamixel.registers import Mode, Model, Register

STIFFNESS = 2.0 / 800
"""N m/rad for each step of the position P gain: the twin's 2 N m/rad at the default gain."""
DAMPING = STIFFNESS / 16
"""N m s/rad for each step of the position D gain."""

AMBIENT, HEATING, COOLING = 30.0, 6.0, 1 / 60
"""Temperature at rest in degrees Celsius, K/s at the stall current, 1/s."""
OVERLOAD_SHARE, OVERLOAD_AFTER = 0.9, 0.5
"""An overload is this share of the stall torque for this time, s."""

BOOT_TIME = 0.3
"""A servo that was rebooted is silent and limp for this time, s."""

_BY_ADDRESS = {register.address: register for register in reg.REGISTERS}
_POINTERS = {data.address: pointer for pointer, data in reg.INDIRECT}
_GOALS = (reg.GOAL_PWM, reg.GOAL_CURRENT, reg.GOAL_VELOCITY, reg.GOAL_POSITION)
_LIMITS = {
    reg.GOAL_PWM: reg.PWM_LIMIT,
    reg.GOAL_CURRENT: reg.CURRENT_LIMIT,
    reg.GOAL_VELOCITY: reg.VELOCITY_LIMIT,
}
_RESET_BY_MODE = (
    reg.POSITION_D_GAIN,
    reg.POSITION_I_GAIN,
    reg.POSITION_P_GAIN,
    reg.VELOCITY_I_GAIN,
    reg.VELOCITY_P_GAIN,
    reg.FEEDFORWARD_1ST_GAIN,
    reg.FEEDFORWARD_2ND_GAIN,
    reg.PROFILE_ACCELERATION,
    reg.PROFILE_VELOCITY,
    reg.GOAL_CURRENT,
)


class VirtualServo:
    """A servo at an angle of its shaft; `advance` says where the shaft is now."""

    def __init__(self, servo_id: int, model: Model, firmware: int = 45) -> None:
        self.model = model
        self.supply = 0.05 * (model.min_voltage + model.max_voltage)
        """Input voltage, V; the bus has one for all."""
        self.heat = 0.0
        """K above what its own current does to it."""
        self.angle = self.velocity = 0.0
        """Of the shaft, rad and rad/s; it may have turned often."""
        self._table = bytearray(reg.TABLE_SIZE)
        self._temperature, self._turns, self._torque = AMBIENT, 0, 0.0
        self._target = self._target_velocity = 0.0
        for register in reg.REGISTERS:
            self.set(register, model.default(register))
        self.set(reg.ID, servo_id)
        self.set(reg.FIRMWARE_VERSION, firmware)
        self._power_up()
        self._uptime = BOOT_TIME

    # What a register holds, rules aside.

    def get(self, register: Register) -> int:
        """Return what a register holds."""
        return register.decode(bytes(self._table[register.address : register.end]))

    def set(self, register: Register, value: int) -> None:
        """Set a register without asking whether a client might."""
        self._table[register.address : register.end] = register.encode(value)

    @property
    def is_booting(self) -> bool:
        """Whether it is still silent after a reboot."""
        return self._uptime < BOOT_TIME

    @property
    def temperature(self) -> float:
        """Of the motor, degrees Celsius."""
        return self._temperature + self.heat

    @property
    def alert(self) -> int:
        """The alert bit of its status packets."""
        return ALERT if self.get(reg.HARDWARE_ERROR_STATUS) else 0

    # Instructions.

    def heard(self) -> None:
        """Note that an instruction packet went over the bus, to whomever."""
        self._silence = 0.0

    def read(self, address: int, length: int) -> tuple[int, bytes]:
        """Return the error and the bytes of a block of the table."""
        if length < 1 or address + length > reg.TABLE_SIZE:
            return self.alert | StatusError.ACCESS, b""
        self._measure()
        places = (self._resolved(a) for a in range(address, address + length))
        return self.alert, bytes(self._table[place] for place in places)

    def write(self, address: int, data: bytes) -> int:
        """Write a block of the table, all of it or nothing; return the error."""
        places = [self._resolved(a) for a in range(address, address + len(data))]
        if any(place >= reg.TABLE_SIZE for place in places):
            return self.alert | StatusError.ACCESS
        try:
            found = list(_registers_at(places, data))
        except LookupError as error:
            return self.alert | int(error.args[0])
        for register, value in found:
            if refusal := self._refusal(register, value):
                return self.alert | refusal
        for register, value in found:
            self._take(register, value)
        return self.alert

    def reboot(self) -> None:
        """Start anew: what is in RAM is as after power-up, errors are gone."""
        self._power_up()

    def factory_reset(self, keep_id: bool, keep_baud_rate: bool) -> None:
        """Set the EEPROM to what it held when new."""
        kept = [reg.ID] * keep_id + [reg.BAUD_RATE] * keep_baud_rate
        values = {register: self.get(register) for register in (*kept, reg.FIRMWARE_VERSION)}
        for register in reg.REGISTERS:
            if register.is_eeprom:
                self.set(register, values.get(register, self.model.default(register)))
        self._power_up()

    # Time.

    def advance(self, angle: float, velocity: float, period: float) -> None:
        """Let time pass (s) and say where the shaft has come to (rad, rad/s)."""
        self.angle, self.velocity = angle, velocity
        self._uptime += period
        self._silence += period
        load = (self._torque / self.model.stall_torque) ** 2
        self._temperature += period * (HEATING * load - COOLING * (self._temperature - AMBIENT))
        self._watch_bus()
        self._watch_itself(period)
        self._follow_profile(period)

    def skip(self, period: float) -> None:
        """Let only its clock go on (s)."""
        self._uptime += period

    def torque(self) -> float:
        """Return the motor's torque now, N m."""
        if not self.get(reg.TORQUE_ENABLE):
            self._torque = 0.0
            return 0.0
        mode, limit = self.get(reg.OPERATING_MODE), self._torque_limit()
        if mode == Mode.CURRENT:
            unit = self.model.current_unit * self.model.torque_constant
            wanted = self._sign * self.get(reg.GOAL_CURRENT) * unit
        elif mode == Mode.PWM:
            wanted = self._sign * self.get(reg.GOAL_PWM) / 885 * self.model.stall_torque
        else:
            wanted = STIFFNESS * self.get(reg.POSITION_P_GAIN) * (self._target - self.angle)
            wanted -= DAMPING * self.get(reg.POSITION_D_GAIN) * self.velocity
        self._torque = max(-limit, min(limit, wanted))
        return self._torque

    def fail(self, bit: int) -> None:
        """Raise a hardware error, which switches torque off where SHUTDOWN says so."""
        self.set(reg.HARDWARE_ERROR_STATUS, self.get(reg.HARDWARE_ERROR_STATUS) | 1 << bit)
        if self.get(reg.SHUTDOWN) >> bit & 1:
            self.set(reg.TORQUE_ENABLE, 0)

    # Rules of writing.

    def _resolved(self, address: int) -> int:
        """Return where an address leads to: indirect data to what its indirect address names."""
        return self.get(_POINTERS[address]) if address in _POINTERS else address

    def _refusal(self, register: Register, value: int) -> int:
        """Return the error with which a write is refused, 0 where it is taken."""
        if not register.is_writable or (register.is_eeprom and self.get(reg.TORQUE_ENABLE)):
            return StatusError.ACCESS
        has_tripped = self.get(reg.BUS_WATCHDOG) == -1
        if has_tripped and (register in _GOALS or (register is reg.BUS_WATCHDOG and value)):
            return StatusError.DATA_RANGE
        if not register.low <= value <= register.high or (
            register is reg.OPERATING_MODE and value not in Mode.ALL
        ):
            return StatusError.DATA_RANGE
        if register is reg.TORQUE_ENABLE and value and self._is_shut_down:
            return StatusError.RESULT_FAIL
        return 0 if self._is_within_limits(register, value) else StatusError.DATA_LIMIT

    def _is_within_limits(self, register: Register, value: int) -> bool:
        if register in _LIMITS:
            return abs(value) <= self.get(_LIMITS[register])
        if register is reg.GOAL_POSITION and self.get(reg.OPERATING_MODE) == Mode.POSITION:
            return self.get(reg.MIN_POSITION_LIMIT) <= value <= self.get(reg.MAX_POSITION_LIMIT)
        if register is reg.CURRENT_LIMIT:
            return value <= self.model.current_limit
        return True

    def _take(self, register: Register, value: int) -> None:
        before = self.get(register)
        self.set(register, value)
        if register is reg.OPERATING_MODE and value != before:
            for other in _RESET_BY_MODE:
                self.set(other, self.model.default(other))
        is_single_turn = self.get(reg.OPERATING_MODE) == Mode.POSITION
        if register in (reg.OPERATING_MODE, reg.TORQUE_ENABLE) and value and is_single_turn:
            self._forget_turns()
        if register is reg.TORQUE_ENABLE and value and not before:
            self._target, self._target_velocity, self._silence = self.angle, 0.0, 0.0

    @property
    def _is_shut_down(self) -> bool:
        return bool(self.get(reg.HARDWARE_ERROR_STATUS) & self.get(reg.SHUTDOWN))

    # The motor.

    @property
    def _sign(self) -> int:
        return -1 if self.get(reg.DRIVE_MODE) & 1 else 1

    def _torque_limit(self) -> float:
        is_capped = self.get(reg.OPERATING_MODE) in (Mode.CURRENT, Mode.CURRENT_BASED_POSITION)
        cap = abs(self.get(reg.GOAL_CURRENT)) if is_capped else math.inf
        return min(
            cap * self.model.current_unit * self.model.torque_constant,
            self.model.stall_torque * self.get(reg.PWM_LIMIT) / 885,
        )

    def _goal_angle(self) -> float:
        """Return the angle of the shaft that GOAL_POSITION is, rad."""
        ticks = self.get(reg.GOAL_POSITION) - self.get(reg.HOMING_OFFSET) + 4096 * self._turns
        return self._sign * ticks * units.POSITION

    def _follow_profile(self, period: float) -> None:
        """Bring the position that is controlled towards the goal, by profile or speed."""
        mode = self.get(reg.OPERATING_MODE)
        if not self.get(reg.TORQUE_ENABLE) or self.get(reg.BUS_WATCHDOG) == -1:
            return
        if mode == Mode.VELOCITY:
            velocity = self._sign * self.get(reg.GOAL_VELOCITY) * units.VELOCITY
            self._target += velocity * period
            return
        fastest = self.get(reg.PROFILE_VELOCITY) * units.VELOCITY or math.inf
        acceleration = self.get(reg.PROFILE_ACCELERATION) * units.ACCELERATION or math.inf
        way = self._goal_angle() - self._target
        if math.isinf(fastest) and math.isinf(acceleration):
            self._target += way
            return
        # As fast as can still be braked on the way that is left.
        braking = math.inf if math.isinf(acceleration) else math.sqrt(2 * acceleration * abs(way))
        wanted = math.copysign(min(fastest, braking, abs(way) / period), way)
        change = wanted - self._target_velocity
        most = acceleration * period
        self._target_velocity += max(-most, min(most, change))
        self._target += self._target_velocity * period

    # What it watches.

    def _measure(self) -> None:
        """Set the registers that tell of the present."""
        current = self._torque / self.model.torque_constant
        speed = round(self._sign * self.velocity / units.VELOCITY)
        self.set(reg.PRESENT_POSITION, self._ticks() - 4096 * self._turns)
        self.set(reg.PRESENT_VELOCITY, speed)
        self.set(reg.PRESENT_CURRENT, round(self._sign * current / self.model.current_unit))
        self.set(reg.MOVING, int(abs(speed) > self.get(reg.MOVING_THRESHOLD)))
        self.set(reg.REALTIME_TICK, int(self._uptime * 1000) % 32768)
        self.set(reg.PRESENT_INPUT_VOLTAGE, max(0, round(self.supply * 10)))
        self.set(reg.PRESENT_TEMPERATURE, max(0, min(255, round(self.temperature))))

    def _ticks(self) -> int:
        """Return the position with all turns."""
        return round(self._sign * self.angle / units.POSITION) + self.get(reg.HOMING_OFFSET)

    def _watch_bus(self) -> None:
        allowed = self.get(reg.BUS_WATCHDOG)
        is_armed = allowed > 0 and self.get(reg.TORQUE_ENABLE)
        if is_armed and self._silence > allowed * units.WATCHDOG:
            self.set(reg.BUS_WATCHDOG, -1)
            self._target, self._target_velocity = self.angle, 0.0
            for goal in (reg.GOAL_CURRENT, reg.GOAL_PWM, reg.GOAL_VELOCITY):
                if goal is not reg.GOAL_CURRENT or self.get(reg.OPERATING_MODE) == Mode.CURRENT:
                    self.set(goal, 0)

    def _watch_itself(self, period: float) -> None:
        is_loaded = abs(self._torque) >= OVERLOAD_SHARE * self.model.stall_torque
        self._loaded_for = self._loaded_for + period if is_loaded else 0.0
        lowest, highest = self.get(reg.MIN_VOLTAGE_LIMIT), self.get(reg.MAX_VOLTAGE_LIMIT)
        if self._loaded_for > OVERLOAD_AFTER:
            self.fail(reg.OVERLOAD_BIT)
        if self.temperature > self.get(reg.TEMPERATURE_LIMIT):
            self.fail(reg.OVERHEATING_BIT)
        if not lowest <= round(self.supply * 10) <= highest:
            self.fail(reg.VOLTAGE_BIT)

    def _forget_turns(self) -> None:
        """Count positions from within one turn."""
        self._turns = self._ticks() // 4096

    def _power_up(self) -> None:
        for register in reg.REGISTERS:
            if not register.is_eeprom:
                self.set(register, self.model.default(register))
        self.set(reg.GOAL_CURRENT, self.get(reg.CURRENT_LIMIT))
        self._uptime = self._silence = self._loaded_for = self._torque = 0.0
        self._target, self._target_velocity = self.angle, 0.0
        self._forget_turns()
        self._measure()
        self.set(reg.GOAL_POSITION, self.get(reg.PRESENT_POSITION))


def _registers_at(places: list[int], data: bytes) -> Iterator[tuple[Register, int]]:
    """Return the registers that a block fills and their values.

    Raises LookupError with the status error: no register there, or only a part of one.
    """
    at = 0
    while at < len(places):
        register = _BY_ADDRESS.get(places[at])
        if register is None:
            raise LookupError(StatusError.ACCESS)
        span = places[at : at + register.size]
        if span != list(range(register.address, register.end)):
            raise LookupError(StatusError.DATA_LENGTH)
        yield register, register.decode(data[at : at + register.size])
        at += register.size
