"""`smm bag drive` on the twin, and on the real driver over virtual motors."""

import json
import math
import signal
import subprocess
import sys

import numpy as np
import pytest
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from smm_ros import interfaces as names
from smm_ros.bag.replay import drive_session
from smm_ros.bag.replay.drive import main
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.conversions import hand_state_from_msg, stamp_ns, target_to_msg, transition_to_msg
from smm_ros.dclaw import task
from smm_ros.dclaw.dynamixel import registers as reg
from smm_ros.dclaw.mujoco_hand import MujocoHand
from smm_ros.dclaw.spec import CONTROL_PERIOD, RESET_POSE
from smm_ros.dclaw.virtual.hand import VirtualHand
from smm_ros.dclaw.virtual.port import VirtualPort
from smm_ros.records import JointTarget, TransitionRecord

STEPS = 20
VALVE = 0.4
PATIENT = {
    "bus_rate": 50.0,
    "bus_margin": 0.3,
    "blind_for": 1.0,
    "bus_watchdog": 2.0,
    "hold_after": 1.5,
    "limp_after": 3.0,
}
"""The machine may be busy; how short these can be is measured by benchmarks."""
PERIOD_NS = round(CONTROL_PERIOD * 1e9)


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """Return a bag of one episode that the twin has played, fingers swinging above the valve."""
    folder = tmp_path_factory.mktemp("bags") / "run"
    topic = installed_topic("/dclaw/transitions", "smm_ros/msg/Transition")
    writer = BagWriter(folder, [topic])
    for record in played():
        writer.write(topic.name, record.stamp_ns, serialize_message(transition_to_msg(record)))
    writer.close()
    return folder


def played():
    hand = MujocoHand()
    hand.connect()
    hand.enable()
    for _ in hand.reset(VALVE):
        pass
    state = hand.read()
    for step in range(STEPS):
        swing = 0.15 * math.sin(2 * math.pi * step / STEPS) * np.tile([1, 0.3, -1], 3)
        action = task.action_from_target(RESET_POSE + swing, state)
        before = state
        hand.command(task.target_from_action(action, before))
        hand.advance(CONTROL_PERIOD)
        state = hand.read()
        yield TransitionRecord(
            stamp_ns=step * PERIOD_NS,
            hand="dclaw",
            sequence=step,
            episode=7,
            step=step,
            skill=0,
            policy_version=0,
            observation=task.observation(before),
            action=action,
            next_observation=task.observation(state),
            log_p_shaping=0.0,
            terminated=False,
            truncated=step == STEPS - 1,
        )


@pytest.fixture
def hand(ros, start_node):
    """Return a function that starts a hand and returns the states that it shows."""

    def start(**parameters):
        states = ros.collect(JointState, names.JOINT_STATES, names.JOINT_STATES_QOS)
        start_node("hand", **parameters)
        ros.wait_for(lambda: states, what="joint states")
        return states

    return start


class Command:
    """The command as a process; what it prints is in a file."""

    def __init__(self, words, log):
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "smm_ros.bag.replay.drive", *map(str, words)],
                stdout=file,
                stderr=file,
            )

    @property
    def said(self):
        return self.log.read_text()

    @property
    def has_ended(self):
        return self.process.poll() is not None

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)


@pytest.fixture
def drive(ros_environment, tmp_path):
    """Return a function that starts the command; what is still running is killed in the end."""
    started = []

    def start(*words):
        started.append(Command(words, tmp_path / f"drive_{len(started)}.log"))
        return started[-1]

    yield start
    for command in started:
        command.process.kill()
        command.process.wait()
        print(command.said)


def status(ros, command):
    ros.wait_for(lambda: command.has_ended, timeout=60, what="the end of the drive")
    return command.process.returncode


def figures(command):
    return json.loads(command.said.splitlines()[-1])


def pose(states):
    return hand_state_from_msg(states[-1]).joint_position


def test_the_twin_does_again_what_it_did(recorded, hand, drive, ros):
    states = hand(real_time_factor=0.0)
    command = drive(recorded, "--json")
    assert status(ros, command) == 0
    told = figures(command)
    assert (told["episode"], told["commands"], told["ended"]) == (7, STEPS, "")
    assert told["clamped_commands"] == told["late_states"] == 0
    # The same physics from the same state; only what is recorded as float32 differs.
    assert max(told["max_error"].values()) < 1e-4
    assert abs(told["valve_error"]) < 1e-4
    ros.spin(0.3)
    np.testing.assert_allclose(pose(states), RESET_POSE, atol=math.radians(10))


def test_the_driver_does_what_the_twin_did(recorded, hand, drive, ros):
    with VirtualPort(VirtualHand()) as port:
        states = hand(sim=False, port=port.path, **PATIENT)
        command = drive(recorded, "--json")
        assert status(ros, command) == 0
        told = figures(command)
        assert told["commands"] == STEPS
        poses = np.array([record.observation[:9] for record in played()])
        speed = np.abs(np.diff(poses, axis=0)).max() / CONTROL_PERIOD
        # A command goes out and comes back within two cycles of the bus, and the machine may be
        # busy: what is a control period late is off by what a joint moves in that time.
        assert max(told["max_error"].values()) < speed * 2 * CONTROL_PERIOD + math.radians(5)
        np.testing.assert_allclose(pose(states), RESET_POSE, atol=math.radians(10))
        # Nobody commands it any more, so it lets go; nothing is latched.
        ros.wait_for(lambda: not any(torques(port)), what="torque off")
        stopped = ros.collect(Bool, names.STOPPED, names.STOPPED_QOS)
        ros.wait_for(lambda: stopped, what="whether it is stopped")
        assert stopped[-1].data is False


def test_ctrl_c_in_the_reset_cancels_it(recorded, hand, drive, ros):
    with VirtualPort(VirtualHand()) as port:
        hand(sim=False, port=port.path, **PATIENT)
        command = drive(recorded)
        ros.wait_for(lambda: "reset, with" in command.said, what="the reset")
        ros.spin(0.5)
        command.interrupt()
        assert status(ros, command) == 130
        assert "the reset was cancelled, the hand stays where it is" in command.said
        assert "playing" not in command.said
        ros.wait_for(lambda: not any(torques(port)), what="torque off")


def torques(port):
    return [servo.get(reg.TORQUE_ENABLE) for servo in port.hand.servos]


def lead_away(ros, states, target, periods=10):
    """Command a pose until the joints are there, as some other node did before."""
    other = ros.node.create_publisher(
        JointTrajectory, names.JOINT_COMMAND, names.JOINT_COMMAND_QOS
    )
    ros.wait_for(other.get_subscription_count, what="the command topic")
    for _ in range(periods):
        seen = len(states)
        other.publish(target_to_msg(JointTarget(stamp_ns(states[-1]), target)))
        ros.wait_for(lambda seen=seen: len(states) > seen, what="the next state")
    ros.node.destroy_publisher(other)


def test_from_another_pose_and_slowly_it_is_eased_in(recorded, hand, drive, ros):
    states = hand(real_time_factor=0.0, command_timeout=0.1)
    lead_away(ros, states, RESET_POSE + 0.4)
    assert pose(states)[0] > 0.3
    command = drive(recorded, "--no_reset", "--speed", "0.5", "--json")
    assert status(ros, command) == 0
    assert "easing in" in command.said
    told = figures(command)
    assert told["commands"] == 2 * STEPS
    assert max(told["max_error"].values()) < math.radians(10)
    fastest = max(np.abs(hand_state_from_msg(state).joint_velocity).max() for state in states[12:])
    assert fastest < 2.0, "rad/s; the ways are at 0.75 at most, the recorded swing at 0.5"


def test_ctrl_c_eases_out_and_a_second_one_stops_the_hand(recorded, hand, drive, ros):
    states = hand(real_time_factor=0.5)
    stopped = ros.collect(Bool, names.STOPPED, names.STOPPED_QOS)
    command = drive(recorded)
    ros.wait_for(lambda: "playing" in command.said, what="the playing")
    ros.spin(0.5)
    command.interrupt()
    assert status(ros, command) == 130
    assert "easing out" in command.said
    assert "interrupted" in command.said
    np.testing.assert_allclose(pose(states), RESET_POSE, atol=math.radians(10))
    assert not stopped[-1].data
    command = drive(recorded)
    ros.wait_for(lambda: "playing" in command.said, what="the playing")
    command.interrupt()
    ros.wait_for(lambda: "easing out" in command.said, what="the way out")
    command.interrupt()
    assert status(ros, command) == 130
    assert "stopped: torque is off until clear_stop" in command.said
    ros.wait_for(lambda: stopped[-1].data, what="the stop")


def test_a_stop_or_another_node_ends_it_with_the_hand_s_words(recorded, hand, drive, ros):
    hand(real_time_factor=0.5)
    command = drive(recorded)
    ros.wait_for(lambda: "playing" in command.said, what="the playing")
    assert ros.call(Trigger, names.STOP).success
    assert status(ros, command) == 1
    assert "the hand has stopped: stopped, torque off until clear_stop" in command.said
    assert "/dclaw/clear_stop std_srvs/srv/Trigger" in command.said
    assert ros.call(Trigger, names.CLEAR_STOP).success
    command = drive(recorded)
    ros.wait_for(lambda: "playing" in command.said, what="the playing")
    other = ros.node.create_publisher(
        JointTrajectory, names.JOINT_COMMAND, names.JOINT_COMMAND_QOS
    )
    assert status(ros, command) == 1
    assert "commands the hand as well (/dclaw/joint_command)" in command.said
    ros.node.destroy_publisher(other)


def test_a_hand_that_is_stopped_or_commanded_by_another_node_is_refused(
    recorded, hand, ros, capsys
):
    hand()
    assert ros.call(Trigger, names.STOP).success
    assert main([str(recorded)]) == 1
    said = capsys.readouterr().err
    assert "the hand is stopped: stopped, torque off until clear_stop" in said
    assert "ros2 service call /dclaw/clear_stop" in said
    assert ros.call(Trigger, names.CLEAR_STOP).success
    ros.node.create_publisher(JointTrajectory, names.JOINT_COMMAND, names.JOINT_COMMAND_QOS)
    assert main([str(recorded)]) == 1
    assert "commands the hand as well (/dclaw/joint_command)" in "".join(capsys.readouterr())


def test_a_hand_that_is_not_active_or_not_there_is_refused(
    recorded, start_node, ros, capsys, monkeypatch
):
    monkeypatch.setattr(drive_session, "FIND_WITHIN", 3.0)
    assert main([str(recorded), "--hand", "lab"]) == 1
    assert "no hand shows its state on /lab/joint_states" in capsys.readouterr().err
    start_node("hand", autostart=False)
    ros.wait_for(lambda: ros.node.count_subscribers("/dclaw/joint_command"), what="the hand")
    assert main([str(recorded)]) == 1
    said = capsys.readouterr().err
    assert "it says: not active, torque off; activate it: ros2 lifecycle set /dclaw/hand" in said


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--episode", "3"], "there is no episode 3 of dclaw; the bag has 7 to 7"),
        (["--recorded", "other"], "no transitions of other"),
        (["--speed", "1.5"], "speed is 1.5, expected at most 1.0"),
        (["--ease_speed", "0"], "ease_speed is 0.0, expected at least 0.05"),
    ],
)
def test_what_can_not_be_driven_is_said_before_the_hand_is_looked_for(
    recorded, words, reason, capsys
):
    assert main([str(recorded), *words]) == 1
    assert reason in capsys.readouterr().err


def test_a_wrong_command_line_is_status_2(recorded):
    for words in ([], [str(recorded), "--hand", "a b"], [str(recorded), "--fast"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
