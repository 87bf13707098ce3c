"""A hand that is led: who else may move it, and what becomes of it on every way out."""

import math
import signal
import subprocess
import sys

import numpy as np
import pytest
from action_msgs.msg import GoalStatus, GoalStatusArray
from rclpy.qos import qos_profile_action_status_default
from std_msgs.msg import Bool
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from smm_ros import interfaces as names
from smm_ros.action import ResetHand
from smm_ros.bag.replay import drive_session
from smm_ros.bag.replay.drive import main
from smm_ros.conversions import hand_state_from_msg, reset_goal
from smm_ros.dclaw.spec import RESET_POSE


def pose(states):
    return hand_state_from_msg(states[-1]).joint_position


class Resets:
    """Hears how the resets of the hand stand."""

    def __init__(self, ros):
        self.ros = ros
        topic = f"{names.RESET_HAND}/_action/status"
        self.heard = ros.collect(GoalStatusArray, topic, qos_profile_action_status_default)

    @property
    def newest(self):
        """How the newest one stands; None where there was none."""
        goals = [goal for message in self.heard[-1:] for goal in message.status_list]
        if not goals:
            return None
        begun = [(goal.goal_info.stamp.sec, goal.goal_info.stamp.nanosec) for goal in goals]
        return goals[begun.index(max(begun))].status

    def wait_for(self, state):
        self.ros.wait_for(lambda: self.newest == state, what="the reset")


@pytest.fixture
def resets(ros):
    """Return what is heard of the hand's resets."""
    return Resets(ros)


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_ctrl_c_in_the_reset_cancels_it_however_early(
    recorded, motors, drive, ros, resets, seconds
):
    command = drive(recorded)
    command.wait_for("reset, with")
    ros.spin(seconds)
    command.interrupt()
    assert command.status() == 130
    assert "it was cancelled, the hand stays where it is" in command.said
    assert "playing" not in command.said
    resets.wait_for(GoalStatus.STATUS_CANCELED)
    ros.wait_for(lambda: not motors.have_torque(), what="torque off")


def test_another_node_that_begins_to_command_in_the_reset_ends_it(
    recorded, motors, drive, ros, resets
):
    command = drive(recorded)
    resets.wait_for(GoalStatus.STATUS_EXECUTING)
    ros.node.create_publisher(JointTrajectory, names.JOINT_COMMAND, names.JOINT_COMMAND_QOS)
    assert command.status() == 1
    assert "commands the hand as well (/dclaw/joint_command)" in command.said
    assert "it was cancelled, the hand stays where it is" in command.said
    resets.wait_for(GoalStatus.STATUS_CANCELED)


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_of_a_reset_whose_end_nobody_tells_it_says_that_it_may_go_on(
    recorded, motors, drive, resets, is_interrupted
):
    command = drive(recorded)
    resets.wait_for(GoalStatus.STATUS_EXECUTING)
    motors.process.send_signal(signal.SIGSTOP)
    if is_interrupted:
        command.interrupt()
    assert command.status() == (130 if is_interrupted else 1)
    motors.process.send_signal(signal.SIGCONT)
    said = "the hand did not answer to a stop; it may go on with its reset"
    assert f"the reset had not ended; {said}" in command.said


def test_a_second_ctrl_c_in_the_reset_stops_the_hand(recorded, motors, drive, resets):
    command = drive(recorded)
    resets.wait_for(GoalStatus.STATUS_EXECUTING)
    command.process.send_signal(signal.SIGSTOP)
    command.interrupt()
    command.process.send_signal(signal.SIGTERM)
    command.process.send_signal(signal.SIGCONT)
    assert command.status() == 130
    assert "stopped: torque is off until clear_stop" in command.said
    assert not motors.have_torque()


def test_ctrl_c_eases_out_and_a_second_one_stops_the_hand(recorded, hand, drive, ros):
    _, states = hand(real_time_factor=0.5)
    stopped = ros.collect(Bool, names.STOPPED, names.STOPPED_QOS)
    command = drive(recorded)
    command.wait_for("playing")
    ros.spin(0.5)
    command.interrupt()
    assert command.status() == 130
    assert "easing out" in command.said
    assert "interrupted" in command.said
    np.testing.assert_allclose(pose(states), RESET_POSE, atol=math.radians(10))
    assert not stopped[-1].data
    command = drive(recorded)
    command.wait_for("playing")
    command.interrupt()
    command.wait_for("easing out")
    command.interrupt()
    assert command.status() == 130
    assert "stopped: torque is off until clear_stop" in command.said
    ros.wait_for(lambda: stopped[-1].data, what="the stop")


def test_where_its_terminal_is_closed_it_eases_out(recorded, hand, ros):
    _, states = hand(real_time_factor=0.5)
    command = subprocess.Popen(
        [sys.executable, "-m", "smm_ros.bag.replay.drive", str(recorded)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    while b"playing" not in command.stderr.readline():
        assert command.poll() is None
    command.stderr.close()
    ros.spin(0.5)
    command.send_signal(signal.SIGHUP)
    assert "interrupted" in command.stdout.read().decode()
    assert command.wait() == 130
    ros.spin(0.3)
    np.testing.assert_allclose(pose(states), RESET_POSE, atol=math.radians(10))


def test_a_stop_or_another_node_ends_it_with_the_hand_s_words(recorded, hand, drive, ros):
    hand(real_time_factor=0.5)
    command = drive(recorded)
    command.wait_for("playing")
    assert ros.call(Trigger, names.STOP).success
    assert command.status() == 1
    assert "the hand has stopped: stopped, torque off until clear_stop" in command.said
    assert "/dclaw/clear_stop std_srvs/srv/Trigger" in command.said
    assert ros.call(Trigger, names.CLEAR_STOP).success
    command = drive(recorded)
    command.wait_for("playing")
    other = ros.node.create_publisher(
        JointTrajectory, names.JOINT_COMMAND, names.JOINT_COMMAND_QOS
    )
    assert command.status() == 1
    assert "commands the hand as well (/dclaw/joint_command)" in command.said
    ros.node.destroy_publisher(other)


def test_a_reset_that_another_node_asks_for_is_left_to_it(recorded, played, hand, drive, ros):
    _, states = hand(real_time_factor=0.5)
    command = drive(recorded, "--json")
    command.wait_for("playing")
    ros.spin(0.5)
    goal = ros.send_goal(ResetHand, names.RESET_HAND, reset_goal(0.0))
    seen = len(states)
    assert command.status() == 1
    assert "another node resets the hand, which is left to it" in command.figures["ended"]
    assert command.figures["commands"] < len(played)
    assert ros.result(goal.get_result_async()).result.success
    ros.spin(1.0)
    assert len(states) <= seen + 3, "nobody commands, so time stands still after the reset"
    np.testing.assert_allclose(pose(states), RESET_POSE, atol=1e-3)


def test_a_hand_that_another_node_resets_is_refused(recorded, motors, drive, ros):
    command = drive(recorded)
    while not command.has_ended:
        # Each takes the place of the one before it, so that some reset is always under way.
        ros.send_goal(ResetHand, names.RESET_HAND, reset_goal(0.0))
        ros.spin(0.2)
    assert command.status() == 1
    assert "another node resets the hand; wait until that is over" in command.said


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
