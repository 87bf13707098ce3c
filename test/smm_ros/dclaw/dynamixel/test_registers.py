"""The control table against the maker's own, and numbers as the wire has them."""

from importlib.resources import files

import pytest
from dynamixel_sdk import PortHandler
from hypothesis import given
from hypothesis import strategies as st

from smm_ros.dclaw.dynamixel import registers as reg

SDK_NAMES = {"secondary_id": "secondary_shadow_id"}
"""Where the SDK calls a register otherwise."""


def file_of(model):
    """Return the name of the SDK's table of a model."""
    return model.name.lower().replace("-", "_") + ".model"


def sdk_table(model):
    """Return {name: (address, size)} of a model from the tables that come with the SDK."""
    text = (files("dynamixel_easy_sdk") / "control_table" / file_of(model)).read_text()
    rows = [line.split("\t") for line in text.partition("[control table]")[2].splitlines()]
    rows = [row for row in rows if len(row) == 3 and row[0].isdigit()]
    names = ["".join(c if c.isalnum() else "_" for c in row[2].strip().lower()) for row in rows]
    return {n.strip("_"): (int(r[0]), int(r[1])) for n, r in zip(names, rows, strict=True)}


@pytest.mark.parametrize("model", reg.MODELS.values(), ids=lambda model: model.name)
def test_registers_lie_where_the_sdk_has_them(model):
    theirs = sdk_table(model)
    ours = {SDK_NAMES.get(r.name, r.name): (r.address, r.size) for r in reg.REGISTERS}
    assert theirs.pop("model_number") == ours["model_number"] == (0, 2)
    both = ours.keys() & theirs.keys()
    assert len(both) > 45
    assert {n: ours[n] for n in both} == {n: theirs[n] for n in both}


def test_the_sdk_knows_every_model_by_the_same_number():
    listed = (files("dynamixel_easy_sdk") / "control_table" / "dynamixel.model").read_text()
    theirs = dict(line.split() for line in listed.splitlines()[1:] if line.strip())
    for model in reg.MODELS.values():
        assert theirs[str(model.number)] == file_of(model)


def test_no_two_registers_overlap():
    taken = [a for register in reg.REGISTERS for a in range(register.address, register.end)]
    assert len(taken) == len(set(taken))
    assert max(taken) + 1 == reg.TABLE_SIZE


def test_what_is_measured_lies_in_one_block():
    block = (reg.PRESENT_CURRENT, reg.PRESENT_VELOCITY, reg.PRESENT_POSITION)
    assert [r.address for r in block[1:]] == [r.end for r in block[:-1]]


@given(st.sampled_from(reg.REGISTERS), st.data())
def test_numbers_come_back_from_their_bytes(register, data):
    half = 1 << (8 * register.size - 1)
    low, high = (-half, half - 1) if register.signed else (0, 2 * half - 1)
    value = data.draw(st.integers(low, high))
    assert register.decode(register.encode(value)) == value
    assert len(register.encode(value)) == register.size
    for beyond in (low - 1, high + 1):
        with pytest.raises(ValueError, match=f"{register.name} is .* got {beyond}"):
            register.encode(beyond)


@pytest.mark.parametrize(
    ("register", "value", "data"),
    [
        (reg.GOAL_POSITION, -1, "ff ff ff ff"),
        (reg.GOAL_POSITION, -1_048_575, "01 00 f0 ff"),
        (reg.PRESENT_CURRENT, -32768, "00 80"),
        (reg.PRESENT_CURRENT, 32767, "ff 7f"),
        (reg.PRESENT_POSITION, -(2**31), "00 00 00 80"),
        (reg.BUS_WATCHDOG, -1, "ff"),
    ],
)
def test_negative_numbers_are_twos_complements(register, value, data):
    assert register.encode(value) == bytes.fromhex(data)
    assert register.decode(bytes.fromhex(data)) == value


def test_bytes_of_another_size_are_refused():
    with pytest.raises(ValueError, match="goal_current has 2 bytes, got 3"):
        reg.GOAL_CURRENT.decode(b"abc")


def test_factory_values_are_values_that_the_servo_takes():
    for model in reg.MODELS.values():
        for register in (r for r in reg.REGISTERS if r.is_writable):
            assert register.low <= model.default(register) <= register.high


def test_an_unknown_model_is_refused_by_its_number():
    assert reg.model_of(1030).name == "XM430-W210"
    with pytest.raises(ValueError, match=r"1060 is not supported.*1030 \(XM430-W210\)"):
        reg.model_of(1060)


def test_the_speeds_of_a_port_are_those_that_the_sdk_knows():
    known = [rate for rate in reg.BAUD_RATES if PortHandler("none").getCFlagBaud(rate) == rate]
    assert list(reg.PORT_RATES) == known


def test_currents_have_the_unit_of_the_model():
    assert reg.model_of(1030).current_unit == pytest.approx(2.69e-3)
    assert reg.model_of(1050).current_unit == pytest.approx(1.34e-3)
    assert reg.model_of(1030).current_limit * reg.model_of(1030).current_unit == pytest.approx(
        3.21, abs=0.01
    )


@given(st.integers(0, 255))
def test_every_bit_of_a_hardware_error_has_a_name(status):
    names = reg.hardware_errors(status)
    assert len(names) == bin(status).count("1")
    assert len(set(names)) == len(names)


def test_hardware_errors_are_named():
    assert reg.hardware_errors(0x34) == ("overheating", "electrical shock", "overload")
    assert reg.hardware_errors(0x02) == ("bit 1",)
