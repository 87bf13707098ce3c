"""`smm doctor` on hands that are well, new, or ill."""

import pytest

from smm_ros import doctor
from smm_ros.dclaw.dynamixel import examination
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.virtual.hand import FACTORY, VirtualHand, VirtualHandConfig
from smm_ros.dclaw.virtual.port import VirtualPort

SLOW = ["--rate", "11"]
"""A rate that a busy machine reaches too."""


@pytest.fixture(name="port")
def open_port():
    with VirtualPort(VirtualHand()) as port:
        yield port


def told(capsys, *words):
    """Run the doctor; return its exit status and what it says in one line."""
    status = doctor.main([*map(str, words), *SLOW])
    return status, " ".join(capsys.readouterr().out.split())


def test_a_hand_that_is_well_is_told_so(port, capsys):
    status, text = told(capsys, port.path)
    assert status == 0
    assert "all 10 motors are there" in text
    assert "XH430-V210, firmware 45" in text
    assert "sync read: " in text
    assert "error" not in text


def test_a_new_hand_is_found_and_set_up_with_fix(capsys):
    with VirtualPort(VirtualHand(FACTORY)) as port:
        status, text = told(capsys, port.path)
        assert status == 1
        assert "speaks at 57600 bit/s, not at 1000000 set the baud rate to 1000000" in text
        assert "answers 500 us late set return_delay_time to 0" in text
        assert [s.get(reg.BAUD_RATE) for s in port.hand.servos] == [1] * 10  # nothing is written
        port.hand.bus.usb_latency = 0.001
        status, text = told(capsys, port.path, "--fix")
        assert status == 0
        assert [s.get(reg.BAUD_RATE) for s in port.hand.servos] == [3] * 10
        assert [s.get(reg.RETURN_DELAY_TIME) for s in port.hand.servos] == [0] * 10
        assert "set motor 50: baud_rate 3 once more:" in text


def change(port, motor, register, value):
    port.hand.servo(motor).set(register, value)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda p: p.command("silent 21"), "error no answer of motor 21 check its plug"),
        (lambda p: change(p, 12, reg.ID, 11), "motor 11: is there twice, or its cable is bad"),
        (lambda p: change(p, 12, reg.ID, 99), "warning motor 99 is none of this hand"),
        (lambda p: change(p, 12, reg.MODEL_NUMBER, 1060), "12: model number 1060 is not supp"),
        (lambda p: change(p, 12, reg.FIRMWARE_VERSION, 37), "motor 12: has firmware 37, without"),
        (lambda p: change(p, 12, reg.SHUTDOWN, 0x14), "motor 12: does not switch off on overload"),
        (lambda p: change(p, 12, reg.DRIVE_MODE, 1), "warning motor 12: has drive_mode 1"),
        (lambda p: change(p, 12, reg.TEMPERATURE_LIMIT, 95), "has temperature_limit 95, the mak"),
        (lambda p: p.command("overload 12"), "error motor 12: reports overload find out why"),
        (lambda p: p.command("supply 11.5"), "warning motor 10, 11, 12, 20"),
        (lambda p: p.command("heat 12 45"), "warning motor 12: is at 75 C, its limit is 80"),
        (lambda p: change(p, 12, reg.STATUS_RETURN_LEVEL, 1), "12: does not acknowledge writes"),
    ],
)
def test_what_is_wrong_is_told(port, capsys, harm, message):
    harm(port)
    assert message in told(capsys, port.path)[1]


def test_what_is_set_wrongly_is_set_with_torque_off(port, capsys):
    change(port, 12, reg.SHUTDOWN, 0x01)
    change(port, 12, reg.TORQUE_ENABLE, 1)
    assert told(capsys, port.path, "--fix")[0] == 0
    assert port.hand.servo(12).get(reg.SHUTDOWN) == 0x35
    assert port.hand.servo(12).get(reg.TORQUE_ENABLE) == 0


def test_a_rate_that_can_not_be_kept_is_an_error(capsys):
    with VirtualPort(VirtualHand(VirtualHandConfig(usb_latency=0.016))) as port:
        status = doctor.main([port.path, "--rate", "100"])
        assert status == 1
        assert "100 Hz can not be kept" in capsys.readouterr().out


def test_a_latency_timer_is_looked_at(port, capsys, monkeypatch, tmp_path):
    name = port.path.rpartition("/")[2]
    (tmp_path / name).mkdir()
    (tmp_path / name / "latency_timer").write_text("16\n")
    monkeypatch.setattr(examination, "USB_SERIAL", tmp_path)
    status, text = told(capsys, port.path)
    assert status == 1
    assert "the latency timer of" in text
    assert "is 16 ms" in text
    assert "sudo tee" in text
    (tmp_path / name / "latency_timer").write_text("1\n")
    assert told(capsys, port.path)[0] == 0


def test_ports_that_are_none_are_an_error_in_one_line(capsys):
    status, text = told(capsys, "/dev/none")
    assert status == 1
    assert "error: /dev/none can not be opened" in text
