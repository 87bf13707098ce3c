"""`smm bag drive` on the twin, and on the real driver over virtual motors."""

import math
import signal

import numpy as np
import pytest
from std_msgs.msg import Bool
from trajectory_msgs.msg import JointTrajectory

from smm_ros import interfaces as names
from smm_ros.bag import reading
from smm_ros.bag.replay.drive import main
from smm_ros.conversions import hand_state_from_msg, stamp_ns, target_to_msg
from smm_ros.dclaw.spec import CONTROL_PERIOD, RESET_POSE
from smm_ros.records import JointTarget
from smm_ros.transition_wire import parse_transition


def pose(states):
    return hand_state_from_msg(states[-1]).joint_position


def test_the_twin_does_again_what_it_did(recorded, played, hand, drive, ros):
    _, states = hand(real_time_factor=0.0)
    command = drive(recorded, "--json")
    assert command.status() == 0
    told = command.figures
    assert (told["episode"], told["commands"], told["ended"]) == (7, len(played), "")
    assert told["clamped_commands"] == told["late_states"] == 0
    # The same physics from the same state; only what is recorded as float32 differs.
    assert max(told["max_error"].values()) < 1e-4
    assert abs(told["valve_error"]) < 1e-4
    ros.spin(0.3)
    np.testing.assert_allclose(pose(states), RESET_POSE, atol=math.radians(10))


TOPICS = ("--joint_states", "/lab/states", "--joint_command", "/lab/targets")


def test_joint_states_and_commands_alone_are_driven_as_well(
    joints_recorded, played, hand, drive, ros
):
    hand(real_time_factor=0.0)
    command = drive(joints_recorded, *TOPICS, "--json")
    assert command.status() == 0
    assert "episode 0 of lab: 20 steps, of joint states and joint commands" in command.said
    told = command.figures
    assert (told["commands"], told["ended"]) == (len(played), "")
    assert max(told["max_error"].values()) < 1e-4


def test_where_nothing_can_be_assembled_it_says_what_to_do(joints_recorded, recorded, capsys):
    assert main([str(joints_recorded)]) == 1
    assert "name its topics with" in capsys.readouterr().err
    assert main([str(joints_recorded), "--joint_states", "/lab/states"]) == 1
    assert "expected two names that begin with a slash" in capsys.readouterr().err
    assert main([str(joints_recorded), *TOPICS, "--recorded", "dclaw"]) == 1
    assert "no transitions of dclaw, but of lab" in capsys.readouterr().err
    assert main([str(recorded), "--from", "joint_states"]) == 1
    assert "name its topics with" in capsys.readouterr().err


def test_ctrl_c_while_the_bag_is_read_ends_it_at_once(recorded, monkeypatch, capsys):
    read = []

    def parse(data):
        read.append(data)
        signal.raise_signal(signal.SIGINT)
        return parse_transition(data)

    monkeypatch.setattr(reading, "parse_transition", parse)
    assert main([str(recorded)]) == 130
    assert len(read) == 1
    assert "interrupted; the hand was not moved" in capsys.readouterr().err


def test_the_driver_does_what_the_twin_did(recorded, played, motors, drive, ros):
    command = drive(recorded, "--json")
    assert command.status() == 0
    told = command.figures
    assert told["commands"] == len(played)
    poses = np.array([record.observation[:9] for record in played])
    speed = np.abs(np.diff(poses, axis=0)).max() / CONTROL_PERIOD
    # A command goes out and comes back within two cycles of the bus, and the machine may be
    # busy: what is a control period late is off by what a joint moves in that time.
    assert max(told["max_error"].values()) < speed * 2 * CONTROL_PERIOD + math.radians(5)
    np.testing.assert_allclose(pose(motors.states), RESET_POSE, atol=math.radians(10))
    # Nobody commands it any more, so it lets go; nothing is latched.
    ros.wait_for(lambda: not motors.have_torque(), what="torque off")
    stopped = ros.collect(Bool, names.STOPPED, names.STOPPED_QOS)
    ros.wait_for(lambda: stopped, what="whether it is stopped")
    assert stopped[-1].data is False


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


def test_from_another_pose_and_slowly_it_is_eased_in(recorded, played, hand, drive, ros):
    _, states = hand(real_time_factor=0.0, command_timeout=0.1)
    lead_away(ros, states, RESET_POSE + 0.4)
    assert pose(states)[0] > 0.3
    command = drive(recorded, "--no_reset", "--speed", "0.5", "--json")
    assert command.status() == 0
    assert "easing in" in command.said
    told = command.figures
    assert told["commands"] == 2 * len(played)
    assert max(told["max_error"].values()) < math.radians(10)
    fastest = max(np.abs(hand_state_from_msg(state).joint_velocity).max() for state in states[12:])
    assert fastest < 2.0, "rad/s; the ways are at 0.75 at most, the recorded swing at 0.5"


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
