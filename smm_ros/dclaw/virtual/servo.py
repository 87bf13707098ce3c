"""One servo as its bus sees it: the control table, its rules, and the motor's control.

Rules are those of the e-manual's pages of the X430 series. Where it is silent the servo does what
is worst for a driver: a goal that was written before torque was switched on is driven to at once.
"""

from __future__ import annotations

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel import units
from smm_ros.dclaw.dynamixel.packets import ALERT, StatusError
from smm_ros.dclaw.dynamixel.registers import Mode, Model, Register
from smm_ros.dclaw.virtual.control_table import ControlTable
from smm_ros.dclaw.virtual.motor_control import MotorControl

AMBIENT, HEATING, COOLING = 30.0, 6.0, 1 / 60
"""Temperature at rest in degrees Celsius, K/s at the stall current, 1/s."""
OVERLOAD_SHARE, OVERLOAD_AFTER = 0.9, 0.5
"""An overload is this share of the stall torque for this time, s."""
OVERLOAD_SPEED = 0.5
"""Faster than that none of these motors has such a torque: a tenth of the no-load speed, rad/s."""

BOOT_TIME = 0.3
"""A servo that was rebooted is silent and limp for this time, s."""
NO_SUPPLY = 6.0
"""Below this voltage a servo is off, V: an estimate, well under all limits."""
EEPROM_TIME = 0.002
"""By how much the answer to a write is later where it goes to the EEPROM, s; an estimate."""
NEW_FIRMWARE = 45
"""The first that starts with torque on, or switches it on at a goal, where it is told to."""
MOST_TICKS = 2**30
"""Farther than that it can not be turned by command: its position has 4 bytes."""
_TORQUE_ON_BY_GOAL, _TORQUE_ON_AT_START = 0x08, 0x01
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
        self.since = 0.0
        """Time since it was last told where its shaft is, s; its clock counts that, too."""
        self.busy = 0.0
        """By how much its answer to the newest write is late, s."""
        self._table = ControlTable()
        self._control = MotorControl(self._table, model)
        self._temperature, self._turns, self._is_off = AMBIENT, 0, False
        self._uptime = self._silence = self._loaded_for = 0.0
        for register in reg.REGISTERS:
            self.set(register, model.default(register))
        self.set(reg.ID, servo_id)
        self.set(reg.FIRMWARE_VERSION, firmware)
        self._power_up()
        self._uptime = BOOT_TIME

    # What a register holds, rules aside.

    def get(self, register: Register) -> int:
        """Return what a register holds."""
        return self._table.get(register)

    def set(self, register: Register, value: int) -> None:
        """Set a register without asking whether a client might."""
        self._table.set(register, value)

    @property
    def is_booting(self) -> bool:
        """Whether it is silent and limp: not long enough after a reboot, or without supply."""
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
        self._silence = self.busy = 0.0

    def read(self, address: int, length: int) -> tuple[int, bytes]:
        """Return the error and the bytes of a block of the table."""
        if length < 1 or address + length > reg.TABLE_SIZE:
            return self.alert | StatusError.ACCESS, b""
        self._measure()
        return self.alert, self._table.block(address, length)

    def write(self, address: int, data: bytes, as_second: bool = False) -> int:
        """Write a block of the table, all of it or nothing; return the error.

        `as_second` is whether its secondary id was called, which leads to no EEPROM.
        """
        try:
            found = self._table.registers(address, data)
        except LookupError as error:
            return self.alert | int(error.args[0])
        is_lasting = any(register.is_eeprom for register, _ in found)
        if is_lasting and as_second:
            return self.alert | StatusError.ACCESS
        for register, value in found:
            if refusal := self._refusal(register, value):
                return self.alert | refusal
        for register, value in found:
            self._take(register, value)
        self.busy = EEPROM_TIME if is_lasting else 0.0
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

    def clear_turns(self) -> int:
        """Count its position from within one turn again; return the error.

        A goal stays as it is: a motor that holds torque turns back to it.
        """
        self._measure()
        if self.get(reg.MOVING):
            return self.alert | StatusError.RESULT_FAIL
        self._forget_turns()
        return self.alert

    # Time.

    def advance(self, angle: float, velocity: float, period: float) -> None:
        """Let time pass (s) and say where the shaft has come to (rad, rad/s)."""
        self.angle, self.velocity, self.since = angle, velocity, 0.0
        if self._watch_supply():
            return
        was_booting = self.is_booting
        self._uptime += period
        self._silence += period
        if was_booting and not self.is_booting:
            self._start()
        load = (self._control.torque / self.model.stall_torque) ** 2
        self._temperature += period * (HEATING * load - COOLING * (self._temperature - AMBIENT))
        self._watch_bus()
        self._watch_itself(period)
        self._control.follow(self._turns, period)

    def skip(self, period: float) -> None:
        """Let time pass in which the shaft stands still and nothing is heard (s)."""
        self._uptime += period
        self._silence += period
        self._watch_bus()

    def turn(self, turns: int) -> None:
        """Count whole turns more, as if somebody had turned its shaft so often.

        Raises:
            ValueError: torque is on, or its position can not count so far.
        """
        if self.get(reg.TORQUE_ENABLE):
            raise ValueError("it holds torque, which nobody turns: switch that off first")
        position = self._ticks() - 4096 * (self._turns - turns)
        if abs(position) > MOST_TICKS:
            most = MOST_TICKS // 4096
            raise ValueError(f"it would count {position // 4096} turns, expected at most {most}")
        self._turns -= turns

    def torque(self) -> float:
        """Return the motor's torque now, N m."""
        return self._control.update(self.angle, self.velocity)

    def fail(self, bit: int) -> None:
        """Raise a hardware error, which switches torque off where SHUTDOWN says so."""
        self.set(reg.HARDWARE_ERROR_STATUS, self.get(reg.HARDWARE_ERROR_STATUS) | 1 << bit)
        if self.get(reg.SHUTDOWN) >> bit & 1:
            self.set(reg.TORQUE_ENABLE, 0)

    # Rules of writing.

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
            self._control.stop(self.angle)
            self._silence = 0.0
        if register in _GOALS and self._has(reg.DRIVE_MODE, _TORQUE_ON_BY_GOAL):
            self._switch_on()

    def _has(self, register: Register, bit: int) -> bool:
        """Return whether a bit that only new firmware knows is set."""
        return self.get(reg.FIRMWARE_VERSION) >= NEW_FIRMWARE and bool(self.get(register) & bit)

    def _switch_on(self) -> None:
        if not (self.get(reg.TORQUE_ENABLE) or self._is_shut_down):
            self._take(reg.TORQUE_ENABLE, 1)

    @property
    def _is_shut_down(self) -> bool:
        return bool(self.get(reg.HARDWARE_ERROR_STATUS) & self.get(reg.SHUTDOWN))

    # What it watches.

    def _measure(self) -> None:
        """Set the registers that tell of the present."""
        sign, current = self._control.sign, self._control.torque / self.model.torque_constant
        speed = round(sign * self.velocity / units.VELOCITY)
        self.set(reg.PRESENT_POSITION, self._ticks() - 4096 * self._turns)
        self.set(reg.PRESENT_VELOCITY, speed)
        self.set(reg.PRESENT_CURRENT, round(sign * current / self.model.current_unit))
        self.set(reg.MOVING, int(abs(speed) > self.get(reg.MOVING_THRESHOLD)))
        self.set(reg.REALTIME_TICK, int((self._uptime + self.since) * 1000) % 32768)
        self.set(reg.PRESENT_INPUT_VOLTAGE, max(0, round(self.supply * 10)))
        self.set(reg.PRESENT_TEMPERATURE, max(0, min(255, round(self.temperature))))

    def _ticks(self) -> int:
        """Return the position with all turns of the shaft."""
        return self._raw_ticks() + self.get(reg.HOMING_OFFSET)

    def _raw_ticks(self) -> int:
        return round(self._control.sign * self.angle / units.POSITION)

    def _watch_supply(self) -> bool:
        """Return whether there is none; it starts anew when there is one again."""
        is_off = self.supply < NO_SUPPLY
        if is_off or self._is_off:
            if is_off != self._is_off:
                self._power_up()
            self._uptime = 0.0
        self._is_off = is_off
        return is_off

    def _watch_bus(self) -> None:
        allowed = self.get(reg.BUS_WATCHDOG)
        is_armed = allowed > 0 and self.get(reg.TORQUE_ENABLE)
        if is_armed and self._silence > allowed * units.WATCHDOG:
            self.set(reg.BUS_WATCHDOG, -1)
            self._control.stop(self.angle)
            for goal in (reg.GOAL_CURRENT, reg.GOAL_PWM, reg.GOAL_VELOCITY):
                if goal is not reg.GOAL_CURRENT or self.get(reg.OPERATING_MODE) == Mode.CURRENT:
                    self.set(goal, 0)

    def _watch_itself(self, period: float) -> None:
        is_slow = abs(self.velocity) < OVERLOAD_SPEED
        is_strong = abs(self._control.torque) >= OVERLOAD_SHARE * self.model.stall_torque
        self._loaded_for = self._loaded_for + period if is_slow and is_strong else 0.0
        lowest, highest = self.get(reg.MIN_VOLTAGE_LIMIT), self.get(reg.MAX_VOLTAGE_LIMIT)
        if self._loaded_for > OVERLOAD_AFTER:
            self.fail(reg.OVERLOAD_BIT)
        if self.temperature > self.get(reg.TEMPERATURE_LIMIT):
            self.fail(reg.OVERHEATING_BIT)
        if not lowest <= round(self.supply * 10) <= highest:
            self.fail(reg.VOLTAGE_BIT)

    def _forget_turns(self) -> None:
        """Count positions from within one turn, to which the homing offset is added."""
        self._turns = self._raw_ticks() // 4096

    def _power_up(self) -> None:
        for register in reg.REGISTERS:
            if not register.is_eeprom:
                self.set(register, self.model.default(register))
        self.set(reg.GOAL_CURRENT, self.get(reg.CURRENT_LIMIT))
        self._uptime = self._silence = self._loaded_for = self._control.torque = 0.0
        self._control.stop(self.angle)
        self._forget_turns()
        self._measure()
        self.set(reg.GOAL_POSITION, self.get(reg.PRESENT_POSITION))

    def _start(self) -> None:
        """Do what is done once when a reboot is over."""
        if self._has(reg.STARTUP_CONFIGURATION, _TORQUE_ON_AT_START):
            self._switch_on()
