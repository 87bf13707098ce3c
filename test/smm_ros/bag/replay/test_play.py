"""`smm bag play` as a command: its errors, its keys, and how it ends."""

import os
import signal
import subprocess
import sys
import time

import pytest
from rclpy.qos import HistoryPolicy, QoSProfile
from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from smm_ros.bag.mcap_file import Topic
from smm_ros.bag.replay.play import main
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter

HEADERS = installed_topic("/headers", "std_msgs/msg/Header")
FOREIGN = Topic("/foreign", "absent_msgs/msg/Thing", "int32 x", "RIHS01_00", HEADERS.offered_qos)
EVERYTHING = QoSProfile(history=HistoryPolicy.KEEP_ALL)


@pytest.fixture
def bag(tmp_path):
    """Return a function that makes a bag of so many messages, 10 ms apart."""

    def make(count, topic=HEADERS):
        folder = tmp_path / f"{topic.name[1:]}_{count}"
        writer = BagWriter(folder, [topic])
        for number in range(count):
            writer.write(topic.name, number * 10**7, serialize_message(Header(frame_id="x" * 8)))
        writer.close()
        return folder

    return make


class Playing:
    """The command as a process; what it prints is in a file."""

    def __init__(self, ros, log, words, stdin):
        self.ros, self.log = ros, log
        command = [sys.executable, "-m", "smm_ros.bag.replay.play", *map(str, words)]
        if stdin is not subprocess.DEVNULL:  # its terminal, as a shell would give it
            command = ["setsid", "--ctty", *command]
        with log.open("wb") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=file, stdin=stdin)

    @property
    def said(self):
        return self.log.read_text()

    def wait_for(self, text):
        """Take in what is played until a text was printed."""
        self.ros.wait_for(lambda: text in self.said or self.process.poll() is not None, what=text)
        assert text in self.said
        self.ros.spin(0.3)

    def status(self):
        self.ros.wait_for(lambda: self.process.poll() is not None, what="the end of playing")
        return self.process.returncode


@pytest.fixture
def play(ros, tmp_path):
    """Return a function that starts the command; what is still running is killed in the end."""
    started = []

    def start(*words, stdin=subprocess.DEVNULL):
        started.append(Playing(ros, tmp_path / f"{len(started)}.log", words, stdin))
        return started[-1]

    yield start
    for playing in started:
        playing.process.kill()
        playing.process.wait()
        print(playing.said)


@pytest.fixture
def heard(ros):
    """Return a list that fills with the messages."""
    messages = []
    ros.node.create_subscription(Header, HEADERS.name, messages.append, EVERYTHING, raw=True)
    return messages


def test_without_anything_to_play_it_says_why(bag, ros_environment, capsys, tmp_path):
    known = bag(5)
    for words, reason in (
        ([bag(5, FOREIGN)], "none of the topics can be played"),
        ([bag(0)], "there is no message in"),
        ([tmp_path / "absent"], "no bag at"),
        ([known, "--topics", "/nothing"], "no topic '/nothing' in the bag, which has /headers"),
        ([known, "--exclude", "/headers"], "no topic is left"),
        ([known, "--remap", "/headers"], "expected OLD:=NEW"),
        ([known, "--remap", "/headers:=/a b"], "'/a b' is no name of a topic"),
        ([known, "--wait", "0.6"], "nobody subscribed to /headers within 0.6 s"),
    ):
        assert main([str(word) for word in words]) == 1
        assert reason in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["bag", "--nothing"], ["bag", "--rate", "fast"]])
def test_a_wrong_command_line_is_status_2(words):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2


def test_a_setting_out_of_range_is_an_error(capsys):
    assert main(["bag", "--rate", "-1"]) == 1
    assert "rate is -1.0, expected at least 0.0" in capsys.readouterr().err


def test_played_to_the_end_it_is_status_0_and_what_was_played_has_arrived(bag, play, heard):
    playing = play(bag(100), "--wait", 20)
    assert playing.status() == 0
    playing.ros.spin(0.1)
    assert len(heard) == 100
    assert "played 100 messages" in playing.said


def test_a_slow_subscriber_that_keeps_all_loses_nothing_at_full_speed(bag, play, heard):
    """Fast DDS takes 5000 messages for it, then the player has to wait."""
    deep = installed_topic(HEADERS.name, HEADERS.type, depth=100)
    playing = play(bag(6000, deep), "--rate", 0, "--wait", 20)
    playing.ros.wait_for(lambda: heard, what="the first message")
    time.sleep(2.0)
    playing.ros.wait_for(lambda: len(heard) == 6000, what="all messages")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_what_was_played(bag, play, heard, number, status):
    playing = play(bag(2000), "--wait", 20)
    playing.ros.wait_for(lambda: len(heard) > 20, what="messages")
    playing.process.send_signal(number)
    assert playing.status() == status
    playing.ros.spin(0.3)
    if number == signal.SIGINT:
        assert f"played {len(heard)} messages" in playing.said
    assert len(heard) < 2000
    assert "Traceback" not in playing.said


def test_keys_hold_it_step_it_and_let_it_go_on(bag, play, heard):
    terminal, end = os.openpty()
    playing = play(bag(300), "--wait", 20, "--start_paused", stdin=end)
    os.close(end)
    ros = playing.ros
    playing.wait_for("space: hold")
    assert heard == []
    for count in (1, 2):
        os.write(terminal, b"s")
        ros.wait_for(lambda count=count: len(heard) == count, what="a step")
    os.write(terminal, b" ")
    ros.wait_for(lambda: len(heard) > 20, what="messages")
    os.write(terminal, b" ")
    ros.spin(0.3)
    held = len(heard)
    ros.spin(0.3)
    assert len(heard) == held < 300
    os.write(terminal, b" ")
    playing.wait_for("played 300 messages")
    assert len(heard) == 300
    os.close(terminal)
