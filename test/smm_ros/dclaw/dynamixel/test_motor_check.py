"""One motor looked over: all that is set wrongly or is wrong is told, and nothing else."""

import pytest

from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.census import Census
from smm_ros.dclaw.dynamixel.cures import cure
from smm_ros.dclaw.dynamixel.findings import Cure, Level
from smm_ros.dclaw.dynamixel.motor_check import (
    EXAMINED,
    check_condition,
    check_settings,
    examine_motor,
)
from smm_ros.dclaw.dynamixel.motors import MotorGroup, MotorSettings

MODEL = reg.MODELS[1030]
KIND = 1030, 45


def well(**changes):
    """Return what a motor that is well set up holds, some registers changed."""
    values = {register: MODEL.default(register) for register in EXAMINED}
    values[reg.RETURN_DELAY_TIME] = 0
    values[reg.PRESENT_INPUT_VOLTAGE], values[reg.PRESENT_TEMPERATURE] = 120, 30
    by_name = {register.name: register for register in EXAMINED}
    return values | {by_name[name]: value for name, value in changes.items()}


def found(values):
    return [*check_settings(12, MODEL, values), *check_condition(12, values)]


def test_a_motor_that_is_well_has_no_findings():
    assert found(well()) == []
    # Limits that the owner, or the driver, has lowered with sense.
    assert found(well(temperature_limit=70, pwm_limit=600, current_limit=186)) == []


@pytest.mark.parametrize(
    ("name", "value", "text", "right"),
    [
        ("return_delay_time", 250, "waits 500 us before it answers", 0),
        ("status_return_level", 1, "does not acknowledge writes", 2),
        ("secondary_id", 30, "obeys what is sent to motor 30, too", 255),
        ("startup_configuration", 1, "may switch torque on by itself at power-up", 0),
        ("startup_configuration", 2, "may switch torque on by itself at power-up", 0),
        ("torque_enable", 1, "has its torque on: a driver was killed, perhaps", 0),
        ("drive_mode", 1, "has drive_mode 1, which calibrations do not know of", 0),
        ("homing_offset", -9, "has homing_offset -9, which calibrations do not know", 0),
        ("shutdown", 0x15, "does not switch off on overload", 0x35),
        ("temperature_limit", 85, "has temperature_limit 85, the maker's is 80", 80),
        ("max_voltage_limit", 300, "has max_voltage_limit 300, the maker's is 160", 160),
        ("min_voltage_limit", 100, "has min_voltage_limit 100, the maker's is 95", 95),
        ("pwm_limit", 442, "has pwm_limit 442, the maker's is 885", 885),
        ("velocity_limit", 100, "has velocity_limit 100, the maker's is 330", 330),
        ("current_limit", 37, "has a current_limit of 0.10 A, too little to move a finger", 186),
    ],
)
def test_what_is_set_wrongly_is_told_with_its_cure(name, value, text, right):
    (one,) = found(well(**{name: value}))
    assert one.text == text
    assert one.level is not Level.FINE
    (remedy,) = one.cures
    assert (remedy.motor, remedy.register.name, remedy.value) == (12, name, right)
    assert found(well(**{name: right})) == []


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("hardware_error_status", 0x21, "reports input voltage, overload"),
        ("present_input_voltage", 105, "gets 10.5 V, its limits are 9.5 and 16.0"),
        ("present_input_voltage", 161, "gets 16.1 V, its limits are 9.5 and 16.0"),
        ("present_temperature", 70, "is at 70 C, its limit is 80"),
    ],
)
def test_what_is_wrong_at_present_is_told_with_what_to_do(name, value, text):
    (one,) = found(well(**{name: value}))
    assert one.text == text
    assert one.remedy
    assert not one.cures


def texts(bus, motor):
    return [one.text for one in examine_motor(bus, motor, KIND)]


def test_a_motor_that_falls_silent_keeps_what_was_found_before(bus, port, monkeypatch):
    servo = port.hand.servo(12)
    servo.set(reg.RETURN_DELAY_TIME, 100)
    read, asked = servo.read, []

    def fall_silent(address, length):
        asked.append(address)
        if address == reg.SHUTDOWN.address:
            port.hand.bus.faults.silent.add(12)
        return read(address, length)

    monkeypatch.setattr(servo, "read", fall_silent)
    bus.margin = 0.01
    told = texts(bus, 12)
    assert "waits 200 us before it answers" in told
    assert "left 10 of 17 questions without an answer" in told


def test_a_model_or_a_firmware_that_can_not_be_driven_is_told(bus):
    assert "is not supported" in examine_motor(bus, 12, (1060, 45))[0].text
    old = [one.text for one in examine_motor(bus, 12, (1030, 37))]
    assert "has firmware 37, without a bus watchdog" in old


BAD = {
    reg.RETURN_DELAY_TIME: 250,
    reg.SECONDARY_ID: 30,
    reg.STARTUP_CONFIGURATION: 3,
    reg.DRIVE_MODE: 4,
    reg.HOMING_OFFSET: 7,
    reg.SHUTDOWN: 0x01,
    reg.CURRENT_LIMIT: 10,
}


def test_what_is_cured_the_driver_leaves_as_it_is(bus, port):
    for register, value in BAD.items():
        port.hand.servo(12).set(register, value)
    cures = [one for finding in examine_motor(bus, 12, KIND) for one in finding.cures]
    assert {one.register for one in cures} == set(BAD)
    bus.close()
    done = list(cure(port.path, Census({1_000_000: {12: KIND}}), cures))
    assert [trouble for _, trouble in done] == [""] * len(BAD)
    again = type(bus)(port.path, 1_000_000, margin=bus.margin)
    group = MotorGroup(again, [12], MotorSettings())
    group.check()
    assert {line.split()[2] for line in group.configure()} == {reg.OPERATING_MODE.name}
    again.close()


def test_what_the_driver_has_set_up_is_well(bus, port):
    for register, value in BAD.items():
        port.hand.servo(12).set(register, value)
    group = MotorGroup(bus, [12], MotorSettings())
    group.check()
    group.configure()
    assert texts(bus, 12) == ["XM430-W210, firmware 45"]


def test_a_motor_that_refuses_its_cure_does_not_keep_the_others_from_theirs(port):
    census = Census({1_000_000: {11: KIND, 12: KIND}})
    cures = [Cure(i, reg.TEMPERATURE_LIMIT, v) for i, v in ((11, 101), (12, 70))]
    done = dict(cure(port.path, census, cures))
    assert "motor 11 refuses temperature_limit 101: data range error" in done[cures[0]]
    assert done[cures[1]] == ""
    assert port.hand.servo(12).get(reg.TEMPERATURE_LIMIT) == 70
