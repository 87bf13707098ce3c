"""The density fitter as a process: from topics it learns what it does from a file."""

import json
import math

import numpy as np
import pytest
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from smm_ros import interfaces
from smm_ros.bag.cli import main
from smm_ros.bag.topics import installed_topic
from smm_ros.bag.writer import BagWriter
from smm_ros.conversions import hand_state_to_msg, target_to_msg, transition_to_msg
from smm_ros.dclaw.hand import HandState
from smm_ros.dclaw.spec import RESET_POSE
from smm_ros.msg import Transition
from smm_ros.records import JointTarget

PERIOD_NS = 100_000_000
TYPES = {
    "transitions": (Transition, "smm_ros/msg/Transition", interfaces.TRANSITIONS_QOS),
    "joint_states": (JointState, "sensor_msgs/msg/JointState", interfaces.JOINT_STATES_QOS),
    "joint_command": (
        JointTrajectory,
        "trajectory_msgs/msg/JointTrajectory",
        interfaces.JOINT_COMMAND_QOS,
    ),
}
QUICK = {
    "density.model": "flow",
    "density.flow.hidden": [8],
    "density.flow.layers": 1,
    "discriminator.hidden": [8],
    "steps": 60,
}


def transitions(make_record, count, first=0):
    """Return messages of whole episodes of 20 periods, with two skills."""
    for number in range(first, first + count):
        skill = number // 20 % 2
        fields = {"episode": number // 20, "step": number % 20, "skill": skill}
        record = make_record(number, **fields)
        angle = 2.0 * skill + 0.3 * record.next_observation[0]
        record.next_observation[9:11] = math.cos(angle), math.sin(angle)
        yield "transitions", transition_to_msg(record)


def joints(count):
    """Return joint states and commands of episodes of 20 periods, a pause after each."""
    for number in range(count):
        stamp = (1000 + number + 3 * (number // 21)) * PERIOD_NS
        angle = 0.37 * number
        state = HandState(stamp * 1e-9, RESET_POSE, np.zeros(9), np.zeros(9), angle, 0.1, 0.0)
        yield "joint_states", hand_state_to_msg(state)
        if number % 21 < 20:
            yield "joint_command", target_to_msg(JointTarget(stamp, RESET_POSE + 0.01))


def bag(folder, messages):
    """Write messages as they go over the wire, and return what `smm bag fit` makes of them."""
    names = {name: installed_topic(f"/dclaw/{name}", kind) for name, (_, kind, _) in TYPES.items()}
    writer = BagWriter(folder / "run", list(names.values()))
    for number, (name, message) in enumerate(messages):
        data = serialize_message(message)
        if name == "joint_command":
            data = data[:272]  # the rest is none of it
        writer.write(names[name].name, number, data)
    writer.close()
    words = [
        word
        for name, value in QUICK.items()
        for word in (f"--{name}", *map(str, value if isinstance(value, list) else [value]))
    ]
    assert main(["fit", str(folder / "run"), "--out", str(folder / "file"), *words]) == 0
    return (folder / "file" / "models.safetensors").read_bytes()


class Player:
    """Publishes messages in order, to all who are there."""

    def __init__(self, ros):
        self.ros, self.publishers = ros, {}

    def wait(self, *names):
        for name in names:
            kind, _, qos = TYPES[name]
            deep = QoSProfile(depth=5000, reliability=qos.reliability, durability=qos.durability)
            self.publishers[name] = self.ros.node.create_publisher(kind, f"/dclaw/{name}", deep)
        for publisher in self.publishers.values():
            self.ros.wait_for(publisher.get_subscription_count, what="the density fitter")

    def play(self, messages):
        for name, message in messages:
            self.publishers[name].publish(message)


@pytest.fixture
def player(ros):
    return Player(ros)


@pytest.fixture
def start(start_node, tmp_path):
    """Return a function that starts the node with the settings of the file's fit."""
    settings = {f"fit.{name}": value for name, value in QUICK.items()}

    def begin(**parameters):
        return start_node("density_fitter", out=str(tmp_path / "topics"), **settings, **parameters)

    return begin


def models(folder, name="topics"):
    return (folder / name / "models.safetensors").read_bytes()


def test_transitions_over_topics_give_the_models_of_the_file_bit_for_bit(
    player, start, tmp_path, make_record
):
    """By silence: it fits, writes and ends by itself with status 0. The numbers begin again."""
    messages = list(transitions(make_record, 600))
    for name, message in transitions(make_record, 300):
        message.policy_version = 7
        messages += [(name, message)] * 2
    expected = bag(tmp_path, messages)
    node = start(fit_after=3.0)
    player.wait("transitions")
    player.play(messages)
    assert node.wait() == 0, node.output
    assert models(tmp_path) == expected
    told, of_file = (
        json.loads((tmp_path / name / "fit.json").read_text()) for name in ("topics", "file")
    )
    for name in ("figures", "hands", "settings", "notes"):
        assert told[name] == of_file[name]
    hand = told["hands"]["dclaw"]
    assert hand == {"transitions": 900, "gaps": 0, "recordings": 2, "doubles": 300}
    assert "-E log q of those held out" in node.output


def test_joint_states_and_commands_over_topics_give_the_models_of_the_file(
    player, start, ros, reports, tmp_path
):
    expected = bag(tmp_path, joints(630))
    start(source="joint_states")
    player.wait("joint_states", "joint_command")
    player.play(joints(630))
    counts = {"dclaw/joint states": "630", "dclaw/joint commands": "600"}
    reports.wait_for("density_fitter", lambda r: counts.items() <= r.values.items())
    answer = ros.call(Trigger, "density_fitter/fit")
    assert answer.success, answer.message
    assert models(tmp_path) == expected


def test_it_fits_when_asked_goes_on_listening_and_says_what_was_lost(
    player, start, ros, reports, tmp_path, make_record
):
    node = start()
    refused = ros.call(Trigger, "density_fitter/fit")
    assert not refused.success
    assert "there are no transitions to fit to" in refused.message
    player.wait("transitions")
    every = list(transitions(make_record, 900))
    player.play(every[:400])
    reports.wait_for("density_fitter", lambda r: r.values.get("dclaw/transitions") == "400")
    first = ros.call(Trigger, "density_fitter/fit")
    assert first.success, first.message
    assert first.message.endswith(str(tmp_path / "topics"))
    player.play(every[407:])
    report = reports.wait_for("density_fitter", lambda r: r.values.get("dclaw/gaps") == "7")
    assert (report.level, "7 transitions never came" in report.message) == (1, True)
    reports.wait_for("density_fitter", lambda r: r.values["dclaw/transitions"] == "893")
    second = ros.call(Trigger, "density_fitter/fit")
    assert "7 transitions of dclaw are missing" in second.message
    assert second.message.endswith(str(tmp_path / "topics-2"))
    assert "7 transitions are missing" in node.output
    told = json.loads((tmp_path / "topics-2" / "fit.json").read_text())
    assert told["hands"]["dclaw"]["gaps"] == 7
    # The first fit has left no trace in the second.
    assert models(tmp_path, "topics-2") == bag(tmp_path, every[:400] + every[407:])
    assert node.terminate() == 0


def test_a_folder_that_exists_is_refused_at_once(start, tmp_path):
    (tmp_path / "topics").mkdir()
    node = start()
    assert node.wait() == 1
    assert "exists; name another folder" in node.output
