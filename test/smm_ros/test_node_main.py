"""How a node's process ends, with a small node in a process of its own."""

import signal
import subprocess
import sys
import time

import pytest

NODE = """
import sys
from rclpy.node import Node
from std_msgs.msg import String
from smm_ros.node_main import NodeDone, NodeError, run

class Small(Node):
    def __init__(self):
        super().__init__("small")
        if sys.argv[1] == "stillborn":
            raise NodeError("no such hand")
        self.out = self.create_publisher(String, "out", 1)
        self.create_timer(0.05, self.act)
        print("up", flush=True)

    def act(self):
        if sys.argv[1] == "done":
            raise NodeDone
        if sys.argv[1] == "fault":
            raise NodeError("the cable is out")
        if sys.argv[1] == "expected":
            raise OSError("no space left")
        if sys.argv[1] == "bug":
            raise RuntimeError("never thought of")

    def close(self):
        self.out.publish(String(data="bye"))
        print("closed", flush=True)

sys.exit(run(Small, [], expected=(OSError,)))
"""


def start(how: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", NODE, how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("how", "status", "error"),
    [
        ("done", 0, ""),
        ("fault", 1, "error: the cable is out\n"),
        ("expected", 1, "error: no space left\n"),
    ],
)
def test_node_closes_and_says_in_one_line_what_went_wrong(ros_environment, how, status, error):
    process = start(how)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (status, error)
    assert out == "up\nclosed\n"


def test_error_nobody_expected_closes_and_shows_where_it_comes_from(ros_environment):
    process = start("bug")
    out, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "closed" in out
    assert "Traceback" in err
    assert "never thought of" in err


def test_node_that_can_not_be_made_has_nothing_to_close(ros_environment):
    process = start("stillborn")
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (1, "", "error: no such hand\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_is_a_good_end(ros_environment, number):
    process = start("wait")
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(number)
    begin = time.monotonic()
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "closed\n", "")
    assert time.monotonic() - begin < 2
