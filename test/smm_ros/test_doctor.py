"""`smm doctor` on hands that are well, new, or ill."""

import pytest

from smm_ros import doctor
from smm_ros.dclaw.dynamixel import cures, duplicates, examination, serial_port
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.dynamixel.bus_errors import PortError
from smm_ros.dclaw.virtual.hand import FACTORY, VirtualHand, VirtualHandConfig
from smm_ros.dclaw.virtual.port import VirtualPort

SLOW = ["--rate", "11"]
"""A rate that a busy machine reaches too."""


@pytest.fixture(autouse=True)
def be_quick(monkeypatch):
    """Look at one speed, at each id twice: a patient doctor takes ten seconds."""
    look_at(monkeypatch, 1_000_000)
    monkeypatch.setattr(duplicates, "CALLS", 2)
    monkeypatch.setattr(examination, "ROUNDS", 20)
    monkeypatch.setattr(examination, "MISSED", 0.5)  # this machine may be busy


def look_at(monkeypatch, *speeds):
    monkeypatch.setattr(reg, "PORT_RATES", speeds)


@pytest.fixture(name="port")
def open_port():
    with VirtualPort(VirtualHand()) as port:
        yield port


def told(capsys, *words):
    """Run the doctor; return its exit status and what it says in one line."""
    status = doctor.main([*map(str, words), *SLOW])
    return status, " ".join(capsys.readouterr().out.split())


def change(port, motor, register, value):
    port.hand.servo(motor).set(register, value)


def held(port, register):
    return [servo.get(register) for servo in port.hand.servos]


def eeprom(port):
    return [held(port, register) for register in reg.REGISTERS if register.is_eeprom]


def test_a_hand_that_is_well_is_told_so(port, capsys):
    status, text = told(capsys, port.path)
    assert status == 0
    assert "all 10 motors are there" in text
    assert "every motor: XH430-V210, firmware 45" in text
    assert "Hz can be kept" in text
    assert text.endswith("nothing is wrong with the hand")


def test_a_new_hand_is_found_and_set_up_with_fix(capsys, monkeypatch):
    look_at(monkeypatch, 57_600, 1_000_000)
    with VirtualPort(VirtualHand(FACTORY)) as port:
        port.hand.bus.usb_latency = 0.001
        before = eeprom(port)
        status, text = told(capsys, port.path)
        assert status == 1
        assert "10 motors at 57600 bit/s" in text
        assert "at 57600 bit/s, not at 1000000 with --fix: set the baud rate to 1000000" in text
        assert "waits 500 us before it answers with --fix: set return_delay_time to 0" in text
        assert "2 errors, 1 warning; --fix switches torque off and sets what it can" in text
        assert eeprom(port) == before
        status, text = told(capsys, port.path, "--fix")
        assert status == 0
        assert held(port, reg.BAUD_RATE) == [3] * 10
        assert held(port, reg.RETURN_DELAY_TIME) == [0] * 10
        assert "set every motor: return_delay_time = 0" in text
        assert "set every motor: baud_rate = 1000000 once more:" in text


def test_motors_at_several_speeds_are_brought_to_one(port, capsys, monkeypatch):
    look_at(monkeypatch, 57_600, 1_000_000, 2_000_000)
    change(port, 12, reg.BAUD_RATE, 1)
    change(port, 50, reg.BAUD_RATE, 4)
    status, text = told(capsys, port.path, "--fix")
    assert status == 0
    assert "8 motors at 1000000 bit/s" in text
    assert "motor 12: speaks at 57600 bit/s" in text
    assert "motor 50: speaks at 2000000 bit/s" in text
    assert held(port, reg.BAUD_RATE) == [3] * 10


def test_an_id_at_two_speeds_is_that_of_two_motors_and_neither_is_set(port, capsys, monkeypatch):
    look_at(monkeypatch, 57_600, 1_000_000)
    change(port, 12, reg.ID, 11)
    change(port, 11, reg.BAUD_RATE, 1)
    before = eeprom(port)
    status, text = told(capsys, port.path, "--fix")
    assert status == 1
    assert "motor 11: answers at 57600, 1000000 bit/s: two motors have this id" in text
    assert "no answer of motor 12" in text
    assert eeprom(port) == before


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda p: p.command("silent 21"), "error no answer of motor 21 by hand: check its plug"),
        (lambda p: p.command("cut 32 50"), "motor 32, 50 by hand: check their plugs, that of"),
        (lambda p: p.command("unplug"), "error no motor answers, at any speed by hand: switch"),
        (lambda p: change(p, 12, reg.ID, 99), "warning motor 99 is none of this hand"),
        (lambda p: change(p, 12, reg.MODEL_NUMBER, 1060), "12: model number 1060 is not supp"),
        (lambda p: change(p, 12, reg.DRIVE_MODE, 1), "warning motor 12: has drive_mode 1"),
        (lambda p: p.command("overload 12"), "error motor 12: reports overload by hand: find"),
        (lambda p: p.command("supply 11.5"), "warning every motor: gets 11.5 V"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(port, capsys, harm, message):
    harm(port)
    status, text = told(capsys, port.path)
    assert message in text
    assert status == 1


def test_two_motors_of_one_id_are_told(port, capsys):
    change(port, 12, reg.ID, 11)
    status, text = told(capsys, port.path)
    assert status == 1
    assert "motor 11: " in text
    assert "two motors have this id, or a cable is bad by hand: unplug one of the two" in text


def test_what_is_set_wrongly_is_set_with_torque_off(port, capsys):
    change(port, 12, reg.SHUTDOWN, 0x01)
    change(port, 12, reg.TORQUE_ENABLE, 1)
    assert told(capsys, port.path, "--fix")[0] == 0
    assert port.hand.servo(12).get(reg.SHUTDOWN) == 0x35
    assert port.hand.servo(12).get(reg.TORQUE_ENABLE) == 0


def test_without_fix_nothing_is_written(port, capsys):
    change(port, 12, reg.SHUTDOWN, 0x01)
    change(port, 12, reg.TORQUE_ENABLE, 1)
    before = eeprom(port)
    assert told(capsys, port.path)[0] == 1
    assert eeprom(port) == before
    assert port.hand.servo(12).get(reg.TORQUE_ENABLE) == 1


def test_what_was_found_is_told_also_where_the_port_goes_away(port, capsys, monkeypatch):
    def examine(bus, motor, kind):
        if motor == 21:
            raise PortError("the port is gone")
        return examine_motor(bus, motor, kind)

    examine_motor = examination.examine_motor
    monkeypatch.setattr(examination, "examine_motor", examine)
    change(port, 10, reg.DRIVE_MODE, 1)
    status, text = told(capsys, port.path)
    assert status == 1
    assert "motor 10: has drive_mode 1" in text
    assert text.endswith("error the port is gone")


def test_an_interrupt_in_the_middle_leaves_whole_values_and_torque_off(port, capsys, monkeypatch):
    for motor in (11, 12):
        change(port, motor, reg.RETURN_DELAY_TIME, 100)
        change(port, motor, reg.TORQUE_ENABLE, 1)

    def interrupt(bus, motor):
        if motor == 12:
            raise KeyboardInterrupt
        switch_off(bus, motor)

    switch_off = cures.switch_off
    monkeypatch.setattr(cures, "switch_off", interrupt)
    status, text = told(capsys, port.path, "--fix")
    assert status == 130
    assert "set motor 11: return_delay_time = 0" in text
    assert "interrupted: motors keep what was set so far" in text
    assert held(port, reg.RETURN_DELAY_TIME)[:3] == [0, 0, 100]
    assert held(port, reg.TORQUE_ENABLE) == [0] * 10


def test_an_id_can_be_changed(port, capsys):
    change(port, 12, reg.ID, 1)
    change(port, 12 - 1, reg.TORQUE_ENABLE, 1)
    status, text = told(capsys, port.path, "--set_id", 1, 12)
    assert status == 0
    assert "motor 1 is motor 12 now" in text
    assert held(port, reg.ID) == [10, 11, 12, 20, 21, 22, 30, 31, 32, 50]
    assert port.hand.servo(11).get(reg.TORQUE_ENABLE) == 1  # nobody else is touched


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (13, 14, "there is no motor 13; there are 10, "),
        (10, 12, "there is a motor 12 already"),
        (11, 14, "two motors have this id"),
    ],
)
def test_an_id_that_is_not_clear_is_not_changed(port, capsys, old, new, message):
    change(port, 12, reg.ID, 11)
    change(port, 20, reg.ID, 12)
    before = held(port, reg.ID)
    status, text = told(capsys, port.path, "--set_id", old, new)
    assert status == 1
    assert message in text
    assert held(port, reg.ID) == before


def test_a_rate_that_can_not_be_kept_is_an_error(port, capsys):
    assert doctor.main([port.path, "--rate", "1000"]) == 1
    text = capsys.readouterr().out
    assert "Hz can be kept" in text
    assert "1000 Hz are wanted: cure the above, or choose a higher --baud_rate" in text


def test_motors_that_do_not_answer_in_time_are_an_error(capsys):
    with VirtualPort(VirtualHand(VirtualHandConfig(usb_latency=0.016))) as port:
        status, text = told(capsys, port.path)
        assert status == 1
        assert "were not answered by all in time by hand: cure the above" in text


def test_a_latency_timer_is_looked_at(port, capsys, monkeypatch, tmp_path):
    name = port.path.rpartition("/")[2]
    (tmp_path / name).mkdir()
    (tmp_path / name / "latency_timer").write_text("16\n")
    monkeypatch.setattr(serial_port, "USB_SERIAL", tmp_path)
    status, text = told(capsys, port.path)
    assert status == 1
    assert f"error the latency timer of {port.path} is 16 ms" in text
    assert "sudo tee" in text
    (tmp_path / name / "latency_timer").write_text("1\n")
    assert told(capsys, port.path)[0] == 0


def test_a_port_that_is_none_is_an_error_in_one_line(capsys):
    status, text = told(capsys, "/dev/none")
    assert status == 1
    assert text.startswith("error there is no port /dev/none; ")


@pytest.mark.parametrize(
    "words",
    [
        ["--rate", "0"],
        ["--set_id", "1", "253"],
        ["--fix", "--set_id", "1", "2"],
        ["--calibration", "/none.yaml"],
        ["--baud_rate", "4500000"],
    ],
)
def test_wrong_use_is_status_2(words, capsys):
    with pytest.raises(SystemExit) as end:
        doctor.main(["/dev/none", *words])
    assert end.value.code == 2
    assert "smm doctor: error: " in capsys.readouterr().err
