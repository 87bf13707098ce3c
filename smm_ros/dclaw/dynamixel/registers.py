"""The control table of XM430 and XH430 servos as data: where each value lies and what it may be.

Values here are the servo's own integers ("ticks"); units are given for reading them. Source:
ROBOTIS e-manual, control tables of XM430-W210 and XH430-V210 (docs/en/dxl/x).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

EEPROM_END = 64
"""Registers below this address outlast power, and are writable with torque off alone."""


@dataclass(frozen=True)
class Register:
    """One value of the control table."""

    name: str
    address: int
    size: int
    """Bytes, little endian."""
    default: int = 0
    """After power-up or, in the EEPROM, from the factory; a model may have another."""
    low: int = 0
    high: int = 0
    """Values that the servo takes; none may be written where both are 0."""
    signed: bool = False
    """Two's complement."""

    @property
    def is_eeprom(self) -> bool:
        """Whether it keeps its value without power."""
        return self.address < EEPROM_END

    @property
    def is_writable(self) -> bool:
        """Whether a client may write it."""
        return self.low < self.high

    @property
    def end(self) -> int:
        """First address after it."""
        return self.address + self.size

    def encode(self, value: int) -> bytes:
        """Return the value's bytes as they go over the wire; raises ValueError if they can not."""
        try:
            return int(value).to_bytes(self.size, "little", signed=self.signed)
        except OverflowError:
            kind = "a signed" if self.signed else "an unsigned"
            raise ValueError(
                f"{self.name} is {kind} number of {self.size} bytes, got {value}"
            ) from None

    def decode(self, data: bytes) -> int:
        """Return the value of bytes from the wire; raises ValueError if they are not its size."""
        if len(data) != self.size:
            raise ValueError(f"{self.name} has {self.size} bytes, got {len(data)}")
        return int.from_bytes(data, "little", signed=self.signed)


_GAIN, _PROFILE, _POSITION = 16383, 32767, 1_048_575
_HOMING = 1_044_479
_INT16 = 32767

MODEL_NUMBER = Register("model_number", 0, 2)
MODEL_INFORMATION = Register("model_information", 2, 4)
FIRMWARE_VERSION = Register("firmware_version", 6, 1)
ID = Register("id", 7, 1, default=1, high=252)
BAUD_RATE = Register("baud_rate", 8, 1, default=1, high=7)
"""An index of BAUD_RATES."""
RETURN_DELAY_TIME = Register("return_delay_time", 9, 1, default=250, high=254)
"""Unit 2 us."""
DRIVE_MODE = Register("drive_mode", 10, 1, high=13)
"""Bit 0: reverse; bit 2: profiles by time; bit 3: torque on by a goal."""
OPERATING_MODE = Register("operating_mode", 11, 1, default=3, high=16)
SECONDARY_ID = Register("secondary_id", 12, 1, default=255, high=255)
PROTOCOL_TYPE = Register("protocol_type", 13, 1, default=2, low=1, high=2)
HOMING_OFFSET = Register("homing_offset", 20, 4, low=-_HOMING, high=_HOMING, signed=True)
MOVING_THRESHOLD = Register("moving_threshold", 24, 4, default=10, high=1023)
TEMPERATURE_LIMIT = Register("temperature_limit", 31, 1, default=80, high=100)
"""Degrees Celsius."""
MAX_VOLTAGE_LIMIT = Register("max_voltage_limit", 32, 2, default=160, low=95, high=300)
"""Unit 0.1 V."""
MIN_VOLTAGE_LIMIT = Register("min_voltage_limit", 34, 2, default=95, low=95, high=300)
PWM_LIMIT = Register("pwm_limit", 36, 2, default=885, high=885)
CURRENT_LIMIT = Register("current_limit", 38, 2, default=1193, high=1193)
"""Unit: the model's."""
ACCELERATION_LIMIT = Register("acceleration_limit", 40, 4, default=_PROFILE, high=_PROFILE)
VELOCITY_LIMIT = Register("velocity_limit", 44, 4, default=330, high=1023)
"""Unit 0.229 rev/min, as all velocities."""
MAX_POSITION_LIMIT = Register("max_position_limit", 48, 4, default=4095, high=4095)
"""Unit 1/4096 revolution, as all positions."""
MIN_POSITION_LIMIT = Register("min_position_limit", 52, 4, high=4095)
STARTUP_CONFIGURATION = Register("startup_configuration", 60, 1, high=3)
SHUTDOWN = Register("shutdown", 63, 1, default=52, high=63)
"""Bits of hardware_error_status that switch torque off."""

TORQUE_ENABLE = Register("torque_enable", 64, 1, high=1)
LED = Register("led", 65, 1, high=1)
STATUS_RETURN_LEVEL = Register("status_return_level", 68, 1, default=2, high=2)
REGISTERED_INSTRUCTION = Register("registered_instruction", 69, 1)
HARDWARE_ERROR_STATUS = Register("hardware_error_status", 70, 1)
VELOCITY_I_GAIN = Register("velocity_i_gain", 76, 2, default=1920, high=_GAIN)
VELOCITY_P_GAIN = Register("velocity_p_gain", 78, 2, default=100, high=_GAIN)
POSITION_D_GAIN = Register("position_d_gain", 80, 2, high=_GAIN)
POSITION_I_GAIN = Register("position_i_gain", 82, 2, high=_GAIN)
POSITION_P_GAIN = Register("position_p_gain", 84, 2, default=800, high=_GAIN)
FEEDFORWARD_2ND_GAIN = Register("feedforward_2nd_gain", 88, 2, high=_GAIN)
FEEDFORWARD_1ST_GAIN = Register("feedforward_1st_gain", 90, 2, high=_GAIN)
BUS_WATCHDOG = Register("bus_watchdog", 98, 1, high=127, signed=True)
"""Unit 20 ms; 0 is off and clears a trip, -1 has tripped."""
GOAL_PWM = Register("goal_pwm", 100, 2, low=-885, high=885, signed=True)
GOAL_CURRENT = Register("goal_current", 102, 2, low=-_INT16, high=_INT16, signed=True)
GOAL_VELOCITY = Register("goal_velocity", 104, 4, low=-1023, high=1023, signed=True)
PROFILE_ACCELERATION = Register("profile_acceleration", 108, 4, high=_PROFILE)
"""Unit 214.577 rev/min^2; 0 is without bound."""
PROFILE_VELOCITY = Register("profile_velocity", 112, 4, high=_PROFILE)
GOAL_POSITION = Register("goal_position", 116, 4, low=-_POSITION, high=_POSITION, signed=True)
REALTIME_TICK = Register("realtime_tick", 120, 2)
"""ms, from 0 to 32767 and round again."""
MOVING = Register("moving", 122, 1)
MOVING_STATUS = Register("moving_status", 123, 1)
PRESENT_PWM = Register("present_pwm", 124, 2, signed=True)
PRESENT_CURRENT = Register("present_current", 126, 2, signed=True)
PRESENT_VELOCITY = Register("present_velocity", 128, 4, signed=True)
PRESENT_POSITION = Register("present_position", 132, 4, signed=True)
VELOCITY_TRAJECTORY = Register("velocity_trajectory", 136, 4, signed=True)
POSITION_TRAJECTORY = Register("position_trajectory", 140, 4, signed=True)
PRESENT_INPUT_VOLTAGE = Register("present_input_voltage", 144, 2)
"""Unit 0.1 V."""
PRESENT_TEMPERATURE = Register("present_temperature", 146, 1)
"""Degrees Celsius."""

INDIRECT_LOW, INDIRECT_HIGH = 64, 661
"""Addresses that an indirect address may point to."""


def _indirect(first: int, pointers: int, data: int) -> Iterator[tuple[Register, Register]]:
    for i in range(28):
        name, at = f"{first + i}", data + i
        yield (
            Register(
                f"indirect_address_{name}", pointers + 2 * i, 2, at, INDIRECT_LOW, INDIRECT_HIGH
            ),
            Register(f"indirect_data_{name}", at, 1, high=255),
        )


INDIRECT = (*_indirect(1, 168, 224), *_indirect(29, 578, 634))
"""Pairs of an indirect address and the data that is read and written through it."""

REGISTERS = (
    *(value for value in list(globals().values()) if isinstance(value, Register)),
    *(register for pair in INDIRECT for register in pair),
)
"""All registers, the indirect ones last."""

TABLE_SIZE = 662

BAUD_RATES = (9_600, 57_600, 115_200, 1_000_000, 2_000_000, 3_000_000, 4_000_000, 4_500_000)
"""bit/s by the value of BAUD_RATE."""

PORT_RATES = BAUD_RATES[:-1]
"""Those that a port here can be opened with: the SDK's leaves the fastest out."""


class Mode:
    """Values of OPERATING_MODE."""

    CURRENT, VELOCITY, POSITION, EXTENDED_POSITION = 0, 1, 3, 4
    CURRENT_BASED_POSITION, PWM = 5, 16
    ALL = (CURRENT, VELOCITY, POSITION, EXTENDED_POSITION, CURRENT_BASED_POSITION, PWM)


HARDWARE_ERRORS = {
    0: "input voltage",
    2: "overheating",
    3: "motor encoder",
    4: "electrical shock",
    5: "overload",
}
"""Bits of HARDWARE_ERROR_STATUS; the others are unused in these series."""

VOLTAGE_BIT, OVERHEATING_BIT, ENCODER_BIT, SHOCK_BIT, OVERLOAD_BIT = HARDWARE_ERRORS


def hardware_errors(status: int) -> tuple[str, ...]:
    """Return the names of the errors in a HARDWARE_ERROR_STATUS, unknown bits as 'bit N'."""
    bits = (bit for bit in range(8) if status >> bit & 1)
    return tuple(HARDWARE_ERRORS.get(bit, f"bit {bit}") for bit in bits)


@dataclass(frozen=True)
class Model:
    """What differs from model to model."""

    number: int
    name: str
    current_unit: float
    """Unit of currents, A."""
    current_limit: int
    """Largest and factory value of CURRENT_LIMIT."""
    velocity_limit: int
    """Factory value of VELOCITY_LIMIT."""
    max_voltage: int
    min_voltage: int
    """Factory values of the voltage limits, 0.1 V."""
    position_p_gain: int
    """Value of POSITION_P_GAIN after power-up."""
    stall_torque: float
    """N m, at the recommended voltage."""
    stall_current: float
    """A, there."""

    @property
    def torque_constant(self) -> float:
        """Torque of a current, N m/A: what it is at stall, which is but an estimate elsewhere."""
        return self.stall_torque / self.stall_current

    def default(self, register: Register) -> int:
        """Return a register's value from the factory or after power-up."""
        own = {
            MODEL_NUMBER: self.number,
            CURRENT_LIMIT: self.current_limit,
            GOAL_CURRENT: self.current_limit,
            VELOCITY_LIMIT: self.velocity_limit,
            MAX_VOLTAGE_LIMIT: self.max_voltage,
            MIN_VOLTAGE_LIMIT: self.min_voltage,
            POSITION_P_GAIN: self.position_p_gain,
        }
        return own.get(register, register.default)


MODELS = {
    model.number: model
    for model in (
        Model(1000, "XH430-W350", 2.69e-3, 648, 130, 160, 95, 900, 3.4, 1.3),
        Model(1010, "XH430-W210", 2.69e-3, 648, 360, 160, 95, 900, 2.5, 1.3),
        Model(1020, "XM430-W350", 2.69e-3, 1193, 350, 160, 95, 800, 4.1, 2.3),
        Model(1030, "XM430-W210", 2.69e-3, 1193, 330, 160, 95, 800, 3.0, 2.3),
        Model(1040, "XH430-V350", 1.34e-3, 689, 285, 300, 110, 800, 3.3, 0.7),
        Model(1050, "XH430-V210", 1.34e-3, 689, 380, 300, 110, 800, 2.6, 0.7),
    )
}
"""By model number. Current units and limits, gains and stall torques: e-manual of each model."""


def model_of(number: int) -> Model:
    """Return the model of a number; raises ValueError for one that is not known here."""
    if number not in MODELS:
        known = ", ".join(f"{m.number} ({m.name})" for m in MODELS.values())
        raise ValueError(
            f"model number {number} is not supported: its units are not known; expected {known}"
        )
    return MODELS[number]
