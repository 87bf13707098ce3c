"""An episode that the twin has played, a hand to drive it on, and the command that does."""

import json
import math
import signal
import subprocess
import sys
from contextlib import closing
from typing import NamedTuple

import numpy as np
import pytest
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState

from smm_ros import interfaces as names
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.conversions import hand_state_to_msg, target_to_msg, transition_to_msg
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
def swung():
    """Return (state, target, state a control period later) of the twin, swinging its fingers."""
    hand = MujocoHand()
    hand.connect()
    hand.enable()
    for _ in hand.reset(VALVE):
        pass
    steps, state = [], hand.read()
    for step in range(STEPS):
        swing = 0.15 * math.sin(2 * math.pi * step / STEPS) * np.tile([1, 0.3, -1], 3)
        target = task.target_from_action(task.action_from_target(RESET_POSE + swing), state)
        hand.command(target)
        hand.advance(CONTROL_PERIOD)
        steps.append((state, target, hand.read()))
        state = hand.read()
    return steps


@pytest.fixture(scope="session")
def played(swung):
    """Return the transitions of that episode, fingers above the valve."""
    return [
        TransitionRecord(
            stamp_ns=step * PERIOD_NS,
            hand="dclaw",
            sequence=step,
            episode=7,
            step=step,
            skill=0,
            policy_version=0,
            observation=task.observation(before),
            action=task.action_from_target(target),
            next_observation=task.observation(after),
            log_p_shaping=0.0,
            terminated=False,
            truncated=step == STEPS - 1,
        )
        for step, (before, target, after) in enumerate(swung)
    ]


@pytest.fixture(scope="session")
def recorded(played, tmp_path_factory):
    """Return a bag of that episode."""
    folder = tmp_path_factory.mktemp("bags") / "run"
    topic = installed_topic("/dclaw/transitions", "smm_ros/msg/Transition")
    with closing(BagWriter(folder, [topic])) as writer:
        for record in played:
            writer.write(topic.name, record.stamp_ns, serialize_message(transition_to_msg(record)))
    return folder


@pytest.fixture(scope="session")
def joints_recorded(swung, tmp_path_factory):
    """Return a bag of its joint states and joint commands alone, on topics of other names."""
    folder = tmp_path_factory.mktemp("bags") / "joints"
    states = installed_topic("/lab/states", "sensor_msgs/msg/JointState")
    commands = installed_topic("/lab/targets", "trajectory_msgs/msg/JointTrajectory")
    with closing(BagWriter(folder, [states, commands])) as writer:
        for before, target, _ in swung:
            now = round(before.stamp * 1e9)
            command = target_to_msg(JointTarget(now, target))
            writer.write(states.name, now, serialize_message(hand_state_to_msg(before)))
            writer.write(commands.name, now + 1, serialize_message(command))
        last = swung[-1][2]
        message = serialize_message(hand_state_to_msg(last))
        writer.write(states.name, round(last.stamp * 1e9), message)
    return folder


@pytest.fixture
def hand(ros, start_node):
    """Return a function that starts a hand and returns its process and the states it shows."""

    def start(**parameters):
        states = ros.collect(JointState, names.JOINT_STATES, names.JOINT_STATES_QOS)
        process = start_node("hand", **parameters).process
        ros.wait_for(lambda: states, what="joint states")
        return process, states

    return start


class Motors(NamedTuple):
    """Virtual motors, the process that drives them, and the states that it shows."""

    port: VirtualPort
    process: subprocess.Popen
    states: list[JointState]

    def have_torque(self):
        return any(servo.get(reg.TORQUE_ENABLE) for servo in self.port.hand.servos)


@pytest.fixture
def motors(hand):
    """Return virtual motors with a hand that drives them."""
    with VirtualPort(VirtualHand()) as port:
        yield Motors(port, *hand(sim=False, port=port.path, **PATIENT))


class Command:
    """The command as a process; what it prints is in a file."""

    def __init__(self, ros, words, log):
        self.ros, self.log = ros, log
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

    @property
    def figures(self):
        return json.loads(self.said.splitlines()[-1])

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def wait_for(self, text):
        """Wait until a text was printed."""
        self.ros.wait_for(lambda: text in self.said or self.has_ended, what=text)
        assert text in self.said

    def status(self):
        """Return the exit status, at the end."""
        self.ros.wait_for(lambda: self.has_ended, timeout=60, what="the end of the drive")
        return self.process.returncode


@pytest.fixture
def drive(ros, tmp_path):
    """Return a function that starts the command; what is still running is killed in the end."""
    started = []

    def start(*words):
        started.append(Command(ros, words, tmp_path / f"drive_{len(started)}.log"))
        return started[-1]

    yield start
    for command in started:
        command.process.kill()
        command.process.wait()
        print(command.said)
