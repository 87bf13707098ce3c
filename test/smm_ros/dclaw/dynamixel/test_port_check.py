"""A port that can not be used is told with what to do about it."""

import fcntl
import os

import pytest

from smm_ros.dclaw.dynamixel import port_check
from smm_ros.dclaw.dynamixel.bus_errors import PortError
from smm_ros.dclaw.dynamixel.port_check import check_port


@pytest.fixture(name="terminal")
def open_terminal():
    master, slave = os.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


def test_a_port_that_is_there_and_free_is_fine(terminal):
    check_port(terminal)
    check_port(terminal)


def test_of_a_port_that_is_not_there_the_others_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(port_check, "DEVICES", tmp_path)
    with pytest.raises(PortError, match=r"no port .*none; no USB adapter is there .*plug it in"):
        check_port(str(tmp_path / "none"))
    (tmp_path / "ttyUSB3").touch()
    (tmp_path / "ttyS0").touch()
    with pytest.raises(PortError, match=r"there are [^ ]*/ttyUSB3$"):
        check_port(str(tmp_path / "none"))


def test_a_file_is_no_port(tmp_path):
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(PortError, match="file is no serial port"):
        check_port(str(path))


def test_a_port_that_another_program_has_is_busy(terminal):
    other = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(PortError, match="is in use by another program"):
        check_port(terminal)
    os.close(other)
    check_port(terminal)


def test_a_port_that_may_not_be_used_names_the_group(terminal, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PortError, match=r"you may not use .*: sudo usermod -aG \w+ \$USER"):
        check_port(terminal)
