"""The recorder as a process: everything the graph says is in the bag, however it ends."""

import time

import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import Log
from rosbags.rosbag2 import Reader
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from smm_ros import interfaces
from smm_ros.bag.reading import read_messages, read_transitions
from smm_ros.conversions import clock_to_msg, transition_to_msg
from smm_ros.msg import EpisodeSummary, PolicySnapshot, TrainingStatus
from smm_ros.msg import Transition as TransitionMessage
from smm_ros.srv import MarkRecording

OTHERS = {
    "/dclaw/episodes": (EpisodeSummary, interfaces.EPISODES_QOS),
    "/dclaw/joint_states": (JointState, interfaces.JOINT_STATES_QOS),
    "/dclaw/joint_command": (JointTrajectory, interfaces.JOINT_COMMAND_QOS),
    "/dclaw/policy": (PolicySnapshot, interfaces.POLICY_QOS),
    "/dclaw/training_status": (TrainingStatus, interfaces.TRAINING_STATUS_QOS),
}


class Graph:
    """The publishers of the rest of the graph."""

    def __init__(self, ros, make_record):
        self.ros, self.make_record = ros, make_record
        self.transitions = ros.node.create_publisher(
            TransitionMessage, "transitions", interfaces.TRANSITIONS_QOS
        )
        self.others = {
            name: ros.node.create_publisher(kind, name, qos)
            for name, (kind, qos) in OTHERS.items()
        }
        self.reports = ros.collect(DiagnosticArray, interfaces.DIAGNOSTICS)
        self.sequence = 0

    def wait_for_recorder(self):
        publishers = [self.transitions, *self.others.values()]
        self.ros.wait_for(
            lambda: all(p.get_subscription_count() for p in publishers), what="the recorder"
        )

    def step(self, count=1, period=0.0):
        """Publish transitions; return the times they were published at."""
        times = []
        for _ in range(count):
            times.append(time.time_ns())
            self.transitions.publish(transition_to_msg(self.make_record(self.sequence)))
            self.sequence += 1
            self.ros.spin(period)
        return times

    def step_until_recorded(self):
        """Publish transitions until a recorder that was just started reports one."""
        self.reports.clear()
        self.wait_for_report(lambda status, values: self.step() and "dclaw/gaps" in values)

    def ask(self, service):
        """Return the answer of one of the recorder's services."""
        return self.ros.call(Trigger, f"recorder/{service}")

    def mark(self, label):
        """Return what is wrong with a remark, empty when it is recorded."""
        answer = self.ros.call(MarkRecording, "recorder/mark", MarkRecording.Request(label=label))
        assert answer.success == (not answer.message)
        return answer.message

    def wait_for_report(self, condition):
        """Return the first report of the recorder that meets the condition."""

        def found():
            for status in (s for report in self.reports for s in report.status):
                values = {pair.key: pair.value for pair in status.values}
                if status.name == "dclaw: recorder" and condition(status, values):
                    return status, values
            return None

        return self.ros.wait_for(found, what="a report of the recorder")


@pytest.fixture
def graph(ros, make_record):
    return Graph(ros, make_record)


def sequences(folder):
    return [record.sequence for record in read_transitions(folder)]


def test_every_topic_is_recorded_and_a_signal_closes_the_bag(graph, start_node, tmp_path):
    recorder = start_node("recorder", bag_dir=str(tmp_path / "run"))
    graph.wait_for_recorder()
    for name, publisher in graph.others.items():
        publisher.publish(OTHERS[name][0]())
    before = time.time_ns()
    graph.step(50, period=0.002)
    # One more than was published here: a report of the recorder itself.
    _, values = graph.wait_for_report(
        lambda status, values: int(values["written"]) > 50 + len(OTHERS)
    )
    assert values.get("dclaw/transitions") == "50"
    assert values["dclaw/gaps"] == values["dropped"] == "0"
    begin = time.monotonic()
    assert recorder.terminate() == 0, recorder.output
    assert time.monotonic() - begin < 2.0
    assert sequences(tmp_path / "run") == list(range(50))
    for message in read_messages(tmp_path / "run", ["/dclaw/transitions"]):
        assert before < message.publish_time_ns <= message.log_time_ns < time.time_ns()
    with Reader(tmp_path / "run") as reader:
        counts = {connection.topic: connection.msgcount for connection in reader.connections}
    assert counts.pop("/diagnostics") > 0
    assert counts == {"/dclaw/transitions": 50, "/dclaw/marks": 0, **dict.fromkeys(OTHERS, 1)}


def test_a_policy_published_before_is_recorded_and_each_hand_has_its_topics(
    graph, start_node, tmp_path
):
    folder = tmp_path / "run"

    def recorded():
        return {m.topic.name: m.decode() for m in read_messages(folder)}

    graph.others["/dclaw/policy"].publish(PolicySnapshot(version=3))
    recorder = start_node("recorder", bag_dir=str(folder), hands=["dclaw", "/other/"])
    graph.wait_for_recorder()
    states = graph.ros.node.create_publisher(JointState, "/other/joint_states", 10)
    graph.ros.wait_for(states.get_subscription_count)
    states.publish(JointState())
    graph.wait_for_report(lambda status, values: int(values["written"]) >= 2)
    topics = {"/dclaw/policy", "/other/joint_states"}
    graph.ros.wait_for(lambda: topics <= recorded().keys(), what="both in the bag")
    assert recorder.terminate() == 0
    assert recorded()["/dclaw/policy"].version == 3


def test_a_killed_recorder_loses_a_second_at_most_and_goes_on(graph, start_node, tmp_path):
    folder = tmp_path / "run"
    published = {}
    for _ in range(2):
        recorder = start_node("recorder", bag_dir=str(folder))
        graph.step_until_recorded()
        first = graph.sequence
        published.update(enumerate(graph.step(130, period=0.01), first))
        recorder.kill()
        recorded = [sequence for sequence in sequences(folder) if sequence >= first]
        assert recorded == list(range(first, first + len(recorded)))
        lost = (published[graph.sequence - 1] - published[recorded[-1]]) * 1e-9
        assert lost < 1.0
    recorder = start_node("recorder", bag_dir=str(folder))
    graph.step_until_recorded()
    assert recorder.terminate() == 0
    recorded = sequences(folder)
    with Reader(folder) as reader:
        by_topic = {connection.topic: connection.msgcount for connection in reader.connections}
    assert by_topic["/dclaw/transitions"] == len(recorded)


def test_a_stop_ends_the_bag_and_a_start_goes_on_without_what_went_by(graph, start_node, tmp_path):
    folder = tmp_path / "run"
    recorder = start_node("recorder", bag_dir=str(folder))
    graph.wait_for_recorder()
    graph.step(5)
    graph.wait_for_report(lambda status, values: values.get("dclaw/transitions") == "5")
    answer = graph.ask("split")
    assert answer.success
    assert answer.message == "run_0.mcap is ended, run_1.mcap begun"
    assert sequences(folder / "run_0.mcap") == list(range(5))
    answer = graph.ask("stop")
    assert answer.success
    assert answer.message.startswith("run_1.mcap is ended; ")
    assert graph.ask("stop").message == "it is stopped already"
    with Reader(folder) as reader:
        counts = {connection.topic: connection.msgcount for connection in reader.connections}
    assert counts["/dclaw/transitions"] == 5
    status, values = graph.wait_for_report(lambda status, values: status.message == "stopped")
    assert (status.level, values["state"]) == (b"\x00", "stopped")
    graph.step(3)
    graph.wait_for_report(lambda status, values: values.get("dclaw/skipped") == "3")
    answer = graph.ask("start")
    assert answer.success
    assert answer.message.startswith("recording to run_2.mcap; ")
    assert graph.ask("start").message == "it records already"
    graph.step(2)
    _, values = graph.wait_for_report(
        lambda status, values: values.get("dclaw/transitions") == "7"
    )
    assert (values["state"], values.get("dclaw/gaps"), values["dropped"]) == (
        "recording",
        "0",
        "0",
    )
    assert recorder.terminate() == 0
    assert sequences(folder) == [0, 1, 2, 3, 4, 8, 9]
    described = yaml.safe_load((folder / "metadata.yaml").read_text())
    told = described["rosbag2_bagfile_information"]["custom_data"]
    assert (told["dclaw/skipped"], told["dclaw/gaps"]) == ("3", "0")


def test_one_told_to_wait_records_from_the_start_on(graph, start_node, tmp_path):
    graph.step(2)  # kept by the publisher for those who come late
    recorder = start_node("recorder", bag_dir=str(tmp_path / "run"), recording=False)
    graph.wait_for_recorder()
    graph.step(2)
    graph.wait_for_report(lambda status, values: values.get("dclaw/skipped") == "4")
    assert not (tmp_path / "run").exists()
    refusal = graph.ask("split")
    assert (refusal.success, refusal.message) == (
        False, "it is stopped; start begins the next file"
    )  # fmt: skip
    assert graph.mark("too early") == "it is stopped; call start first"
    assert graph.ask("start").success
    graph.step(2)
    graph.wait_for_report(lambda status, values: values.get("dclaw/transitions") == "2")
    assert recorder.terminate() == 0
    assert sequences(tmp_path / "run") == [4, 5]


def test_a_mark_is_published_and_in_the_bag_with_its_time(graph, start_node, tmp_path):
    heard = graph.ros.collect(Log, "marks", interfaces.MARKS_QOS)
    recorder = start_node("recorder", bag_dir=str(tmp_path / "run"))
    graph.wait_for_recorder()
    before = time.time_ns()
    assert graph.mark(" valve slipped ") == ""
    after = time.time_ns()
    assert "expected one line of text" in graph.mark("two\nlines")
    assert "expected one line of text" in graph.mark(" ")
    graph.ros.wait_for(lambda: heard, what="the mark")
    assert recorder.terminate() == 0
    (message,) = read_messages(tmp_path / "run", ["/dclaw/marks"])
    decoded = message.decode()
    assert (decoded.msg, decoded.name) == ("valve slipped", "dclaw.recorder")
    stamp = decoded.stamp.sec * 10**9 + decoded.stamp.nanosec
    assert before <= stamp == message.log_time_ns <= after
    assert [mark.msg for mark in heard] == ["valve slipped"]


def test_the_end_of_an_episode_goes_to_the_disk_at_once(graph, start_node, tmp_path):
    recorder = start_node("recorder", bag_dir=str(tmp_path / "run"), flush_period=10.0)
    graph.wait_for_recorder()
    _, values = graph.wait_for_report(lambda status, values: True)
    assert values["longest_sync (s)"] == "0"
    graph.step(5)
    graph.ros.spin(0.2)
    graph.others["/dclaw/episodes"].publish(EpisodeSummary())
    _, values = graph.wait_for_report(lambda status, values: int(values["written"]) >= 6)
    assert float(values["longest_sync (s)"]) > 0
    recorder.kill()
    assert sequences(tmp_path / "run") == list(range(5))


def test_a_full_disk_is_loud_and_recording_resumes_when_it_has_room(graph, start_node, small_disk):
    filler = small_disk / "filler"
    filler.write_bytes(bytes(2**20 - 2**14))
    folder = small_disk / "run"
    recorder = start_node("recorder", bag_dir=str(folder))
    graph.wait_for_recorder()
    graph.step(100)
    status, values = graph.wait_for_report(lambda status, values: status.level == b"\x02")
    assert "No space left on device" in status.message
    assert "(0 MB free)" in status.message
    graph.step(5)
    graph.wait_for_report(lambda status, values: int(values["received"]) >= 105)
    assert "No space left on device" in recorder.output
    refusal = graph.ask("stop")
    assert not refusal.success
    assert "as soon as the disk lets it" in refusal.message
    filler.unlink()
    graph.wait_for_report(
        lambda status, values: status.message == "stopped" and not values["file"]
    )
    assert sequences(folder) == list(range(105))
    assert "writing again; 0 messages were dropped" in recorder.output
    assert recorder.terminate() == 0


def test_a_lost_transition_is_reported(graph, start_node, tmp_path):
    start_node("recorder", bag_dir=str(tmp_path / "run"))
    graph.wait_for_recorder()
    graph.step(3)
    graph.sequence += 4
    graph.step()
    status, values = graph.wait_for_report(lambda status, values: "dclaw/gaps" in values)
    assert (values.get("dclaw/transitions"), values.get("dclaw/gaps")) == ("4", "4")
    assert "4 transitions never arrived" in status.message


def test_a_folder_that_can_not_be_written_is_loud_and_recording_starts_when_it_can(
    graph, start_node, tmp_path
):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    recorder = start_node("recorder", bag_dir=str(blocked / "run"))
    graph.wait_for_recorder()
    graph.step(5)
    status, values = graph.wait_for_report(
        lambda status, values: status.message and int(values["received"]) >= 5
    )
    assert status.level == b"\x02"
    assert str(blocked) in status.message
    assert values["written"] == "0"
    assert "can not write bag" in recorder.output
    blocked.unlink()
    graph.wait_for_report(lambda status, values: int(values["written"]) >= 5)
    assert recorder.terminate() == 0
    assert sequences(blocked / "run") == list(range(5))


def test_with_simulated_time_the_log_time_is_the_ros_clock(graph, start_node, tmp_path):
    begin = time.time_ns()
    clock = graph.ros.node.create_publisher(Clock, "/clock", interfaces.CLOCK_QOS)
    recorder = start_node("recorder", bag_dir=str(tmp_path / "run"), use_sim_time=True)
    graph.wait_for_recorder()
    graph.ros.wait_for(clock.get_subscription_count)
    for tick in range(1, 6):
        for _ in range(5):  # the first may come before the recorder's clock listens
            clock.publish(clock_to_msg(tick * 10**9))
            graph.ros.spin(0.1)
        graph.step()
        graph.ros.spin(0.1)
    graph.wait_for_report(lambda status, values: int(values["written"]) >= 5)
    assert recorder.terminate() == 0
    messages = list(read_messages(tmp_path / "run", ["/dclaw/transitions"]))
    assert [m.log_time_ns for m in messages] == [tick * 10**9 for tick in range(1, 6)]
    assert all(begin < m.publish_time_ns < time.time_ns() for m in messages)


def test_a_bag_recorded_elsewhere_at_the_same_time_is_refused_loudly(graph, start_node, tmp_path):
    first = start_node("recorder", bag_dir=str(tmp_path / "run"))
    graph.wait_for_recorder()
    second = start_node("recorder", bag_dir=str(tmp_path / "run"))
    graph.wait_for_report(
        lambda status, values: "being written by another process" in status.message
    )
    assert first.terminate() == 0
    second.terminate()
    described = yaml.safe_load((tmp_path / "run" / "metadata.yaml").read_text())
    assert described["rosbag2_bagfile_information"]["version"] == 9
